"""The service's interface over `loopback.Loopback`: accepts, remembers, answers as told."""

from __future__ import annotations

import itertools
import json

from loopback import Loopback, Reply, answer

SUBMIT_PATH = "/api/image/effects/image-hd-color-migration"
QUERY_PATH = "/api/common/query-async-task-result"

AT_ONCE = ("/api/image/editing/image-erase", "/api/image/effects/image-fine-tuning")

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS"
    b"\xde\x00\x00\x00\x0cIDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00"
    b"\x00\x00IEND\xaeB`\x82"
)


class ScriptedService:
    """``submissions`` and ``looks`` are answered from lists, then by the defaults."""

    def __init__(self):
        self.submissions = []
        self.looks = []
        self.files = {}
        self.numbers = itertools.count(1)
        self.server = Loopback(self.handle)
        self.before_answer = None

    async def __aenter__(self):
        await self.server.__aenter__()
        self.url = self.server.url
        return self

    async def __aexit__(self, *error):
        await self.server.__aexit__(*error)

    @property
    def accepted(self):
        return list(self.server.whole("POST"))

    @property
    def asked(self):
        return [seen.query["task_id"] for seen in self.server.seen if seen.path == QUERY_PATH]

    async def handle(self, seen):
        if self.before_answer is not None:
            await self.before_answer(seen)
        if seen.method == "POST":
            return self.submissions.pop(0) if self.submissions else self.accept(seen)
        if seen.path == QUERY_PATH:
            said = self.looks.pop(0) if self.looks else self.success()
            return said if isinstance(said, Reply) else answer(said)
        if seen.path in self.files:
            return Reply(body=self.files[seen.path], headers={"content-type": "image/jpeg"})
        return answer({"message": "gone"}, 404)

    def accept(self, seen):
        if seen.path in AT_ONCE:
            self.files.setdefault("/files/0", PNG)
            return answer({"error_code": 0, "data": {"url": f"{self.url}/files/0"}})
        number = next(self.numbers)
        return answer({"error_code": 0, "task_id": f"t-{number}", "request_id": f"r-{number}"})

    def success(self, count=2):
        urls = []
        for number in range(count):
            path = f"/files/{number}"
            self.files.setdefault(path, PNG)
            urls.append(f"{self.url}{path}?signature=sentinel-signature")
        return {"error_code": 0, "task_status": 2, "data": {"image_list": urls}}


def form_of(seen):
    """Read a form back, by hand and strictly: name -> (file name, content type, bytes)."""
    boundary = seen.headers["content-type"].split("boundary=")[1].encode()
    opening, *parts, closing = seen.body.split(b"--" + boundary)
    assert opening == b""
    assert closing == b"--\r\n"
    form = {}
    for part in parts:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        words = fields["Content-Disposition"].split("; ")
        names = dict(word.split("=", 1) for word in words[1:])
        name = json.loads(names["name"])
        filename = json.loads(names["filename"]) if "filename" in names else None
        form[name] = (filename, fields.get("Content-Type"), data.removesuffix(b"\r\n"))
    return form
