"""A picture in, a named, measured and checked part out.

What a picture may come as is in `sources`, what the service takes in `rules`, how a file is
looked at without decoding its pixels in `headers`, and how an unacceptable picture is made
acceptable in `fitting`. Pillow is imported when the first picture is looked at, numpy never.
"""

from .loading import load_part
from .rules import FIT_MAX_BYTES, Part, PictureRules
from .sources import (
    AsyncReader,
    PictureSource,
    check_source,
    clean_stem,
    show_source,
    source_key,
    source_stem,
)

__all__ = [
    "FIT_MAX_BYTES",
    "AsyncReader",
    "Part",
    "PictureRules",
    "PictureSource",
    "check_source",
    "clean_stem",
    "load_part",
    "show_source",
    "source_key",
    "source_stem",
]
