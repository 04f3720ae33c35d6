"""What is done at each address; all answers but files and numbers are in the service's envelope."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import anyio
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from ..carry import carried_through
from ..events import logger
from .access import failed
from .answers import Code, Refused, credits_left, made, queried, queried_by_job, submitted
from .downloads import download
from .judging import load_pictures
from .metrics import CONTENT_TYPE
from .offers import OFFERS
from .openapi import description
from .parts import read_parts
from .queue import QueueFull
from .tasks import State, Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

    from .engine import LocalEngine
    from .offers import Offer
    from .tasks import EngineTask

__all__ = [
    "credits_of",
    "file",
    "health",
    "metrics",
    "openapi",
    "query",
    "query_by_job",
    "submission",
]

UPLOAD_SECONDS: Final = 120.0
SILENT_SECONDS: Final = 20.0
"""How long nothing may come of an upload: it keeps others from being read."""

RETRY_SECONDS: Final = 5
BEGIN_SECONDS: Final = 30.0
"""A request that waits for its result is refused when no worker has begun with it so long after
its upload: the client's own patience for an answer is a minute, and by the refusal it knows that
nothing was made."""

_JOB_TYPES: Final = tuple(offer.job_type for offer in OFFERS.values() if offer.job_type)


def submission(offer: Offer) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of an operation's own address."""

    async def submit(request: Request) -> Response:
        engine = _engine(request)
        content_type = request.headers.get("content-type", "")
        owner = request.scope["owner"]
        async with engine.uploads.held(owner):
            try:
                with anyio.fail_after(UPLOAD_SECONDS):
                    form = await read_parts(content_type, _coming(request))
            except TimeoutError:
                message = f"The upload took longer than {UPLOAD_SECONDS:g} s."
                raise Refused(Code.ERROR_PARAMETERS, message) from None
            job, pictures = await load_pictures(offer.read(form), limiter=engine.limiter)
            uploads = await _put_down(engine, pictures)
        del form, pictures  # while the task waits they are on the disk alone
        by = asyncio.get_running_loop().time() + BEGIN_SECONDS
        awaited = offer.job_type is None
        work = Work(operation=offer.name, job=job, uploads=uploads, awaited=awaited)
        task = await _queued(engine, work, owner)
        if not awaited:
            return JSONResponse(submitted(task))
        await _ended(request, task, by=by)
        if task.problem is not None:
            return _failed_task(task)
        return JSONResponse(made(task, offer.answer, _urls(request, task)))

    return submit


async def query(request: Request) -> Response:
    """By task id: a number for the state, and an error envelope for a failed task."""
    task = await _engine(request).queue.find(request.query_params.get("task_id", ""))
    if task is None:
        raise Refused(Code.ERROR_RESOURCE_NOT_FOUND)
    if task.state is State.FAILED:
        return _failed_task(task)
    both = "/rapidapi/" in request.scope["path"]
    shape = OFFERS[task.work.operation].answer
    return JSONResponse(queried(task, shape, _urls(request, task), both=both))


async def query_by_job(request: Request) -> Response:
    """By job id and type: a word for the state, also for that of a failed task."""
    asked = request.query_params
    if asked.get("type") not in _JOB_TYPES:
        what = f"must be one of {', '.join(_JOB_TYPES)}"
        raise Refused(
            Code.UNSUPPORTED_PARAMETER_VALUES, f"Invalid parameter values. - type: {what}."
        )
    task = await _engine(request).queue.find_job(asked.get("job_id", ""))
    if task is None or OFFERS[task.work.operation].job_type != asked["type"]:
        raise Refused(Code.ERROR_RESOURCE_NOT_FOUND)
    shape = OFFERS[task.work.operation].answer
    return JSONResponse(queried_by_job(task, shape, _urls(request, task)))


async def file(request: Request) -> Response:
    """A result file."""
    store = _engine(request).store
    found = await store.find(request.path_params["name"])
    if found is None:
        raise Refused(Code.ERROR_FILE_NOT_FOUND)
    return download(request, store, found)


async def credits_of(_: Request) -> Response:
    """What is left on the account."""
    return JSONResponse(credits_left())


