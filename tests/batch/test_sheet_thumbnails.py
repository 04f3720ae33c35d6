"""Thumbnails: of any picture, upright, in sRGB, and never a danger."""

import io
import struct
import warnings
import zlib

import pytest
from PIL import Image, ImageCms

from ailab_async.batch.thumbnails import thumbnail

EXIF_ORIENTATION = 274


def saved(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def halves(size=(640, 400), mode="RGB"):
    """A picture whose left half is red and whose right half is blue."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def is_near(found, wanted, within=14):
    return all(abs(one - other) <= within for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("WEBP", "RGB"),
        ("BMP", "RGB"),
        ("TIFF", "RGB"),
        ("GIF", "P"),
    ],
)
def test_any_picture_becomes_a_small_jpeg(kind, mode):
    small = opened(thumbnail(saved(halves(mode=mode), kind)))
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (320, 200))
    assert is_near(small.getpixel((40, 100)), (254, 0, 0))
    assert is_near(small.getpixel((280, 100)), (0, 0, 254))


def test_a_small_picture_is_not_enlarged_and_a_thin_one_keeps_a_pixel():
    assert opened(thumbnail(saved(Image.new("L", (30, 20), 9)))).size == (30, 20)
    assert opened(thumbnail(saved(Image.new("RGB", (4000, 3))))).size == (320, 1)
    assert opened(thumbnail(saved(halves()), side=64)).size == (64, 40)
    with pytest.raises(ValueError, match="at least 1 pixel, not 0"):
        thumbnail(b"", side=0)


@pytest.mark.parametrize(
    ("orientation", "turn"), [(3, 180), (6, 90), (8, 270)], ids=["half", "right", "left"]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_stands_upright(kind, orientation, turn):
    lying = halves().rotate(turn, expand=True)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    small = opened(thumbnail(saved(lying, kind, exif=exif.tobytes())))
    assert small.size == (320, 200)
    assert is_near(small.getpixel((40, 100)), (254, 0, 0))
    assert EXIF_ORIENTATION not in small.getexif()


def test_broken_metadata_costs_no_thumbnail():
    data = saved(halves(), exif=b"Exif\0\0MM\0*\0\0\xff\xff broken", icc_profile=b"no profile")
    assert opened(thumbnail(data)).size == (320, 200)


def test_what_is_transparent_lies_on_white():
    clear = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    assert is_near(opened(thumbnail(saved(clear, "PNG"))).getpixel((9, 9)), (255, 255, 255))


def test_sixteen_bits_are_brought_to_eight():
    grey = Image.new("I;16", (400, 400), 0x8000)
    assert is_near(opened(thumbnail(saved(grey, "PNG"))).getpixel((9, 9)), (128, 128, 128), 3)


def test_colours_are_converted_from_the_profile_they_are_in():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # a profile whose red is called blue and whose blue is called red
    swapped = srgb.replace(b"rXYZ", b"_XYZ").replace(b"bXYZ", b"rXYZ").replace(b"_XYZ", b"bXYZ")
    for profile, left in ((srgb, (254, 0, 0)), (swapped, (0, 0, 254))):
        small = opened(thumbnail(saved(halves(), icc_profile=profile)))
        assert is_near(small.getpixel((40, 100)), left)
        assert "icc_profile" not in small.info


def test_a_hundred_megapixels_of_jpeg_are_no_bomb(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = saved(Image.new("L", (12_500, 8_000), 90), quality=30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = thumbnail(data)
    monkeypatch.undo()
    assert opened(small).size == (320, 205)


def png_header(width, height):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def declared(data, width, height):
    """Return a JPEG file whose header declares another size."""
    at = next(place for mark in (b"\xff\xc0", b"\xff\xc2") if (place := data.find(mark)) > 0)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def test_more_pixels_than_are_decoded_here_have_no_thumbnail():
    assert thumbnail(png_header(60_000, 60_000)) is None
    plain = saved(halves())
    assert thumbnail(declared(plain, 65_000, 65_000)) is None
    # held whole by the decoder, whatever size it is asked for
    assert thumbnail(declared(saved(halves(), progressive=True), 10_000, 8_000)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 500,
        b"\x1aE\xdf\xa3 webm",
        b"RIFF\0\0\0\0AVI LIST",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        saved(halves())[:900],
        saved(halves(), "PNG")[:300],
        b"\xff\xd8\xff" + b"\0" * 100,
        b"\0\0\0\x18ftypheic" + b"\0" * 100,
    ],
    ids=["empty", "mp4", "webm", "avi", "svg", "cut jpeg", "cut png", "noise", "heic"],
)
def test_what_pillow_cannot_read_has_no_thumbnail(data):
    assert thumbnail(data) is None
