"""What is told from a file's bytes, and what is refused for it."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ailab_async.errors import InvalidOperation
from ailab_async.images import PictureRules, load_part
from ailab_async.images.headers import read_header, sniff

from .making import ANY, FORMATS, encoded, noise

WHOLE = {name: encoded(noise(64, 48), name) for name in FORMATS}


def refusal_of(data) -> InvalidOperation:
    with pytest.raises(InvalidOperation) as caught:
        read_header(data, "image")
    return caught.value


@pytest.mark.parametrize("name", FORMATS)
def test_format_size_and_mode_are_read(name):
    header = read_header(WHOLE[name], "image")
    assert (header.format, header.width, header.height, header.mode) == (name, 64, 48, "RGB")


@pytest.mark.parametrize(
    ("format_", "mode"),
    [
        *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")),
        *(("JPEG", mode) for mode in ("L", "CMYK")),
        *(("BMP", mode) for mode in ("1", "L", "P")),
        *(("TIFF", mode) for mode in ("1", "L", "CMYK", "RGBA")),
        ("WEBP", "RGBA"),
    ],
)
def test_modes_are_told_apart(format_, mode):
    image = noise(70, 60, mode) if mode == "P" else Image.new(mode, (70, 60))
    assert read_header(encoded(image, format_), "image").mode == mode


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"GIF89a", "GIF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"\0\0\0\x18ftypmp42", ""),
        (b"RIFF\0\0\0\0AVI ", ""),
        (b"%PDF-1.7", ""),
        (b"<svg xmlns=", ""),
        (b"", ""),
    ],
)
def test_other_files_are_recognised_or_not(data, name):
    assert sniff(data) == name


async def test_a_format_that_is_not_taken_is_named():
    rules = PictureRules(formats=("PNG", "JPEG", "BMP"), max_bytes=10**6)
    for data, name in (
        (encoded(noise(8, 8, "P"), "GIF"), "GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(90), "HEIC"),
        (WHOLE["WEBP"], "WEBP"),
    ):
        with pytest.raises(InvalidOperation) as caught:
            await load_part(data, rules, field="image")
        assert caught.value.limit == "a PNG, JPEG or BMP file"
        assert caught.value.value == name


async def test_the_name_of_a_file_does_not_matter(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(WHOLE["JPEG"])
    part = await load_part(path, ANY, field="image")
    assert (part.filename, part.content_type) == ("image.jpg", "image/jpeg")
    path.write_text("only text, whatever it is called")
    with pytest.raises(InvalidOperation, match="begins with b'only text"):
        await load_part(path, ANY, field="image")


# --- whole or cut short


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_short_is_refused(name, share):
    data = WHOLE[name]
    error = refusal_of(data[: int(len(data) * share)])
    assert error.field == "image"
    assert name in f"{error.limit} {error.value}"


@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "WEBP"])
def test_even_the_last_bytes_matter(name):
    assert refusal_of(WHOLE[name][:-2])


@pytest.mark.parametrize("name", FORMATS)
def test_something_behind_the_picture_does_not_matter(name):
    assert read_header(WHOLE[name] + b"appended by a camera", "image").format == name


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
def test_the_thumbnail_of_a_cut_jpeg_does_not_pass_for_its_end(options):
    thumbnail = encoded(noise(32, 32), "JPEG")
    exif = b"Exif\0\0" + thumbnail
    data = encoded(noise(300, 300), "JPEG", exif=exif, **options)
    assert thumbnail in data
    assert read_header(data, "image").width == 300
    assert refusal_of(data[:-1000])
    assert refusal_of(data[: len(exif) + 400])


def test_a_changed_byte_in_a_png_is_noticed():
    data = bytearray(WHOLE["PNG"])
    data[len(data) // 2] ^= 0x40
    assert "whole PNG" in refusal_of(bytes(data)).limit


def test_a_bmp_from_the_bottom_up_and_one_of_os2_are_whole():
    data = bytearray(WHOLE["BMP"])
    struct.pack_into("<i", data, 22, -48)
    assert read_header(bytes(data), "image").height == 48
    old = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 26) + struct.pack("<IHHHH", 12, 4, 2, 1, 24)
    assert read_header(old + bytes(24), "image").width == 4
    assert refusal_of(old + bytes(23))


def test_an_empty_file_is_refused():
    assert refusal_of(b"").value == "empty"


# --- made to do harm


def bomb(width, height) -> bytes:
    """Return a PNG that declares more pixels than it has."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


LIMITED = PictureRules(formats=("PNG",), max_bytes=10**6, smaller_than=(10000, 10000))


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (10000, 5)])
async def test_a_decompression_bomb_is_refused_by_what_it_declares(size):
    with pytest.raises(InvalidOperation) as caught:
        await load_part(bomb(*size), LIMITED, field="image")
    assert "smaller than 10000x10000" in caught.value.limit
    assert caught.value.value == "{}x{}".format(*size)


async def test_no_bomb_is_decoded_to_be_fitted():
    with pytest.raises(InvalidOperation, match="200 megapixels"):
        await load_part(bomb(100_000, 100_000), LIMITED, field="image", fit=True)


async def test_pictures_of_90_megapixels_pass_without_a_warning():
    part = await load_part(bomb(9999, 9999), LIMITED, field="image")  # warnings are errors here
    assert part.size == (9999, 9999)


def test_a_picture_without_pixels_is_refused():
    assert refusal_of(bomb(0, 5)).field == "image"


@given(st.sampled_from(FORMATS), st.data())
def test_no_damage_raises_anything_else(name, data):
    whole = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(0, min(len(whole), 200) - 1) | st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.none() | st.integers(0, len(whole)))
    try:
        header = read_header(bytes(whole[:end]), "image")
    except InvalidOperation as error:
        refusal = error
    else:
        assert header.width >= 0
        return
    assert refusal.field == "image"
    str(refusal).encode()


@given(st.sampled_from(FORMATS), st.binary(max_size=200))
def test_a_magic_number_alone_is_no_picture(name, rest):
    with pytest.raises(InvalidOperation):
        read_header(WHOLE[name][:12] + rest, "image")


def test_neither_pillow_nor_numpy_is_loaded_before_the_first_picture():
    program = (
        "import sys, ailab_async.images, ailab_async.operations as o, ailab_async.protocol.states\n"
        "o.ImageErasure('a.jpg', b'mask'); o.Endpoint('ai-bald', image='a.jpg'); o.catalogue()\n"
        "heavy = {'PIL', 'numpy', 'httpx', 'cv2', 'starlette', 'rich'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr


def test_pillow_is_left_as_it_was():
    most, readers = Image.MAX_IMAGE_PIXELS, dict(Image.OPEN)
    read_header(bomb(9999, 9999), "image")
    assert most == Image.MAX_IMAGE_PIXELS
    assert all(Image.OPEN[name] == reader for name, reader in readers.items())
