"""Around all handlers: keys, hosts, the size of the body, bugs; and what is logged and counted.

Keys are looked at before any of the body is read. Result files are protected by their names, which
is why no line of the access log has one; nor has it a key or a query.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from ..events import logger
from .answers import Code, Refused, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .engine import LocalEngine

__all__ = ["ACCESS_LOG", "Guard", "failed"]

ACCESS_LOG: Final = logging.getLogger(f"{logger.name}.engine.access")
"""One line a request at INFO: method, path, status, bytes sent, milliseconds."""

DIRECT_KEY: Final = b"ailabapi-api-key"
RAPIDAPI_KEY: Final = b"x-rapidapi-key"

_SMALL_BODY: Final = 1 << 16
_HOST: Final = re.compile(rb"[A-Za-z0-9._-]*(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_FILES: Final = "/files/"
_GONE: Final = 499
"""What is logged where the client left before there was an answer (nginx's own number)."""


def failed(
    code: Code, message: str = "", *, request_id: str = "", retry_after: int | None = None
) -> JSONResponse:
    """Return an error answer in the service's envelope."""
    status, body = failure(code, message, request_id=request_id)
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return _Failed(code, body, status, headers)


class _Failed(JSONResponse):
    """Leaves its code in the scope, for `Guard` to count."""

    def __init__(
        self, code: Code, body: dict[str, Any], status: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(body, status, headers=headers)
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["code"] = self._code.name
        await super().__call__(scope, receive, send)


class Guard:
    """The ASGI middleware of the engine; sets ``owner`` in the scope of what it lets through."""

    def __init__(
        self,
        app: ASGIApp,
        engine: LocalEngine,
        *,
        rapidapi: Collection[str],
        bounds: Mapping[str, int],
    ) -> None:
        """``rapidapi`` are that form's paths; ``bounds`` the bytes a body may have, by path."""
        self._app = app
        self._engine = engine
        self._rapidapi = frozenset(rapidapi)
        self._bounds = bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered; ASGI's signature."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        traffic = _Traffic(self._engine, scope, send)
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await failed(refusal.code, refusal.message)(scope, receive, traffic.send)
                return
            most = self._bounds.get(scope["path"], _SMALL_BODY)
            await self._app(scope, traffic.bounded(receive, most), traffic.send)
        except ClientDisconnect:
            return
        except Exception as error:
            # of what is read and written here everything is in the data folder
            disk = isinstance(error, OSError)
            what = "could not use its data folder" if disk else "is in unexpected trouble"
            logger.exception("the local engine %s", what)
            if traffic.status is not None:
                raise
            code = Code.FILE_SERVICE_ERROR if disk else Code.UNKNOWN_ERROR
            await failed(code)(scope, receive, traffic.send)
        finally:
            traffic.done()

    def _refusal(self, scope: Scope) -> Refused | None:
        headers = dict(scope["headers"])
        if not _HOST.fullmatch(headers.get(b"host", b"")):
            return Refused(Code.ERROR_PARAMETERS, "The Host header makes no sense.")
        path = scope["path"]
        through_rapidapi = path in self._rapidapi or path.startswith("/image/")
        scope["owner"] = ""
        if through_rapidapi or path.startswith("/api/"):
            key = headers.get(RAPIDAPI_KEY if through_rapidapi else DIRECT_KEY, b"")
            owner = self._engine.keys.owner(key.decode("latin-1"))
            if owner is None:
                return Refused(Code.ERROR_USER_NOT_EXISTS)
            scope["owner"] = owner
        if not self._engine.running:
            return Refused(Code.ERROR_RESOURCE_UNAVAILABLE)
        length, most = headers.get(b"content-length", b"0"), self._bounds.get(path, _SMALL_BODY)
        if not length.isdigit() or int(length[:18]) > most:
            return _too_large(most)
        return None


class _Traffic:
    """One request: what came in, what went out, and how long it took."""

    def __init__(self, engine: LocalEngine, scope: Scope, send: Send) -> None:
        self._engine = engine
        self._scope = scope
        self._send = send
        self._began = time.perf_counter()
        self._received = 0
        self._sent = 0
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, and count it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self._sent += len(message.get("body", b""))
        await self._send(message)

    def bounded(self, receive: Receive, most: int) -> Callable[[], Any]:
        """Count the body as it comes, for requests that do not tell its length, or lie about it."""

        async def bounded() -> Message:
            message = await receive()
            body = message.get("body", b"")
            self._received += len(body)
            if self._received > most:
                raise _too_large(most)
            if not isinstance(body, bytes):
                # Through ASGITransport a body comes as the client made it, be it a memoryview.
                message["body"] = bytes(body)
            return message

        return bounded

    def done(self) -> None:
        """Count and log the request."""
        status = self.status or _GONE
        self._engine.metrics.answered(status, received=self._received, sent=self._sent)
        if "code" in self._scope:
            self._engine.metrics.refused(self._scope["code"])
        if ACCESS_LOG.isEnabledFor(logging.INFO):
            path = self._scope["path"]
            path = f"{_FILES}*" if path.startswith(_FILES) else quote(path)[:200]
            taken = (time.perf_counter() - self._began) * 1000
            ACCESS_LOG.info(
                "%s %s %d %d %.1f", self._scope["method"], path, status, self._sent, taken
            )


def _too_large(most: int) -> Refused:
    limit = f"The body of this request may have at most {most} bytes."
    return Refused(Code.ERROR_REQUEST_BODY_TOO_LARGE, limit)
