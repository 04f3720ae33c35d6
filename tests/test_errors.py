from __future__ import annotations

import builtins
import copy
import pickle
import re

import pytest

from ailab_async import errors
from ailab_async.errors import (
    AILabError,
    ClientClosed,
    DeliveryError,
    FileKept,
    InvalidOperation,
    MalformedReply,
    MissingExtra,
    ServiceError,
    ServiceUnavailable,
    TaskError,
    TaskFailed,
    TaskNotFound,
    TaskTimeout,
    TaskUnsettled,
)

SAID = {
    "code": "SOME_CODE",
    "http_status": 418,
    "request_id": "r-1",
    "log_id": "l-1",
    "retry_after": 2.5,
}

OTHERS = [
    AILabError("what happened"),
    InvalidOperation("degree", "0 to 1", 7, hint="Choose a smaller one."),
    ClientClosed(task_ids=["a", "b"]),
    errors.ClientMisused("another loop"),
    MissingExtra("rich", extra="cli", purpose="the command"),
    FileKept("out/a-1.png"),
    errors.BatchStopped("No credits are left.", records=[{"id": "t"}]),
    errors.JournalBroken("The disk is full.", path="run.sqlite", task_id="t"),
    *(
        kind("what is wrong", path="run.sqlite")
        for kind in (
            errors.JournalError,
            errors.JournalInUse,
            errors.JournalUnreadable,
            errors.JournalConflict,
        )
    ),
    *(
        kind("no answer", action="submit", host="h")
        for kind in (
            DeliveryError,
            errors.NotDelivered,
            errors.OutcomeUnknown,
            errors.DownloadFailed,
        )
    ),
    TaskError("text", task_id="t", state="1", age=3.0),
    errors.ResultExpired("text", task_id="t", state="2", age=3.0),
    TaskTimeout(task_id="t", state="processing", age=9.0, waited=5.0),
    TaskUnsettled("The client was closed.", task_id="t", task_ids=["t", "u"], state="1", age=2.0),
    *(
        kind(
            task_id="t", state="3", age=1.0, code="C", message="m", http_status=422, request_id="r"
        )
        for kind in (TaskFailed, *TaskFailed.__subclasses__())
    ),
]


def every_kind(root=AILabError) -> set[type[AILabError]]:
    return {root}.union(*map(every_kind, root.__subclasses__()))


def examples() -> list[AILabError]:
    made = list(OTHERS)
    for kind in every_kind(ServiceError):
        more = {"task_id": "t"} if kind in {TaskNotFound, ServiceUnavailable} else {}
        more |= {"excerpt": "<html>"} if kind is MalformedReply else {}
        made.append(kind("words", **SAID, **more))
    return made


EXAMPLES = sorted(examples(), key=lambda error: type(error).__name__)
NAMES = [type(error).__name__ for error in EXAMPLES]


def test_there_is_an_example_of_every_error():
    assert {type(error) for error in EXAMPLES} == every_kind()
    assert {kind.__name__ for kind in every_kind()} == set(errors.__all__)


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_every_error_survives_pickling_with_its_fields(error):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is type(error)
        assert again.__dict__ == error.__dict__
        assert (again.args, str(again)) == (error.args, str(error))
    assert str(copy.copy(error)) == str(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_a_fresh_error_is_equal_without_a_traceback_and_names_the_first(error):
    try:
        raise error
    except AILabError as caught:
        twin = caught.fresh()
    assert twin is not error
    assert twin.__traceback__ is None
    assert error.__traceback__ is not None
    assert twin.__cause__ is error
    assert (type(twin), str(twin), twin.__dict__) == (type(error), str(error), error.__dict__)
    error.__traceback__ = None


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_every_text_is_one_line(error):
    assert str(error)
    assert "\n" not in str(error)
    assert "None" not in str(error)


# --- the tree as it is drawn


LINE = re.compile(r"^(?P<indent>(?:│   |    )*)(?:├── |└── )(?P<label>.+)$")
CLASS = re.compile(r"^(?P<name>[A-Z]\w+)(?: \((?P<builtin>\w+)\))?(?:\s{2,}.*)?$")


def drawn_tree() -> tuple[dict[str, str], dict[str, str]]:
    """Return the parent and the builtin base of each class in the module's drawing."""
    parents: dict[str, str] = {}
    builtin_bases: dict[str, str] = {}
    above = ["AILabError"]
    for line in errors.__doc__.split("::", 1)[1].splitlines():
        found = LINE.match(line.removeprefix("    "))
        if not found:
            continue
        depth = len(found["indent"]) // 4 + 1
        label = CLASS.match(found["label"])
        del above[depth:]
        if label is None:  # a heading: what is below it belongs to what is above it
            above.append(above[-1])
            continue
        name = label["name"]
        parents[name] = above[-1]
        if label["builtin"]:
            builtin_bases[name] = label["builtin"]
        above.append(name)
    return parents, builtin_bases


def test_the_tree_is_as_it_is_drawn():
    parents, builtin_bases = drawn_tree()
    ours = every_kind() - {AILabError}
    assert parents == {
        kind.__name__: next(base.__name__ for base in kind.__bases__ if base in every_kind())
        for kind in ours
    }
    assert builtin_bases == {
        kind.__name__: base.__name__
        for kind in ours
        for base in kind.__bases__
        if base not in every_kind()
    }
    assert all(issubclass(getattr(builtins, name), Exception) for name in builtin_bases.values())


# --- what is in the texts


def test_an_invalid_operation_never_shows_bytes_nor_more_than_a_line():
    assert InvalidOperation("image", "a picture", b"\xff" * 5000).value == "5000 bytes"
    long = InvalidOperation("image", "a picture", "x" * 5000)
    assert len(long.value) == 80
    assert "5000" not in str(long)


def test_service_errors_say_what_support_asks_for():
    text = str(ServiceError("words", **SAID))
    for part in ("SOME_CODE", "HTTP 418", "words", "r-1"):
        assert part in text
    assert str(ServiceError()) == "(HTTP 0): no message."


def test_a_task_that_is_not_over_says_how_to_go_on():
    for error in (
        TaskTimeout(task_id="t-1", waited=5),
        TaskUnsettled("Closed.", task_id="t-1", task_ids=["t-1"]),
        ServiceUnavailable("words", task_id="t-1"),
        ClientClosed(task_ids=["t-1"]),
    ):
        assert "client.attach" in str(error)
        assert "t-1" in str(error)


def test_many_task_ids_are_not_all_listed():
    error = ClientClosed(task_ids=[f"id-{n}" for n in range(100)])
    assert "and 95 more" in str(error)
    assert len(error.task_ids) == 100
