"""Films: pictures in, a file out.

H.264 comes from PyAV, whose wheels bring x264. Where PyAV is not installed, OpenCV's own VP9 is
used, which browsers play as well; but OpenCV lets nobody choose its speed, which is 20 times less,
so that such films are small ones.
"""

import importlib
import logging
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np

from .color import Rgb

Container: TypeAlias = Literal["mp4", "avi"]

logger = logging.getLogger(__name__)

_QUALITY = "20"
# ITU-T H.273: the colours of HDTV, and black at 16.
_BT709, _LIMITED = 1, 1
_VP9, _MJPEG = "vp09", "MJPG"

_VP9_PIXELS = 300_000
"""So many take half a minute for a film of four seconds."""


def encode(pictures: Iterable[Rgb], *, rate: int, container: Container) -> bytes:
    """Encode pictures of one size as a film without sound.

    With PyAV: H.264, `yuv420p`, BT.709, without B-pictures; MP4 with its index in front, so that a
    browser starts before all of it has come. Without PyAV: VP9 in MP4, made smaller where pictures
    have more than 0.3 megapixels; or Motion JPEG in AVI. Codec and size are logged: H.264 as
    information, the others as a warning.

    Args:
        pictures: at least one; a side of odd length grows by one pixel, its last one twice.
        rate: pictures in a second.
        container: the kind of file.

    Raises:
        RuntimeError: neither library can write such a file here.
    """
    even = (_even(picture) for picture in pictures)
    first = next(even)
    height, width = first.shape[:2]
    # The encoders write files: an index in front can only be written by going back to the start.
    with tempfile.TemporaryDirectory(prefix="ailab-") as folder:
        path = Path(folder) / f"film.{container}"
        try:
            av = importlib.import_module("av")
        except ModuleNotFoundError:
            codec = _VP9 if container == "mp4" else _MJPEG
            size = _affordable(width, height) if codec == _VP9 else (width, height)
            logger.warning(
                "PyAV is not installed (av>=15): the film is %s, %d x %d instead of H.264, %d x %d",
                *(codec, *size, width, height),
            )
            _by_opencv(path, chain([first], even), rate, codec, size)
        else:
            logger.info("the film is H.264, %d x %d", width, height)
            _by_pyav(av, path, chain([first], even), rate, (width, height))
        return path.read_bytes()


def _by_pyav(
    av: Any, path: Path, pictures: Iterator[Rgb], rate: int, size: tuple[int, int]
) -> None:
    index = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=index) as film:
        # One thread: a worker is one core's work. No B-pictures: their delay would need an edit
        # list, which some players show as a jump where a loop begins again.
        how = {"crf": _QUALITY, "preset": "veryfast", "threads": "1", "bf": "0"}
        stream = film.add_stream("libx264", rate=rate, options=how)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format="yuv420p",
                dst_colorspace=_BT709,
                dst_color_range=_LIMITED,
            )
            film.mux(stream.encode(frame))
        film.mux(stream.encode())


def _by_opencv(
    path: Path, pictures: Iterator[Rgb], rate: int, codec: str, size: tuple[int, int]
) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size)
    try:
        if not writer.isOpened():
            message = f"OpenCV cannot write {codec} films of {size[0]} x {size[1]}: install av>=15"
            raise RuntimeError(message)
        for picture in pictures:
            shrunk = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            writer.write(cv2.cvtColor(shrunk, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()


def _affordable(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, (_VP9_PIXELS / (width * height)) ** 0.5)
    return 2 * max(1, round(width * scale / 2)), 2 * max(1, round(height * scale / 2))


def _even(picture: Rgb) -> Rgb:
    height, width = picture.shape[:2]
    grown = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(grown, np.uint8)
