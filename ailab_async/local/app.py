"""The engine over HTTP: which addresses there are, and what each of them does.

The addresses are those of the service's own API (`DIRECT_PATHS`); every answer but a result file
is JSON in the service's envelope, also for what goes wrong here unexpectedly.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..events import logger
from ..protocol.services import CREDITS, DIRECT_PATHS, QUERY_BY_TASK
from .answers import Code, Refused, credits_left, failure, queried, submitted
from .forms import MAX_BODY, color_migration, read_form
from .queue import QueueFull, State, Work
from .store import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .engine import LocalEngine

__all__ = ["make_app"]

KEY_HEADER: Final = "ailabapi-api-key"
UPLOAD_SECONDS: Final = 120.0
RETRY_SECONDS: Final = 5


def make_app(engine: LocalEngine) -> Starlette:
    """Return the ASGI application of an engine; its lifespan starts and closes the engine."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with engine:
            yield

    app = Starlette(
        routes=[
            Route("/healthz", _health, methods=["GET"]),
            Route("/files/{name}", _file, methods=["GET"], name="file"),
            Route(DIRECT_PATHS["hd-color-migration"], _submit, methods=["POST"]),
            Route(DIRECT_PATHS[QUERY_BY_TASK], _query, methods=["GET"]),
            Route(DIRECT_PATHS[CREDITS], _credits, methods=["GET"]),
        ],
        middleware=[Middleware(_Guard, engine=engine)],
        exception_handlers={Refused: _refused, HTTPException: _no_route},
        lifespan=lifespan,
    )
    app.state.engine = engine
    return app


async def _submit(request: Request) -> Response:
    engine = _engine(request)
    async with engine.uploads:
        try:
            with anyio.fail_after(UPLOAD_SECONDS):
                form = await read_form(request)
        except TimeoutError:
            message = f"The upload took longer than {UPLOAD_SECONDS:g} s."
            raise Refused(Code.ERROR_PARAMETERS, message) from None
        job, pictures = await color_migration(form, limiter=engine.limiter)
        uploads = await _put_down(engine, pictures)
    try:
        task = await engine.queue.submit(Work(job=job, uploads=uploads))
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await engine.store.drop(uploads)
        if isinstance(error, QueueFull):
            raise Refused(
                Code.AI_SERVICE_FLOW_RESTRICTION,
                "The queue is full; try again later.",
                retry_after=RETRY_SECONDS,
            ) from None
        raise
    return JSONResponse(submitted(task))


async def _put_down(engine: LocalEngine, pictures: list[bytes]) -> tuple[str, ...]:
    """Write the pictures to disk: a full queue of them would be a gigabyte of memory."""
    uploads: list[str] = []
    try:
        for picture in pictures:
            uploads.append(await engine.store.put(picture))  # noqa: PERF401 - kept for the except
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await engine.store.drop(uploads)
        if isinstance(error, OSError):
            logger.exception("the local engine could not write an upload")
            raise Refused(Code.FILE_SERVICE_ERROR) from None
        raise
    return tuple(uploads)


async def _query(request: Request) -> Response:
    task = _engine(request).queue.find(request.query_params.get("task_id", ""))
    if task is None:
        raise Refused(Code.ERROR_RESOURCE_NOT_FOUND)
    if task.state is State.FAILED:
        assert task.problem is not None  # noqa: S101 - set with the state
        code = Code[task.problem.code]
        return _failed(code, task.problem.message, request_id=task.request_id)
    urls = [str(request.url_for("file", name=name)) for name in task.results]
    return JSONResponse(queried(task, urls))


async def _file(request: Request) -> Response:
    store = _engine(request).store
    name = request.path_params["name"]
    size = await store.size(name)
    if size is None:
        raise Refused(Code.ERROR_FILE_NOT_FOUND)
    return StreamingResponse(
        store.pieces(name),
        media_type=MEDIA_TYPES[PurePosixPath(name).suffix],
        headers={"content-length": str(size), "cache-control": "private, max-age=86400"},
    )


async def _credits(_: Request) -> Response:
    return JSONResponse(credits_left())


async def _health(request: Request) -> Response:
    queue = _engine(request).queue
    counts = {"waiting": queue.waiting, "busy": queue.busy, "workers": len(queue.worker_pids)}
    return JSONResponse({"status": "ok", "service": "ailab local engine", **counts})


def _engine(request: Request) -> LocalEngine:
    engine: LocalEngine = request.app.state.engine
    return engine


def _failed(
    code: Code, message: str = "", *, request_id: str = "", retry_after: int | None = None
) -> JSONResponse:
    status, body = failure(code, message, request_id=request_id)
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return JSONResponse(body, status, headers=headers)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - registered for that class
    return _failed(error.code, error.message, retry_after=error.retry_after)


def _no_route(request: Request, error: Exception) -> Response:
    # The service has operations that the engine does not: the client reads this code as such.
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _failed(Code.ERROR_ILLEGAL_OPERATION, f"{request.method} is not allowed here.")
    return _failed(Code.ERROR_AI_NOT_EXISTS)


class _Guard:
    """Around all handlers: keys, the size of the body, and bugs.

    Keys are looked at before any of the body is read. Result files are protected by their names.
    """

    def __init__(self, app: ASGIApp, engine: LocalEngine) -> None:
        self._app = app
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is not None:
            await _refused(request, refusal)(scope, receive, send)
            return
        begun = False

        async def watched_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, _bounded(receive), watched_send)
        except ClientDisconnect:
            return
        except Exception:
            logger.exception("unexpected trouble in the local engine")
            if begun:
                raise
            await _failed(Code.UNKNOWN_ERROR)(scope, receive, send)

    def _refusal(self, request: Request) -> Refused | None:
        path = request.url.path
        needs_key = path.startswith("/api/")
        if needs_key and not self._engine.accepts(request.headers.get(KEY_HEADER, "")):
            return Refused(Code.ERROR_USER_NOT_EXISTS)
        if not self._engine.running:
            return Refused(Code.ERROR_RESOURCE_UNAVAILABLE)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return _too_large()
        return None


def _bounded(receive: Receive) -> Callable[[], Any]:
    """Count the body as it comes, for requests that do not tell their length or lie about it."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        body = message.get("body", b"")
        received += len(body)
        if received > MAX_BODY:
            raise _too_large()
        if not isinstance(body, bytes):
            # Through ASGITransport a body comes as the client made it, be it a memoryview.
            message["body"] = bytes(body)
        return message

    return bounded


def _too_large() -> Refused:
    limit = f"A request may have at most {MAX_BODY >> 20} MB."
    return Refused(Code.ERROR_REQUEST_BODY_TOO_LARGE, limit)
