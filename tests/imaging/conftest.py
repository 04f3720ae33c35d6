"""The photographs of `docs/pictures`, as arrays that no test can change."""

from pathlib import Path

import pytest

from ailab_async.local.imaging.codec import decode

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
    return photograph(request.param)
