"""Odd pictures and odd forms: a documented code for each, never a crash, never a path."""

from __future__ import annotations

import asyncio
import io
import re
import struct
import tempfile
import zlib

import httpx
import numpy as np
import pytest
from PIL import Image, ImageCms

from ailab_async.local.answers import Code
from ailab_async.protocol.codes import CODES

from .conftest import QUERY, SUBMIT, make_picture

CARTOON = "/api/image/effects/ai-anime-generator"
PLAIN = "/api/image/effects/image-color-migration"
ERASE = "/api/image/editing/image-erase"


def saved(picture, file_format, **options):
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth=8, color=2, data=b""):
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg_of_size(width, height):
    """A JPEG whose header tells another size than its pixels have."""
    data = bytearray(make_picture())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def icc():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


RGB = opened(make_picture(96, 80))
SIXTEEN = (np.arange(96 * 80, dtype=np.uint16) * 8).reshape(80, 96)
TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
LYING = struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 9000, -9000, 1, 24, 0, 0, 0, 0, 0, 0)


def animated(file_format):
    return saved(RGB, file_format, save_all=True, append_images=[RGB.rotate(90)])


def bomb_in_text():
    whole = png(96, 80, data=(b"\0" + bytes(288)) * 80)
    at = whole.index(b"IDAT") - 4
    return whole[:at] + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**24))) + whole[at:]


