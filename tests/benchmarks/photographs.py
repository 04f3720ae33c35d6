"""Real photographs that are on the disk already: three in `docs/pictures`, five in packages.

Nothing is downloaded: scikit-image, scikit-learn and matplotlib carry these in their wheels. The
packages are only looked up, not imported.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SIDE = 640

_FILES = {
    "portrait": (None, "portrait.jpg"),
    "dusk": (None, "dusk.jpg"),
    "coffee": (None, "coffee.jpg"),
    "cat": ("skimage", "data/chelsea.png"),
    "workshop": ("skimage", "data/motorcycle_left.png"),
    "pagoda": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "admiral": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}


def path_of(name: str) -> Path:
    """Return where a photograph lies.

    Raises:
        FileNotFoundError: the package that it comes with is not installed.
    """
    package, within = _FILES[name]
    if package is None:
        return PICTURES / within
    found = find_spec(package)
    folders = found.submodule_search_locations if found is not None else None
    if not folders:
        message = f"the photograph {name!r} comes with {package}, which is not installed"
        raise FileNotFoundError(message)
    return Path(folders[0]) / within


def photographs(side: int = SIDE) -> dict[str, Picture]:
    """Return all photographs, made smaller where their long side is above `side`."""
    found = {}
    for name in _FILES:
        with Image.open(path_of(name)) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((side, side))
        found[name] = np.array(picture)
    return found
