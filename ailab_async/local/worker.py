"""One worker process: reads jobs from its standard input, answers with results on its output.

Started as ``python -m ailab_async.local.worker BYTES`` and not through `multiprocessing`, whose
*spawn* imports the user's ``__main__`` again: a script without the ``if __name__`` guard would run
itself a second time in every worker.

A job is one frame: ``{"operation": …, …}`` (see `jobs`) with the uploaded pictures as blobs. Its
answers are frames too: ``result`` once for each file, as soon as it is encoded, then ``done``; or
``failed`` with an error code of the service. ``last`` in either says that the process is to be
replaced, because it has grown.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ..errors import MissingExtra
from .frames import BadFrame, Frame, pack, reading
from .jobs import Unusable, do

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ENVIRONMENT", "main"]

ENVIRONMENT: Final = {
    # A worker is one core's work: more threads in each would only fight over the same cores.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Each arena takes 64 MB of address space, which is what the memory limit is about.
    "MALLOC_ARENA_MAX": "1",
}
"""What a worker's environment must hold before numpy is loaded."""

_NICENESS: Final = 5
"""Workers use whole cores; the process they work for has an event loop to keep quick."""


def main() -> None:
    """Answer jobs until standard input ends; never returns.

    It ends by `os._exit`, also in the middle of a job: when the input is closed, nobody is left
    who wants the result, be it that the engine closed or that its process was killed.
    """
    # Ctrl-C reaches the whole process group, and what stops a service may signal all that is in
    # it; but the engine decides when its workers end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(_NICENESS)
    answers = _claim_stdout()
    jobs: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, jobs), daemon=True).start()
    _warm_up()
    most = int(sys.argv[1])
    _limit_memory(most)
    _send(answers, {"kind": "ready"})
    while True:
        header, blobs = jobs.get()
        _answer(answers, header, blobs)
        del header, blobs


def _claim_stdout() -> BinaryIO:
    """Keep the pipe for frames: what libraries print goes to standard error instead."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _listen(stdin: BinaryIO, jobs: queue.SimpleQueue[Frame]) -> None:
    # A thread of its own, so that the end of the input is noticed during a job too.
    try:
        while True:
            jobs.put(_read(stdin))
    except EOFError:
        os._exit(0)
    except (BadFrame, MemoryError):
        traceback.print_exc()
        os._exit(1)


def _read(stdin: BinaryIO) -> Frame:
    frame = reading()
    wanted = next(frame)
    while True:
        data = stdin.read(wanted)
        if len(data) < wanted:
            raise EOFError
        try:
            wanted = frame.send(data)
        except StopIteration as complete:
            result: Frame = complete.value
            return result


def _warm_up() -> None:
    import cv2  # noqa: PLC0415 - after the environment and the reader

    from .imaging import recolor  # noqa: PLC0415 - as cv2

    cv2.setNumThreads(1)
    _ = recolor


def _limit_memory(most: int) -> None:
    """Let this process have so many bytes of address space more than it has now.

    What is refused then is a `MemoryError` in the job that asked for it, instead of a computer
    that swaps, or kills what it likes. Linux only: elsewhere nothing says how much there is now.
    """
    global _room  # noqa: PLW0603 - said once, before the first job
    pages = _pages()
    if pages is None or sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    _room = most
    ceiling = pages[0] * os.sysconf("SC_PAGE_SIZE") + most
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        ceiling = min(ceiling, hard)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))


_room: int | None = None


def _grown() -> bool:
    """Whether what is left in memory after a job is more than half of what a job may take."""
    pages = None if _room is None else _pages()
    return bool(pages and _room and pages[1] * os.sysconf("SC_PAGE_SIZE") > _room // 2)


def _pages() -> tuple[int, int] | None:
    """Return the pages of address space and of memory that are in use, where that is told."""
    try:
        with open("/proc/self/statm", encoding="ascii") as told:  # noqa: PTH123 - no file at all
            size, resident, *_ = told.read().split()
    except OSError:
        return None
    return int(size), int(resident)


def _answer(answers: BinaryIO, job: Mapping[str, Any], blobs: list[bytes]) -> None:
    """Do a job and say how it ended."""
    try:
        for data, extension in do(job, blobs):
            _send(answers, {"kind": "result", "extension": extension}, data)
    except Unusable as error:
        _fail(answers, error.code, error.message)
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:  # noqa: BLE001 - reported, and the next job is another picture
        traceback.print_exc()
        if _out_of_memory(error):
            message = "the picture takes more memory than a task may have"
            _fail(answers, "PROCESSING_FAILURE", message, last=True)
        elif isinstance(error, MissingExtra):
            _fail(answers, "PROCESSING_FAILURE", str(error))
        else:
            _fail(answers, "PROCESSING_FAILURE", "the picture could not be processed")
    else:
        _send(answers, {"kind": "done", "last": _grown()})


def _out_of_memory(error: Exception) -> bool:
    import cv2  # noqa: PLC0415 - after the environment and the reader

    no_memory = cv2.Error.STS_NO_MEM
    return isinstance(error, MemoryError) or getattr(error, "code", None) == no_memory


def _fail(answers: BinaryIO, code: str, message: str, *, last: bool = False) -> None:
    header = {"kind": "failed", "code": code, "message": message, "last": last or _grown()}
    _send(answers, header)


def _send(answers: BinaryIO, header: Mapping[str, Any], *blobs: bytes) -> None:
    answers.writelines(pack(header, blobs))
    answers.flush()


if __name__ == "__main__":
    main()
