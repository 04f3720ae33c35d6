"""Parts and files for the tests, made here."""

from __future__ import annotations

import io

from PIL import Image

from ailab_async.images import Part


def part(field, *, width=640, height=480, format_="PNG", mode="RGB") -> Part:
    """Return a part as if it had been loaded."""
    extension = {"JPEG": "jpg"}.get(format_, format_.lower())
    return Part(
        field=field,
        filename=f"image.{extension}",
        content_type=f"image/{format_.lower()}",
        data=b"pixels",
        format=format_,
        width=width,
        height=height,
        mode=mode,
    )


def picture(width=640, height=480, format_="PNG", mode="RGB") -> bytes:
    """Return a file of one colour."""
    buffer = io.BytesIO()
    Image.new(mode, (width, height), "teal" if mode.startswith("RGB") else 1).save(buffer, format_)
    return buffer.getvalue()


def lines(form) -> list[tuple[str, str]]:
    """Return a form as (name, value), files by their names."""
    return [
        (item.field, item.filename) if isinstance(item, Part) else (item.name, item.value)
        for item in form
    ]
