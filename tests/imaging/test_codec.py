"""Files in, arrays out, and back."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from ailab_async.local.imaging.codec import UndecodableImage, decode, encode

from .conftest import PICTURES

JPEG = (PICTURES / "coffee.jpg").read_bytes()
RAMP = np.indices((48, 64)).sum(axis=0).astype(np.uint8)[..., None] * np.uint8([2, 1, 0])


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_png_comes_back_bit_for_bit():
    assert (decode(encode(RAMP, format="PNG")) == RAMP).all()


def test_jpeg_comes_back_nearly():
    back = decode(encode(RAMP, format="JPEG"))
    assert abs(back.astype(int) - RAMP).mean() < 1


@pytest.mark.parametrize(("kind", "magic"), [("JPEG", b"\xff\xd8\xff"), ("PNG", b"\x89PNG")])
def test_the_format_asked_for_is_the_format_written(kind, magic):
    assert encode(RAMP, format=kind).startswith(magic)


def test_encoding_takes_arrays_that_are_views():
    assert (decode(encode(RAMP[::-1, ::2], format="PNG")) == RAMP[::-1, ::2]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_format_becomes_three_channels(kind, mode):
    image = decode(saved(Image.fromarray(RAMP).convert(mode), kind))
    assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "I;16"])
def test_every_png_mode_becomes_three_channels(mode):
    flat = Image.new("L" if mode == "I;16" else "RGB", (20, 10), "white").convert(
        "RGB" if mode == "P" else "L" if mode == "I;16" else mode
    )
    if mode == "P":
        flat = flat.quantize(4)
    if mode == "I;16":
        flat = Image.fromarray(np.full((10, 20), 65535, np.uint16))
    image = decode(saved(flat, "PNG"))
    assert image.shape == (10, 20, 3)
    assert (image == 255).all()


def test_transparent_parts_lie_on_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (decode(saved(clear, "PNG")) == 255).all()


def test_a_picture_on_its_side_comes_out_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    image = decode(saved(Image.fromarray(RAMP), "PNG", exif=exif))
    assert (image == np.rot90(RAMP, -1)).all()


def profile(*, swapped):
    """An ICC profile: sRGB, or one of another name whose red is sRGB's green and the reverse."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if swapped:
        data = data.replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))
        data = data.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    return data


def test_a_colour_profile_is_applied():
    red = Image.new("RGB", (8, 8), (250, 20, 20))
    image = decode(saved(red, "JPEG", icc_profile=profile(swapped=True)))
    assert abs(image - np.array([20, 250, 20])).max() < 8


@pytest.mark.parametrize("data", [profile(swapped=False), b"no profile"])
def test_a_profile_that_says_nothing_new_changes_nothing(data):
    assert (decode(saved(Image.fromarray(RAMP), "PNG", icc_profile=data)) == RAMP).all()


def test_a_reference_may_be_decoded_smaller():
    image = decode(JPEG, at_least=150)
    assert image.shape == (100, 150, 3)
    assert decode(JPEG, at_least=200).shape[1] >= 200
    assert decode(JPEG, at_least=5000).shape == decode(JPEG).shape


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_file_cut_short_is_refused(kind, share):
    data = saved(Image.open(io.BytesIO(JPEG)), kind)
    with pytest.raises(UndecodableImage):
        decode(data[: int(len(data) * share)])


def test_other_formats_are_refused():
    with pytest.raises(UndecodableImage):
        decode(saved(Image.fromarray(RAMP), "GIF"))


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"]))
def test_nonsense_is_refused(junk, start):
    with pytest.raises(UndecodableImage):
        decode(start + junk)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(2, len(JPEG) - 1), st.integers(0, 255)), max_size=40))
def test_a_damaged_file_is_a_picture_or_refused(spots):
    data = bytearray(JPEG)
    for place, value in spots:
        data[place] = value
    try:
        image = decode(bytes(data))
    except UndecodableImage:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


def test_large_pictures_are_decoded_in_silence(monkeypatch):
    """Pillow warns above its limit and refuses above twice that; warnings fail these tests."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200_000)
    assert decode(JPEG).shape == (400, 600, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    with pytest.raises(UndecodableImage):
        decode(JPEG)


def test_pillows_limit_on_pixels_is_left_alone():
    before = Image.MAX_IMAGE_PIXELS
    decode(JPEG)
    assert before == Image.MAX_IMAGE_PIXELS