ODD = {
    "empty of pixels": png(96, 80),
    "zero wide": png(0, 80),
    "huge on paper": png(9000, 9000),
    "larger than it may be": png(2**31 - 1, 2**31 - 1),
    "other size in header": jpeg_of_size(900, 900),
    "truncated": make_picture()[:-300],
    "only a header": make_picture(file_format="PNG")[:33],
    "cmyk": saved(RGB.convert("CMYK"), "JPEG"),
    "16 bit grey": saved(Image.fromarray(SIXTEEN), "PNG"),
    "16 bit rgb": png(70, 70, 16, 2, (b"\0" + bytes(range(210)) * 2) * 70),
    "palette": saved(RGB.convert("P"), "PNG"),
    "one bit": saved(RGB.convert("1"), "PNG"),
    "transparent palette": saved(RGB.convert("P"), "PNG", transparency=3),
    "animated png": animated("PNG"),
    "animated gif": animated("GIF"),
    "animated webp": animated("WEBP"),
    "turned": saved(RGB, "JPEG", exif=TURNED),
    "broken exif": saved(RGB, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "strange profile": saved(RGB, "PNG", icc_profile=icc()),
    "broken profile": saved(RGB, "JPEG", icc_profile=b"no profile" * 30),
    "jpeg and zip": make_picture() + b"PK\x03\x04" + bytes(400),
    "gif and script": b"GIF89a/*" + b"\0" * 60 + b"*/=1;alert(1)",
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "svg that loads": b'<svg><image href="file:///etc/passwd"/></svg>',
    "pdf": b"%PDF-1.7\n",
    "bmp": saved(RGB, "BMP"),
    "bmp that lies": b"BM" + LYING,
    "tiff": saved(RGB, "TIFF"),
    "bomb in text": bomb_in_text(),
}


def assert_documented(answer, what=""):
    """A failure in the envelope with a code of ours under its own status, or a good answer."""
    body = answer.json()
    if answer.status_code == 200:
        assert body["error_code"] == 0
        return
    code = body["error_detail"]["code"]
    assert code in Code.__members__, what
    assert answer.status_code == CODES[code].http_status, what
    assert answer.status_code < 500, (what, answer.text)
    assert tempfile.gettempdir() not in answer.text
    assert not re.search(r"Traceback|/(home|usr|work|tmp)/|\.py\b", answer.text)


async def test_odd_pictures_are_made_or_refused(talk):
    async def upload(name, picture):
        image = await talk.post(picture)
        ref = await talk.post(make_picture(), mode="REF_PIC", ref=picture)
        for answer in (image, ref):
            assert_documented(answer, name)
            if answer.status_code == 200:
                assert_documented(await talk.end_of(answer.json()["task_id"]), name)
        files = {"image": ("a.png", picture)}
        assert_documented(await talk.http.post(PLAIN, files=files, data={"mode": "AUTO"}), name)
        files = {"image": ("a.png", make_picture(97, 80)), "user_mask": ("m.png", picture)}
        mask = await talk.http.post(ERASE, files=files)
        assert_documented(mask, name)
        assert mask.status_code != 200, name

    async with asyncio.TaskGroup() as group:
        for name, picture in ODD.items():
            group.create_task(upload(name, picture))
    # whatever came in, the next picture is made, and by the same worker
    assert (await talk.end_of(await talk.submit())).json()["task_status"] == 2
    assert "worker_deaths_total 0" in (await talk.http.get("/metrics")).text


def part(name, data, extra=b""):
    head = b'--x\r\nContent-Disposition: form-data; name="' + name + b'"' + extra + b"\r\n\r\n"
    return head + data + b"\r\n"


FILE = b'; filename="a.jpg"'
LINES = b'; filename="a\r\nb.jpg"'
CLIMBS = b'; filename="../../../tmp/x.jpg"'
MIXED = b"\r\nContent-Type: multipart/mixed; boundary=y"
FORM = "multipart/form-data; boundary=x"
END = b"--x--\r\n"
DISPOSITION = b"--x\r\nContent-Disposition: form-data"

BODIES = {
    "no boundary": ("multipart/form-data", part(b"mode", b"AUTO") + END),
    "empty boundary": ('multipart/form-data; boundary=""', b"----\r\n"),
    "endless boundary": ("multipart/form-data; boundary=" + "y" * 5000, END),
    "no end": (FORM, part(b"image", make_picture(), FILE)),
    "nothing at all": (FORM, b""),
    "nothing in it": (FORM, END),
    "nested": (FORM, part(b"image", b"--y\r\n\r\nz\r\n--y--", MIXED) + END),
    "ten thousand fields": (FORM, b"".join(part(b"f%d" % n, b"v") for n in range(10_000)) + END),
    "a field of a megabyte": (FORM, part(b"mode", bytes(2**20)) + END),
    "a name of a megabyte": (FORM, part(b"n" * 2**20, b"v") + END),
    "line breaks in a name": (FORM, part(b"mo\r\nde", b"AUTO") + END),
    "line breaks in a file name": (FORM, part(b"image", make_picture(), LINES) + END),
    "path in a file name": (FORM, part(b"image", make_picture(), CLIMBS) + END),
    "zero bytes": (FORM, part(b"mo\0de", b"AU\0TO", b"\0") + END),
    "no name": (FORM, DISPOSITION + b"\r\n\r\nv\r\n" + END),
    "no disposition": (FORM, b"--x\r\nContent-Type: text/plain\r\n\r\nv\r\n" + END),
    "no header at all": (FORM, b"--x\r\n\r\nv\r\n" + END),
    "a thousand headers": (FORM, b"--x\r\n" + b"X-A: b\r\n" * 1000 + b"\r\nv\r\n" + END),
    "charset that is none": (f"{FORM}; charset=base64", part(b"mode", b"AUTO") + END),
    "charset that raises": (f"{FORM}; charset=undefined", part(b"mode", b"AUTO") + END),
    "bytes that are no text": (FORM, part(b"mode", b"\xff\xfe\xfd") + END),
    "rubbish": (FORM, bytes(range(256)) * 40),
    "json": ("application/json", b'{"image": "x"}'),
    "url encoded": ("application/x-www-form-urlencoded", b"mode=AUTO"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_an_odd_form_is_refused(talk, name):
    kind, body = BODIES[name]
    for path in (SUBMIT, ERASE, CARTOON):
        answer = await talk.http.post(path, content=body, headers={"content-type": kind})
        assert_documented(answer)
        if path != SUBMIT:
            assert answer.status_code == 400
    assert talk.engine.queue.waiting <= 1


async def test_of_a_form_that_breaks_off_nothing_is_taken(talk):
    whole = part(b"image", make_picture(), FILE)
    for rest in (b"", b"--x", b"--x\r\n", part(b"degree", b"0.")[:-4], END[:-4]):
        answer = await talk.http.post(SUBMIT, content=whole + rest, headers={"content-type": FORM})
        assert_documented(answer)
        assert answer.json()["error_detail"]["code"] == "ERROR_PARAMETERS", rest
    assert talk.engine.queue.waiting == talk.engine.queue.busy == 0


async def test_a_field_of_a_hundred_megabytes_is_not_read_to_its_end(talk):
    handed_out = 0

    async def endless():
        nonlocal handed_out
        yield b'--x\r\nContent-Disposition: form-data; name="mode"\r\n\r\n'
        for _ in range(1600):
            handed_out += 2**16
            yield bytes(2**16)

    answer = await talk.http.post(SUBMIT, content=endless(), headers={"content-type": FORM})
    assert_documented(answer)
    assert answer.status_code == 400
    assert handed_out <= 2**17


@pytest.mark.parametrize("kind", ["multipart/form-data", FORM])
@pytest.mark.parametrize("length", ["-1", "1e3", "", "9" * 40, "0x10"])
async def test_a_length_that_makes_no_sense_is_refused(talk, kind, length):
    headers = {"content-type": kind, "content-length": length}

    async def body():
        yield b"--x--\r\n"

    answer = await talk.http.post(SUBMIT, content=body(), headers=headers)
    assert_documented(answer)
    assert answer.status_code in {400, 413}


@pytest.mark.parametrize("host", ["[", "a b", 'a"><b', "a/../b", "a:999999", "\u00e4.example"])
async def test_a_host_that_makes_no_sense_is_refused(talk, host):
    answer = await talk.http.get(QUERY, headers={"host": host.encode()})
    assert_documented(answer)
    assert answer.json()["error_detail"]["code"] == "ERROR_PARAMETERS"


@pytest.mark.parametrize("host", ["[::1]:8765", "engine", "1.2.3.4:80", "a.example:8080"])
async def test_usual_hosts_are_good(talk, host):
    answer = await talk.http.get(QUERY, headers={"host": host})
    assert answer.json()["error_detail"]["code"] == "ERROR_RESOURCE_NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    [
        *("/files/..%2f..%2fetc%2fpasswd", "/files/%00", "/files/" + "a" * 5000, "/%ff%fe", "//"),
        *("/api/common/query-async-task-result/", "/files/a%0d%0aset-cookie:x", "/api/../files/x"),
    ],
)
async def test_an_odd_path_is_not_found(talk, path):
    for method in ("GET", "POST", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
        answer = await talk.http.request(
            method, httpx.URL(path=None, raw_path=path.encode(), scheme="http", host="e")
        )
        assert_documented(answer)
        assert answer.status_code in {403, 404}


@pytest.mark.parametrize("value", ["\0", "' OR 1=1 --", "%", "é" * 200, "\ud7ff", "a" * 4000])
async def test_an_odd_id_is_not_found(talk, value):
    answer = await talk.http.get(QUERY, params={"task_id": value})
    assert_documented(answer)
    assert answer.status_code == 404


async def test_a_mask_bomb_costs_nothing(talk):
    files = {"image": ("a.png", make_picture()), "user_mask": ("m.png", png(4095, 4095))}
    answer = await talk.http.post(ERASE, files=files)
    assert_documented(answer)
    assert answer.json()["error_detail"]["code"] == "ERROR_MASK_IMAGE_RESOLUTION_MISMATCH"
