"""The engine over HTTP: which addresses there are.

Those of the service's own API (`protocol.services`), in its direct form and in the RapidAPI form,
and a few of the engine's own, its page at ``/`` among them. What is unknown is answered as the
service answers for what it does not offer.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from ..protocol.services import (
    CREDITS,
    DIRECT_PATHS,
    QUERY_BY_JOB,
    QUERY_BY_TASK,
    RAPIDAPI_PATHS,
)
from . import handlers, page
from .access import Guard, failed
from .answers import Code, Refused
from .offers import MOST_BESIDE, OFFERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from .engine import LocalEngine

__all__ = ["make_app"]


def make_app(engine: LocalEngine) -> Starlette:
    """Return the ASGI application of an engine; its lifespan starts and closes the engine."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with engine:
            yield

    rapidapi = {
        **{name: offer.rapidapi_path for name, offer in OFFERS.items() if offer.rapidapi_path},
        QUERY_BY_TASK: RAPIDAPI_PATHS[QUERY_BY_TASK],
        QUERY_BY_JOB: RAPIDAPI_PATHS[QUERY_BY_JOB],
        **engine.rapidapi_paths,
    }
    routes = _own_routes()
    bounds: dict[str, int] = {}
    for name, look in ((QUERY_BY_TASK, handlers.query), (QUERY_BY_JOB, handlers.query_by_job)):
        routes += [Route(path, look) for path in (DIRECT_PATHS[name], rapidapi[name])]
    for name, offer in OFFERS.items():
        paths = [offer.path, *([rapidapi[name]] if name in rapidapi else [])]
        handler = handlers.submission(offer)
        routes += [Route(path, handler, methods=["POST"]) for path in paths]
        bounds |= dict.fromkeys(paths, offer.max_bytes + MOST_BESIDE)
    guard = Middleware(Guard, engine=engine, rapidapi=rapidapi.values(), bounds=bounds)
    app = Starlette(
        routes=routes,
        middleware=[guard],
        exception_handlers={Refused: _refused, HTTPException: _no_route},
        lifespan=lifespan,
    )
    # a path with one slash more is no address of the service
    app.router.redirect_slashes = False
    app.state.engine = engine
    return app


def _own_routes() -> list[Route]:
    return [
        *page.routes(),
        Route("/healthz", handlers.health),
        Route("/metrics", handlers.metrics),
        Route("/openapi.json", handlers.openapi),
        Route("/files/{name}", handlers.file, name="file"),
        Route(DIRECT_PATHS[CREDITS], handlers.credits_of),
    ]


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - registered for that class
    return failed(error.code, error.message, retry_after=error.retry_after)


def _no_route(request: Request, error: Exception) -> Response:
    # The service has operations that the engine does not: the client reads this code as such.
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return failed(Code.ERROR_ILLEGAL_OPERATION, f"{request.method} is not allowed here.")
    return failed(Code.ERROR_AI_NOT_EXISTS)
