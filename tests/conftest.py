"""What all tests share: no environment of the user's, and a loop that must not be blocked."""

import asyncio
import sys
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

sys.path.insert(0, str(Path(__file__).parent))

# pytest-asyncio asks for the loop that was set before; where none ever was, asyncio makes one that
# nobody closes, and the warning of that would be an error in whichever test runs then
asyncio.set_event_loop(None)

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


@pytest.fixture(autouse=True)
def _no_key_of_the_user(monkeypatch):
    for name in ("AILAB_API_KEY", "AILAB_ENGINE_URL", "AILAB_ENGINE_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop():
    """Raise where the package makes a blocking call on the event loop."""
    with blockbuster_ctx("ailab_async") as blocker:
        yield blocker


@pytest.fixture
def pictures():
    """The folder of small real photos."""
    return PICTURES
