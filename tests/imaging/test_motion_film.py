"""The film's file: codec, size, colours, and what happens without PyAV."""

import io
import logging
import sys

import cv2
import numpy as np
import pytest

from ailab_async.local.imaging.motion import COUNT, RATE, animate
from ailab_async.local.imaging.video import encode


@pytest.fixture
def without_av(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)


def ramp(height, width, count=6):
    """A few soft, colourful pictures with a bar that moves."""
    y, x = np.mgrid[:height, :width]
    base = np.dstack([200 * x / width, 180 * y / height, 120 + 0 * x]).astype(np.uint8)
    pictures = []
    for number in range(count):
        picture = base.copy()
        picture[:, 4 * number : 4 * number + 4] = (30, 200, 220)
        pictures.append(picture)
    return pictures


def boxes(data):
    """The names of an MP4's outermost boxes, in order."""
    names, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8].decode())
        at += size if size > 1 else int.from_bytes(data[at + 8 : at + 16], "big")
    return names


def opened(data):
    av = pytest.importorskip("av")
    return av.open(io.BytesIO(data))


def decoded(data):
    with opened(data) as film:
        assert film.streams.video[0].codec_context.colorspace == 1  # BT.709
        return [from_bt709(frame.to_ndarray()) for frame in film.decode(video=0)]


def from_bt709(planes):
    """Turn yuv420p planes into red, green and blue, by the standard's own numbers."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    colors = planes.reshape(-1)[height * width :].reshape(2, height // 2, width // 2)
    u, v = ((cv2.resize(c, (width, height)).astype(float) - 128) / 224 for c in colors)
    y = (planes[:height].astype(float) - 16) / 219
    red, blue = y + 1.5748 * v, y + 1.8556 * u
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    return np.clip(np.dstack([red, green, blue]) * 255, 0, 255).round().astype(np.uint8)


def read_by_opencv(data, folder, ending):
    path = folder / f"film.{ending}"
    path.write_bytes(data)
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == 25
    pictures = []
    while (got := capture.read())[0]:
        pictures.append(cv2.cvtColor(got[1], cv2.COLOR_BGR2RGB))
    capture.release()
    return pictures


def test_a_film_is_four_seconds_of_h264_that_every_player_knows(dusk):
    pytest.importorskip("av")
    data = animate(dusk[:, :400], sky=True, hair=False)
    with opened(data) as film:
        (stream,) = film.streams
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == RATE == 25
        assert stream.frames == COUNT
        assert float(stream.duration * stream.time_base) == 4
        assert (stream.width, stream.height) == (400, 428)
        kinds = [int(frame.pict_type) for frame in film.decode(video=0)]
    assert len(kinds) == COUNT
    # FFmpeg's numbers: 1 is an I-picture, 2 a P-picture, 3 would be a B-picture.
    assert set(kinds) == {1, 2}


def test_the_index_comes_before_the_pictures():
    pytest.importorskip("av")
    found = boxes(encode(ramp(64, 96), rate=25, container="mp4"))
    assert found.index("moov") < found.index("mdat")


@pytest.mark.parametrize("container", ["mp4", "avi"])
def test_colours_come_out_as_they_went_in(container):
    pytest.importorskip("av")
    pictures = ramp(120, 160)
    out = decoded(encode(pictures, rate=25, container=container))
    assert len(out) == len(pictures)
    for before, after in zip(pictures, out, strict=True):
        away = after.astype(int) - before
        assert abs(np.median(away, axis=(0, 1))).max() <= 2
        assert abs(away).mean() < 4


def test_odd_sides_grow_by_one_pixel():
    pytest.importorskip("av")
    for picture in decoded(encode(ramp(65, 97), rate=25, container="mp4")):
        assert picture.shape == (66, 98, 3)
        assert abs(picture[-1].astype(int) - picture[-2]).max() < 12


def test_avi_holds_h264_as_well():
    pytest.importorskip("av")
    data = encode(ramp(64, 96), rate=25, container="avi")
    assert (data[:4], data[8:12]) == (b"RIFF", b"AVI ")
    with opened(data) as film:
        assert film.streams.video[0].codec_context.name == "h264"


def test_same_pictures_same_bytes():
    pytest.importorskip("av")
    one, other = (encode(ramp(64, 96), rate=25, container="mp4") for _ in range(2))
    assert one == other


def test_with_pyav_the_codec_is_only_information(caplog):
    pytest.importorskip("av")
    with caplog.at_level(logging.INFO):
        encode(ramp(64, 96), rate=25, container="mp4")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "the film is H.264, 96 x 64")
    ]


@pytest.mark.parametrize(("container", "codec"), [("mp4", "vp09"), ("avi", "MJPG")])
def test_without_pyav_opencv_writes_the_film(without_av, container, codec, tmp_path, caplog):
    data = encode(ramp(65, 96), rate=25, container=container)
    assert codec.encode() in data
    pictures = read_by_opencv(data, tmp_path, container)
    assert len(pictures) == 6
    for before, after in zip(ramp(65, 96), pictures, strict=True):
        assert after.shape == (66, 96, 3)
        assert abs(after[:65].astype(int) - before).mean() < 5
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{codec}, 96 x 66" in record.getMessage()
    assert "av>=15" in record.getMessage()


def test_without_pyav_large_films_become_small_ones(without_av, tmp_path, caplog):
    data = encode(ramp(700, 1000, count=1), rate=25, container="mp4")
    (picture,) = read_by_opencv(data, tmp_path, "mp4")
    height, width, _ = picture.shape
    assert 0.28e6 < height * width <= 0.3e6
    assert width / height == pytest.approx(10 / 7, rel=0.01)
    assert f"vp09, {width} x {height} instead of H.264, 1000 x 700" in caplog.text
