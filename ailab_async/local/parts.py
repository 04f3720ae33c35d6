"""The parts of a multipart form as they come in: kept in memory, counted, and never written.

python-multipart finds the parts; Starlette's own reader on top of it would put files into
temporary files, and leave those open of a form that breaks off.

Bytes that look like a boundary again and again cost it thirty times as much as a picture: a fifth
of a second for what one read of a socket brings. So it gets a little at a time, and others their
turn in between when that takes long.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from attrs import define, field
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from .answers import Code, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["read_parts"]

_MOST_FILES: Final = 2
_MOST_FIELDS: Final = 16
_MOST_FIELD_BYTES: Final = 4096
_MOST_HEADER_BYTES: Final = 1 << 14
_FORM: Final = b"multipart/form-data"
_AT_ONCE: Final = 1 << 13
_LONG_SECONDS: Final = 0.001


async def read_parts(content_type: str, body: AsyncIterator[bytes]) -> dict[str, str | bytes]:
    """Return the fields of a form: texts as they are, files as their bytes.

    ``body`` bounds itself. Raises `Refused` where it is no whole multipart form, has more parts or
    longer texts than any operation, the same field twice, or a text that is no UTF-8.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != _FORM or not boundary:
        raise Refused(Code.ERROR_PARAMETERS, f"The body must be {_FORM.decode()} with a boundary.")
    form = _Form()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.header_end,
                "on_headers_finished": form.headers_end,
                "on_part_data": form.data,
                "on_part_end": form.end,
                "on_end": form.finish,
            },
        )
        async for piece in body:
            await _parse(parser, piece)
    except FormParserError:
        raise Refused(Code.ERROR_PARAMETERS, "The form is not as multipart forms are.") from None
    if not form.whole:
        raise Refused(Code.ERROR_PARAMETERS, "The form ends in the middle.")
    return form.values


async def _parse(parser: MultipartParser, piece: bytes) -> None:
    began = time.perf_counter()
    for start in range(0, len(piece), _AT_ONCE):
        parser.write(piece[start : start + _AT_ONCE])
        if time.perf_counter() - began > _LONG_SECONDS:
            await asyncio.sleep(0)
            began = time.perf_counter()


@define
class _Form:
    """What was read so far; its methods are the parser's callbacks."""

    values: dict[str, str | bytes] = field(factory=dict)
    whole: bool = False
    _files: int = 0
    _fields: int = 0
    _header: bytearray = field(factory=bytearray)
    _value: bytearray = field(factory=bytearray)
    _disposition: bytes = b""
    _header_bytes: int = 0
    _name: str = ""
    _is_file: bool = False
    _content: bytearray = field(factory=bytearray)

    def begin(self) -> None:
        """A part begins."""
        self._disposition = b""
        self._header_bytes = 0
        self._content = bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's name."""
        self._count(end - start)
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's value."""
        self._count(end - start)
        self._value += data[start:end]

    def header_end(self) -> None:
        """A header is whole."""
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def headers_end(self) -> None:
        """All headers of a part are whole."""
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise Refused(Code.ERROR_PARAMETERS, "A part of the form has no name.")
        self._name = _text(options[b"name"], "The name of a field")
        self._is_file = b"filename" in options
        self._files += self._is_file
        self._fields += not self._is_file
        if self._files > _MOST_FILES or self._fields > _MOST_FIELDS:
            limits = f"{_MOST_FILES} files and {_MOST_FIELDS} fields"
            raise Refused(Code.ERROR_PARAMETERS, f"The form may have at most {limits}.")
        if self._name in self.values:
            what = f"Invalid parameter values. - {self._name[:40]}: was given twice."
            raise Refused(Code.UNSUPPORTED_PARAMETER_VALUES, what)

    def data(self, data: bytes, start: int, end: int) -> None:
        """A piece of a part's content."""
        self._content += memoryview(data)[start:end]
        if not self._is_file and len(self._content) > _MOST_FIELD_BYTES:
            raise Refused(
                Code.ERROR_PARAMETERS,
                f"The field {self._name[:40]} is no file, as it has no file name, and may have "
                f"at most {_MOST_FIELD_BYTES} bytes.",
            )

    def end(self) -> None:
        """A part is whole."""
        content = bytes(self._content)
        self._content = bytearray()
        name = f"The field {self._name[:40]} is no file, as it has no file name, and"
        self.values[self._name] = content if self._is_file else _text(content, name)

    def finish(self) -> None:
        """The last part is whole."""
        self.whole = True

    def _count(self, length: int) -> None:
        self._header_bytes += length
        if self._header_bytes > _MOST_HEADER_BYTES:
            raise Refused(
                Code.ERROR_PARAMETERS,
                f"The headers of a part may have at most {_MOST_HEADER_BYTES} bytes.",
            )


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(Code.ERROR_PARAMETERS, f"{what} must be UTF-8.") from None
