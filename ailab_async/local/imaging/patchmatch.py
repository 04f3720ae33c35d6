"""The coarse completion of a hole: PatchMatch, through the package `pypatchmatch`.

PatchMatch (Barnes, Shechtman, Finkelstein & Goldman 2009) looks for every small patch of the hole
a similar patch outside, lets the found patches vote for the pixels they cover, and repeats, from
coarse to fine (Wexler, Shechtman & Irani 2007). Its result is right in structure and somewhat
soft; `patchwork` makes it sharp.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingExtra
from .color import Rgb

_Region = NDArray[np.bool_]

_PACKAGE = "pypatchmatch"
try:
    from patchmatch import patch_match
except ImportError as error:
    raise MissingExtra(_PACKAGE, extra="local", purpose="image erasure") from error
if not patch_match.patchmatch_available:
    # The wheel for another platform, or a library that the system lacks: it says so in its log.
    message = "the native library of pypatchmatch cannot be loaded: reinstall the package"
    logging.getLogger(__name__).error(message)
    raise ImportError(message)


def complete(image: Rgb, hole: _Region, forbidden: _Region, *, radius: int, seed: int) -> Rgb:
    """Fill a hole with what the rest of the picture suggests.

    Args:
        image: height x width x 3.
        hole: what to fill.
        forbidden: what is neither filled nor copied from, though known.
        radius: patches are 2 x radius + 1 pixels wide.
        seed: where the random search begins; another one may find another completion.

    Returns:
        A new picture, the same outside of the hole. The same input gives the same bytes.
    """
    # The seed is the library's, for the whole process: set before each call, it carries nothing
    # over from the last one.
    patch_match.set_random_seed(seed)
    kept = forbidden & ~hole
    filled = patch_match.inpaint(
        np.ascontiguousarray(image),
        hole.astype(np.uint8)[..., None],
        global_mask=kept.astype(np.uint8)[..., None] if kept.any() else None,
        patch_size=radius,
    )
    return np.asarray(filled, np.uint8)
