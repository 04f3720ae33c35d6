"""``ailab serve``: the local engine under uvicorn."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidOperation, MissingExtra
from .exits import Exit
from .streams import write_line

if TYPE_CHECKING:
    import argparse

    from ..local import LocalEngine

__all__ = ["serve"]

_BACKLOG = 256


def serve(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM, both of which are its normal end."""
    if arguments.data is not None:
        if not arguments.data.strip():
            return _complain("--data must name a folder.", Exit.BAD_INPUT)
        if Path(arguments.data).exists() and not Path(arguments.data).is_dir():
            text = f"--data {arguments.data} is a file, not a folder."
            return _complain(text, Exit.CANNOT_WRITE)
    try:
        import uvicorn  # noqa: PLC0415 - an extra

        from ..local import LocalEngine  # noqa: PLC0415 - needs an extra
        from ..local.serving import SWITCH_SECONDS, configuration  # noqa: PLC0415 - as above

        keys = arguments.key or [key for key in [os.environ.get("AILAB_ENGINE_KEY", "")] if key]
        engine = LocalEngine(
            workers=arguments.workers,
            data=None if arguments.data is None else Path(arguments.data),
            keys=keys,
        )
    except (MissingExtra, InvalidOperation) as error:
        return _complain(str(error), Exit.BAD_INPUT)
    except ImportError:
        missing = MissingExtra("uvicorn", extra="local", purpose="ailab serve")
        return _complain(str(missing), Exit.BAD_INPUT)
    try:
        listener = _listen(arguments.host, arguments.port)
    except OSError as error:
        where = f"{arguments.host} port {arguments.port}"
        text = f"cannot listen on {where}: {error.strerror or error}; {_advice(error)}."
        return _complain(text, Exit.UNREACHABLE)
    _log(accesses=arguments.access_log)
    sys.setswitchinterval(SWITCH_SECONDS)
    server = uvicorn.Server(configuration(engine.app))
    with listener:
        return asyncio.run(_serve(engine, server, listener, keyed=bool(keys)))


async def _serve(engine: LocalEngine, server: Any, listener: socket.socket, *, keyed: bool) -> int:
    def stop(*_: object) -> None:
        server.should_exit = True

    # uvicorn puts these back when it has stopped and raises the signal again; as what stops the
    # server is no failure, there must be something quieter to go back to than the default.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        await engine.start()
    except OSError as error:
        text = f"cannot use {error.filename or 'the data folder'}: {error.strerror or error}."
        return _complain(text, Exit.CANNOT_WRITE)
    async with engine:
        host, port = listener.getsockname()[:2]
        _announce(host, port, keyed=keyed)
        await server.serve(sockets=[listener])
    return Exit.DONE


def _log(*, accesses: bool) -> None:
    """Write what goes wrong to standard error, and with ``accesses`` a line for each request."""
    from ..events import logger  # noqa: PLC0415 - with the rest of this
    from ..local.access import ACCESS_LOG  # noqa: PLC0415 - needs an extra

    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(lines)
    logger.setLevel(logging.WARNING)
    ACCESS_LOG.setLevel(logging.INFO if accesses else logging.WARNING)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def _advice(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "--host takes an address of this computer, as 127.0.0.1, or 0.0.0.0 for all"
    return "try another --port"


def _announce(host: str, port: int, *, keyed: bool) -> None:
    address = f"[{host}]" if ":" in host else host
    lost = write_line(sys.stdout, f"Local engine at http://{address}:{port}")
    if lost:
        _note(f"Standard output cannot be written ({lost}); at http://{address}:{port}")
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback and not keyed:
        _note("Whoever reaches this address may use it: AILAB_ENGINE_KEY or --key demand a key.")
    if sys.stderr.isatty():
        _note("Ctrl-C stops it.")


def _note(text: str) -> None:
    write_line(sys.stderr, text)


def _complain(text: str, code: Exit) -> int:
    _note(f"ailab serve: {text}")
    return code
