"""The photographs of `docs/pictures`, as arrays that no test can change."""

from pathlib import Path

import cv2
import pytest

from ailab_async.local.imaging.codec import decode

# As in the engine's workers.
cv2.setNumThreads(1)

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


def photograph(name):
    image = decode((PICTURES / f"{name}.jpg").read_bytes()).copy()
    image.flags.writeable = False
    return image


@pytest.fixture(scope="session")
def portrait():
    return photograph("portrait")


@pytest.fixture(scope="session")
def dusk():
    return photograph("dusk")


@pytest.fixture(scope="session")
def coffee():
    return photograph("coffee")


@pytest.fixture(scope="session", params=["portrait", "dusk", "coffee"])
def photo(request):
    """Each photograph in turn, at two fifths of its size: the judges look at every pixel."""
    image = photograph(request.param)
    small = cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    small.flags.writeable = False
    return small
