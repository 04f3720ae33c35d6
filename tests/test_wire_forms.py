"""What goes over the wire, exactly: every operation in every mode, and every code back."""

import pytest
import respx
from loopback import Seen
from PIL import Image
from scripted_service import form_of

from ailab_async import (
    AILabError,
    AsyncClient,
    Auto,
    CartoonGenerator,
    Endpoint,
    HDColorMigration,
    ImageErasure,
    MicroMotion,
    Motion,
    PollPolicy,
    RefPic,
    RetryPolicy,
    Service,
    Template,
    errors,
)
from ailab_async.protocol.codes import CODES, CodeClass

BASE = "https://www.ailabapi.com"
FILE = "https://files.example/a.png"


@pytest.fixture
def photo(pictures):
    return pictures / "coffee.jpg"


@pytest.fixture
def mask(tmp_path):
    path = tmp_path / "mask.png"
    Image.new("RGB", (600, 400), "white").save(path)
    return path


def sent(route):
    """Return the parts of the one form that went to a route, in order."""
    request = route.calls.last.request
    headers = {name.lower(): value for name, value in request.headers.items()}
    parts = form_of(Seen("POST", "/", headers, request.content))
    return [(name, *part) for name, part in parts.items()]


ASYNC = ("task_type", None, None, b"async")


def cases(photo, mask):
    jpeg = photo.read_bytes()
    image = ("image", "image.jpg", "image/jpeg", jpeg)
    effects, editing = "/api/image/effects", "/api/image/editing"

    def migration(mode, word, *own, degree=b"0.4"):
        fields = [ASYNC, image, ("mode", None, None, word), ("degree", None, None, degree), *own]
        return f"{effects}/image-hd-color-migration", mode, fields

    count = ("color_count", None, None, b"8")
    template = ("color_template", None, None, b"056A6B,0A0B0C")
    ref = ("ref", "image.jpg", "image/jpeg", jpeg)
    small = HDColorMigration(photo, Auto(8), degree=0.00001)
    yield migration(HDColorMigration(photo, Auto(8)), b"AUTO", count)
    yield migration(small, b"AUTO", count, degree=b"0.00001")
    colors = Template("#056a6b", "0A0B0C")
    yield migration(HDColorMigration(photo, colors, degree=1), b"TEMPLATE", template, degree=b"1")
    yield migration(HDColorMigration(photo, RefPic(photo)), b"REF_PIC", ref)
    erased = [image, ("user_mask", "image.png", "image/png", mask.read_bytes())]
    yield f"{editing}/image-erase", ImageErasure(photo, mask), erased
    bits = {Motion.SKY: b"01", Motion.HAIR: b"10", Motion.SKY | Motion.HAIR: b"11"}
    for motion, written in bits.items():
        fields = [image, ("operation", None, None, written)]
        yield f"{effects}/image-fine-tuning", MicroMotion(photo, motion), fields
    for style in range(9):
        fields = [ASYNC, image, ("index", None, None, str(style).encode())]
        yield f"{effects}/ai-anime-generator", CartoonGenerator(photo, style), fields
    endpoint = Endpoint("image-exposure-score", image=photo, extra={"trace": True})
    fields = [image, ("trace", None, None, b"true")]
    yield "/api/image/rating/image-exposure-score", endpoint, fields


def by_task_type(fields):
    """The service reads a form by names; ours puts the task type first, the pages do not say."""
    return sorted(fields, key=lambda field: field[0] != "task_type")


async def test_every_operation_is_sent_as_documented_and_its_result_is_read(photo, mask):
    async with AsyncClient("key", poll=PollPolicy.fixed(0.001)) as client:
        for path, operation, fields in cases(photo, mask):
            with respx.mock(base_url=BASE, assert_all_called=False) as router:
                at_once = {"error_code": 0, "data": {"url": FILE}}
                accepted = {"error_code": 0, "task_id": "t-1"}
                route = router.post(path).respond(json=accepted if operation.is_async else at_once)
                router.get("/api/common/query-async-task-result").respond(
                    json={"error_code": 0, "task_status": 2, "data": {"result_url": FILE}}
                )
                result = await client.run(operation)
                assert by_task_type(sent(route)) == by_task_type(fields), operation
                assert type(result) is operation.result_type
                assert [file.url for file in result.files] == [FILE]
                assert result.files[0].name == "coffee-1"


EXPECTED = {
    CodeClass.parameters: errors.InputRejected,
    CodeClass.input: errors.InputRejected,
    CodeClass.authentication: errors.AuthenticationError,
    CodeClass.credits: errors.CreditsExhausted,
    CodeClass.quota: errors.QuotaExceeded,
    CodeClass.throttled: errors.Throttled,
    CodeClass.not_found: errors.NotFound,
    CodeClass.state: errors.StateConflict,
    CodeClass.transient: errors.ServiceUnavailable,
    CodeClass.platform: errors.PlatformError,
}
REPEATED = {CodeClass.throttled, CodeClass.transient}


@pytest.mark.parametrize("code_class", list(CodeClass), ids=str)
async def test_every_code_raises_the_error_of_its_class(photo, code_class):
    codes = {code: spec for code, spec in CODES.items() if spec.code_class is code_class}
    assert codes
    options = {"retry": RetryPolicy(base=0.0001), "service": Service.direct("key")}
    statuses = [
        (code, status)
        for code, spec in codes.items()
        for status in {spec.http_status, spec.http_status_before} - {None}
    ]
    for code, status in statuses:
        async with AsyncClient(**options) as client:
            body = {"error_code": status, "error_detail": {"code": code, "message": "why"}}
            with respx.mock(base_url=BASE) as router:
                route = router.post("/api/image/effects/image-hd-color-migration").respond(
                    status, json={**body, "request_id": "R-1", "log_id": 7}
                )
                with pytest.raises(AILabError) as caught:
                    await client.submit(HDColorMigration(photo))
            assert isinstance(caught.value, EXPECTED[code_class]), code
            said = caught.value
            assert (said.code, said.message, said.request_id, said.log_id) == (
                code,
                "why",
                "R-1",
                "7",
            )
            repeated = code_class in REPEATED and code != "AI_SERVICE_TIMEOUT"
            assert route.call_count == (3 if repeated else 1), code
