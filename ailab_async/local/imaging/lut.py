"""A map of colours as a three-dimensional table, and its way over a picture of any size.

Whatever a mode does to colours, it does to the 33 x 33 x 33 nodes of one table; the picture then
goes through that table by trilinear interpolation. So the cost of the mathematics does not depend
on the picture, and 33 nodes an axis (the size the film industry uses) is finer than 8-bit colour
can show for maps as smooth as these.

A map that pulls similar colours apart makes grain and JPEG blocks visible that were not. So the
fine texture of a picture can be kept out of the table and laid over what comes out of it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .color import (
    Floats,
    Rgb,
    luminance,
    oklab_to_rgb,
    rgb_to_oklab,
    to_linear,
)

ColorMap: TypeAlias = Callable[[Floats], Floats]
"""OKLab colours, n x 3, to the OKLab colours that they become, n x 3."""

NODES = 33
STRIP_PIXELS = 1 << 19
THREADS = 2

# Fine texture is what a blur over this many pixels takes away, at most this many of 255 levels of
# it: film grain, sensor noise, JPEG blocks. The nearer to an edge, the less: a table that stretches
# tones would make a halo of what the blur brings over from the other side.
_TEXTURE_SIZE = 9
_TEXTURE_LEVELS, _EDGE_LEVELS = 14, 32
_AROUND = np.ones((_TEXTURE_SIZE, _TEXTURE_SIZE), np.uint8)
_LEVELS = np.interp(np.arange(256), [_TEXTURE_LEVELS, _EDGE_LEVELS], [_TEXTURE_LEVELS, 0]).astype(
    np.uint8
)


class Cover(Protocol):
    """A mask laid over a picture: it mixes the source's pixels back into the target's `rows`."""

    def keep(self, source: Rgb, target: Rgb, rows: slice) -> None: ...  # noqa: D102 - see above


class Mask(Protocol):
    """What keeps its pixels, at any size."""

    def over(self, height: int, width: int) -> Cover: ...  # noqa: D102 - see above


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
    protected: Mask | None = None,
    *,
    texture: float | None = None,
    strip_rows: int | None = None,
    threads: int = THREADS,
) -> Rgb:
    """Send a picture through a table; return a new picture.

    The work goes in strips, so that beside input and output only a few strips' worth of memory is
    used. Neither the height of a strip nor the number of threads changes the result.

    Args:
        image: height x width x 3.
        table: from `build`.
        protected: where it is 1 the input's pixels are kept, between 0 and 1 they are mixed in.
        texture: fine texture does not go through the table, but is added to what comes out of it,
            this many times, 0..1. By default all goes through the table.
        strip_rows: rows in a strip; by default half a megapixel of them, which stays in the cache.
        threads: how many strips are worked on at a time.
    """
    height, width = image.shape[:2]
    out = np.empty_like(image)
    cover = protected.over(height, width) if protected is not None else None

    def send(rows: slice) -> None:
        if texture is None:
            out[rows] = _through(table, np.ascontiguousarray(image[rows]))
        else:
            out[rows] = _without_texture(image, rows, table, texture)
        if cover is not None:
            cover.keep(image, out, rows)

    step = strip_rows or max(1, STRIP_PIXELS // width)
    strips = [slice(top, min(top + step, height)) for top in range(0, height, step)]
    # Pillow and OpenCV let go of the interpreter while they work.
    with ThreadPoolExecutor(min(len(strips), threads)) as pool:
        list(pool.map(send, strips))  # raises what one of them has raised
    return out


def _through(table: ImageFilter.Color3DLUT, strip: Rgb) -> Rgb:
    return np.asarray(Image.fromarray(strip).filter(table))


def _blur(window: Rgb) -> Rgb:
    size = (_TEXTURE_SIZE, _TEXTURE_SIZE)
    return np.asarray(cv2.blur(window, size, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _without_texture(
    image: Rgb, rows: slice, table: ImageFilter.Color3DLUT, texture: float
) -> NDArray[np.generic]:
    """Send rows of a picture through a table, but for their texture.

    All in saturating bytes, which OpenCV works on sixteen and more at a time: a difference of two
    pictures is two of them, what is brighter and what is darker.
    """
    # A blur, the greatest value around, and a blur again reach as far as three halves.
    margin = 3 * (_TEXTURE_SIZE // 2)
    above = min(margin, rows.start)
    window = np.ascontiguousarray(image[rows.start - above : rows.stop + margin])
    smooth = _blur(window)
    strongest = cv2.dilate(cv2.absdiff(window, smooth), _AROUND, borderType=cv2.BORDER_REPLICATE)
    levels = _blur(np.asarray(cv2.LUT(strongest, _LEVELS), np.uint8))
    inside = slice(above, above + rows.stop - rows.start)
    strip, smooth, levels = window[inside], smooth[inside], levels[inside]
    base = cv2.min(smooth, cv2.add(strip, levels))
    base = cv2.max(base, cv2.subtract(strip, levels))
    scale = np.rint(np.arange(256) * texture).astype(np.uint8)
    brighter = cv2.LUT(cv2.subtract(strip, base), scale)
    darker = cv2.LUT(cv2.subtract(base, strip), scale)
    mapped = _through(table, np.asarray(base, np.uint8))
    return cv2.subtract(cv2.add(mapped, brighter), darker)