async def health(request: Request) -> Response:
    """Whether it runs, and how much is going on."""
    counts = _gauges(_engine(request))
    return JSONResponse({"status": "ok", "service": "ailab local engine", **counts})


async def metrics(request: Request) -> Response:
    """Everything that is counted, for Prometheus."""
    engine = _engine(request)
    waiting, busy, workers = _gauges(engine).values()
    text = engine.metrics.text({"queue_depth": waiting, "busy": busy, "workers": workers})
    return Response(text, media_type=CONTENT_TYPE)


async def openapi(request: Request) -> Response:
    """The description of all this."""
    return JSONResponse(description(_engine(request).rapidapi_paths))


# --- parts --------------------------------------------------------------------------------------


async def _coming(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it comes. Raises `Refused` where it does not go on coming."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            message = f"Nothing came of the upload for {SILENT_SECONDS:g} s."
            raise Refused(Code.ERROR_PARAMETERS, message) from None
        yield piece


async def _put_down(engine: LocalEngine, pictures: list[bytes]) -> tuple[str, ...]:
    """Write the pictures to disk: a full queue of them would be a gigabyte of memory."""
    uploads: list[str] = []

    async def put_down() -> None:
        for picture in pictures:
            uploads.append(await engine.store.put(picture))  # noqa: PERF401 - kept for the except

    try:
        await carried_through(put_down())
    except BaseException as error:
        await carried_through(engine.store.drop(uploads))
        if isinstance(error, OSError):
            logger.exception("the local engine could not write an upload")
            raise Refused(Code.FILE_SERVICE_ERROR) from None
        raise
    return tuple(uploads)


async def _queued(engine: LocalEngine, work: Work, owner: str) -> EngineTask:
    try:
        return await engine.queue.submit(work, owner=owner)
    except BaseException as error:
        await carried_through(engine.store.drop(work.uploads))
        if isinstance(error, QueueFull):
            raise _busy(engine, "the queue is full") from None
        if isinstance(error, OSError):
            logger.exception("the local engine could not write down a task")
            raise Refused(Code.FILE_SERVICE_ERROR) from None
        raise


async def _ended(request: Request, task: EngineTask, *, by: float) -> None:
    """Wait until the task has ended.

    One that waits for a worker when nobody waits for it any more is withdrawn; one that is being
    worked on is done to its end. Raises `Refused` where it has not begun ``by`` then, and
    `ClientDisconnect` when the client left.
    """
    gone = asyncio.create_task(_left(request))
    begun = asyncio.create_task(task.begun.wait())
    over = asyncio.create_task(task.over.wait())
    watches = (gone, begun, over)
    engine = _engine(request)
    withdraw = engine.queue.withdraw
    first = asyncio.FIRST_COMPLETED
    try:
        patience = max(0.0, by - asyncio.get_running_loop().time())
        await asyncio.wait(watches, timeout=patience, return_when=first)
        if gone.done() or not (begun.done() or over.done()):
            withdrawn = await withdraw(task)
            if withdrawn and not gone.done():
                raise _busy(engine, "no worker was free in time")
        await asyncio.wait((gone, over), return_when=first)
    except asyncio.CancelledError:
        await carried_through(withdraw(task))
        raise
    finally:
        for watch in watches:
            watch.cancel()
    if not task.over.is_set():
        raise ClientDisconnect


async def _left(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _busy(engine: LocalEngine, why: str) -> Refused:
    waiting = engine.queue.waiting
    message = f"Too many tasks are waiting: {waiting}, and {why}; try again later."
    return Refused(Code.AI_SERVICE_FLOW_RESTRICTION, message, retry_after=RETRY_SECONDS)


def _failed_task(task: EngineTask) -> Response:
    assert task.problem is not None  # noqa: S101 - set with the state
    code = Code[task.problem.code]
    return failed(code, task.problem.message, request_id=task.request_id)


def _urls(request: Request, task: EngineTask) -> list[str]:
    return [str(request.url_for("file", name=name)) for name in task.results]


def _gauges(engine: LocalEngine) -> dict[str, Any]:
    queue = engine.queue
    return {"waiting": queue.waiting, "busy": queue.busy, "workers": len(queue.worker_pids)}


def _engine(request: Request) -> LocalEngine:
    engine: LocalEngine = request.app.state.engine
    return engine
