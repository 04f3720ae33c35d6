"""A map of colours as a three-dimensional table, and its way over a picture of any size.

Whatever a mode does to colours, it does to the 33 x 33 x 33 nodes of one table; the picture then
goes through that table by trilinear interpolation. So the cost of the mathematics does not depend
on the picture, and 33 nodes an axis (the size the film industry uses) is finer than 8-bit colour
can show for maps as smooth as these.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageFilter

from .color import (
    Floats,
    Rgb,
    luminance,
    oklab_to_rgb,
    rgb_to_oklab,
    to_linear,
)
from .mask import SoftMask

ColorMap: TypeAlias = Callable[[Floats], Floats]
"""OKLab colours, n x 3, to the OKLab colours that they become, n x 3."""

NODES = 33
STRIP_ROWS = 256


def build(color_map: ColorMap, *, keep_luminance: bool = False) -> ImageFilter.Color3DLUT:
    """Tabulate a map of colours.

    Args:
        color_map: the map, in OKLab; what it moves out of the gamut loses chroma.
        keep_luminance: give every colour the luminance back that it had.
    """
    axis = np.linspace(0, 1, NODES, dtype=np.float32)
    # Pillow's table has red running fastest.
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    rgb = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    y = luminance(to_linear(rgb)) if keep_luminance else None
    mapped = oklab_to_rgb(color_map(rgb_to_oklab(rgb)), keep_luminance=y)
    return ImageFilter.Color3DLUT(NODES, mapped.reshape(-1))


def apply(
    image: Rgb,
    table: ImageFilter.Color3DLUT,
    protected: SoftMask | None = None,
    *,
    strip_rows: int = STRIP_ROWS,
) -> Rgb:
    """Send a picture through a table; return a new picture.

    The work goes in strips, so that beside input and output only a strip's worth of memory is
    used. The height of a strip does not change the result.

    Args:
        image: height x width x 3.
        table: from `build`.
        protected: where it is 1 the input's pixels are kept, between 0 and 1 they are mixed in.
        strip_rows: rows in a strip.
    """
    out = np.empty_like(image)
    cover = protected.over(image.shape[0], image.shape[1]) if protected is not None else None
    for top in range(0, image.shape[0], strip_rows):
        rows = slice(top, min(top + strip_rows, image.shape[0]))
        strip = Image.fromarray(np.ascontiguousarray(image[rows])).filter(table)
        out[rows] = np.asarray(strip)
        if cover is not None:
            cover.keep(image, out, rows)
    return out
