"""Our forms, read back by parsers that were not written here."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser, parse_options_header
from werkzeug.formparser import parse_form_data

from ailab_async.protocol.multipart import CHUNK, FormField, MultipartBody, WithdrawnError

NAMES = ["image", 'quo"te', "line\r\nbreak", "лицо", "a;b=c", "back\\slash", "%22", ""]


def unescaped(name):
    """Undo what browsers write for quotes and line breaks; the parsers leave it as it stands."""
    return name.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def whole(body):
    data = b"".join(body.chunks())
    assert len(data) == body.length
    return data


def by_python_multipart(body):
    found, current = [], {}

    def header_field(data, start, end):
        current["name"] = current.get("name", b"") + data[start:end]

    def header_value(data, start, end):
        current["value"] = current.get("value", b"") + data[start:end]

    def header_end():
        current.setdefault("headers", {})[current.pop("name").lower()] = current.pop("value")

    def part_data(data, start, end):
        current["data"] = current.get("data", b"") + data[start:end]

    def part_end():
        headers = current["headers"]
        _, options = parse_options_header(headers[b"content-disposition"])
        found.append(
            (
                options[b"name"].decode(),
                options[b"filename"].decode() if b"filename" in options else None,
                headers.get(b"content-type", b"").decode() or None,
                current.get("data", b""),
            )
        )
        current.clear()

    callbacks = {
        "on_header_field": header_field,
        "on_header_value": header_value,
        "on_header_end": header_end,
        "on_part_data": part_data,
        "on_part_end": part_end,
    }
    parser = MultipartParser(body.boundary.encode(), callbacks)
    for chunk in body.chunks():
        parser.write(bytes(chunk))
    parser.finalize()
    return found


def by_werkzeug(body):
    data = whole(body)
    environ = {
        "wsgi.input": io.BytesIO(data),
        "CONTENT_LENGTH": str(len(data)),
        "CONTENT_TYPE": body.content_type,
        "REQUEST_METHOD": "POST",
    }
    _, form, files = parse_form_data(environ, silent=False)
    texts = [(name, None, None, value.encode()) for name, value in form.items(multi=True)]
    pictures = [
        (name, file.filename, file.content_type, file.read())
        for name, file in files.items(multi=True)
    ]
    for file in files.values():
        file.close()
    return texts + pictures


PARSERS = [by_python_multipart, by_werkzeug]


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("name", NAMES)
def test_odd_names_come_through(parse, name):
    text = FormField(name=name, data="ä€😀".encode())
    file = FormField(
        name="image", data=b"\x00\xff\r\n--", filename=f"{name}.png", content_type="image/png"
    )
    (first, second) = parse(MultipartBody([text, file]))
    # a browser's escape tells "%22" from a quote no more than ours does, and leaves a backslash as
    # it is, which one of the parsers takes for an escape of its own
    assert unescaped(first[0]).replace("\\", "") == unescaped(name).replace("\\", "")
    assert unescaped(second[1]).replace("\\", "") == unescaped(f"{name}.png").replace("\\", "")
    assert (second[0], first[3]) == ("image", text.data)
    assert second[2:] == ("image/png", file.data)


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * 2**20])
def test_pictures_of_every_size_come_through_whole(parse, size):
    picture = bytes(range(256)) * (size // 256) + bytes(size % 256)
    fields = [
        FormField(name="task_type", data=b"async"),
        FormField(name="image", data=picture, filename="image.png", content_type="image/png"),
        FormField(name="ref", data=picture, filename="ref.png", content_type="image/png"),
        FormField(name="mode", data=b"REF_PIC"),
    ]
    found = sorted(parse(MultipartBody(fields)))
    assert [(name, data) for name, _, _, data in found] == sorted(
        (field.name, field.data) for field in fields
    )


@pytest.mark.parametrize("parse", PARSERS)
def test_a_look_alike_of_the_boundary_is_data(parse):
    field = FormField(name="image", data=b"", filename="a.png", content_type="image/png")
    body = MultipartBody([field])
    for tail in (b"", b"--", b"\r\n", b"x"):
        mark = b"\r\n--" + body.boundary.encode()[:-1] + tail
        twin = MultipartBody([FormField(name="image", data=mark * 3, filename="a.png")])
        ((_, _, _, data),) = parse(twin)
        assert data == mark * 3


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=5))
def test_any_bytes_come_through(pieces):
    fields = [FormField(name=f"f{number}", data=data) for number, data in enumerate(pieces)]
    assert [data for *_, data in by_python_multipart(MultipartBody(fields))] == pieces


def test_a_large_picture_is_handed_out_without_a_copy():
    picture = bytes(2 * CHUNK)
    body = MultipartBody([FormField(name="image", data=picture, filename="a", content_type="b")])
    shared = [chunk for chunk in body.chunks() if chunk.obj is picture]
    assert sum(map(len, shared)) == len(picture)


def test_the_flags_say_what_can_have_left():
    body = MultipartBody([FormField(name="image", data=bytes(2 * CHUNK))])
    assert (body.started, body.complete) == (False, False)
    chunks = body.chunks()
    assert (body.started, body.complete) == (False, False)
    for chunk in chunks:
        last = bytes(chunk) == f"--{body.boundary}--\r\n".encode()
        assert body.started
        assert body.complete == last, "set before the closing boundary leaves, and not earlier"
    body.rewind()
    assert (body.started, body.complete) == (False, False)
    assert len(b"".join(body.chunks())) == body.length


@pytest.mark.parametrize("give_up", ["withdraw", "rewind"])
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_an_attempt_that_was_given_up_hands_out_no_more(give_up, steps):
    body = MultipartBody([FormField(name="image", data=bytes(3 * CHUNK))])
    chunks = body.chunks()
    for _ in range(steps):
        next(chunks)
    getattr(body, give_up)()
    with pytest.raises(WithdrawnError):
        next(chunks)
    assert not body.complete


def test_what_has_left_whole_cannot_be_taken_back():
    body = MultipartBody([FormField(name="a", data=b"b")])
    assert len(list(body.chunks())) == 2
    assert not body.withdraw()
    assert body.complete
