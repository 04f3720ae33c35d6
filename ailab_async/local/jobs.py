"""What a worker can be told to do: one function for each word in a job's ``operation``.

A function takes the job and the uploaded pictures, and yields each result as soon as it is
encoded, with the extension of its file. Everything heavy is loaded inside the functions, in the
worker process.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .imaging.codec import Format
    from .imaging.color import Rgb

    Job = Mapping[str, Any]
    Made = Iterator[tuple[bytes, str]]

__all__ = ["JOBS", "Unusable", "do"]

_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = 1
_TURNED: Final = range(2, 9)


class Unusable(Exception):
    """The picture is not one that this can be done with; ``code`` is an error of the service."""

    def __init__(self, code: str, message: str) -> None:
        """``message`` goes to the client."""
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


def do(job: Job, pictures: Sequence[bytes]) -> Made:
    """Do a job. Raises `Unusable` for pictures, and anything else for what is wrong here."""
    from .imaging.codec import UndecodableImage  # noqa: PLC0415 - see above

    try:
        yield from JOBS[job["operation"]](job, pictures)
    except UndecodableImage as error:
        raise Unusable("FILE_DECODING_FAILURE", str(error)) from error


def _recolor(job: Job, pictures: Sequence[bytes]) -> Made:
    from .imaging import recolor  # noqa: PLC0415 - as above
    from .imaging.codec import decode  # noqa: PLC0415 - as above

    image, degree = decode(pictures[0]), float(job["degree"])
    made: Iterator[Rgb]
    match job["mode"]:
        case "AUTO":
            made = iter(recolor.recolor_auto(image, color_count=job["color_count"], degree=degree))
        case "TEMPLATE":
            colors = [(red, green, blue) for red, green, blue in job["colors"]]
            made = iter([recolor.recolor_template(image, colors=colors, degree=degree)])
        case "REF_PIC":
            # its colours are read off a thumbnail: a large JPEG need not be decoded whole
            reference = decode(pictures[1], at_least=recolor.REFERENCE_SIDE)
            made = iter([recolor.recolor_reference(image, reference, degree=degree)])
        case unknown:
            message = f"no such mode: {unknown}"
            raise ValueError(message)
    for picture in made:
        yield _encoded(picture, job["format"])


def _erase(job: Job, pictures: Sequence[bytes]) -> Made:
    from .imaging.codec import decode  # noqa: PLC0415 - as above
    from .imaging.completion import NothingToCopyFrom  # noqa: PLC0415 - as above
    from .imaging.erasure import erase  # noqa: PLC0415 - as above

    image = decode(pictures[0])
    mask = _mask(pictures[1], pictures[0], (image.shape[0], image.shape[1]))
    try:
        picture = erase(image, mask)
    except NothingToCopyFrom as error:
        raise Unusable("FILE_CONTENT_NON_COMPLIANCE", str(error)) from error
    yield _encoded(picture, job["format"])


def _animate(job: Job, pictures: Sequence[bytes]) -> Made:
    from .imaging.codec import decode  # noqa: PLC0415 - as above
    from .imaging.motion import NoTarget, animate  # noqa: PLC0415 - as above

    try:
        yield animate(decode(pictures[0]), sky=job["sky"], hair=job["hair"]), ".mp4"
    except NoTarget as error:
        raise Unusable("ERROR_NO_RECOGNITION_TARGET_DETECTED", str(error)) from error


def _cartoon(job: Job, pictures: Sequence[bytes]) -> Made:
    from .imaging.cartoon import cartoon  # noqa: PLC0415 - as above
    from .imaging.codec import decode  # noqa: PLC0415 - as above

    yield _encoded(cartoon(decode(pictures[0]), job["style"]), job["format"])


JOBS: Final[Mapping[str, Callable[[Job, Sequence[bytes]], Made]]] = {
    "recolor": _recolor,
    "erase": _erase,
    "animate": _animate,
    "cartoon": _cartoon,
}
"""Every operation that a worker knows."""


def _encoded(picture: Rgb, form: Format) -> tuple[bytes, str]:
    from .imaging.codec import encode  # noqa: PLC0415 - as above

    return encode(picture, format=form), ".png" if form == "PNG" else ".jpg"


def _mask(mask: bytes, image: bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return what is to be erased, the same way up as the decoded image.

    A mask is painted over the pixels as they are stored: that is what its size is checked against.
    So it is turned as the image's EXIF orientation turns the image, unless it has one itself.
    """
    import numpy as np  # noqa: PLC0415 - as above
    from PIL import Image, ImageOps  # noqa: PLC0415 - as above

    from .imaging.codec import decode  # noqa: PLC0415 - as above
    from .imaging.erasure import mask_from  # noqa: PLC0415 - as above

    layer = decode(mask)
    if _orientation(mask) == _UPRIGHT != _orientation(image):
        turned = Image.fromarray(np.ascontiguousarray(layer))
        turned.getexif()[_ORIENTATION] = _orientation(image)
        layer = np.asarray(ImageOps.exif_transpose(turned))
    return mask_from(layer, size)


def _orientation(picture: bytes) -> int:
    from PIL import Image  # noqa: PLC0415 - as above

    with Image.open(io.BytesIO(picture)) as opened:
        try:
            found = int(opened.getexif().get(_ORIENTATION, _UPRIGHT))
        except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
            return _UPRIGHT  # as `decode` takes broken metadata
    return found if found in _TURNED else _UPRIGHT
