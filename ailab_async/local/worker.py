"""One worker process: reads jobs from its standard input, answers with pictures on its output.

Started as ``python -m ailab_async.local.worker`` and not through `multiprocessing`, whose *spawn*
imports the user's ``__main__`` again: a script without the ``if __name__`` guard would run itself
a second time in every worker.

A job is one frame: ``{"mode", "degree", "format", …}`` with the picture, and the reference in the
mode REF_PIC, as blobs. Its answers are frames too: ``picture`` once for each result, as soon as it
is encoded, then ``done``; or ``failed`` with an error code of the service.
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

from .frames import BadFrame, Frame, pack, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .imaging.color import Rgb

__all__ = ["ENVIRONMENT", "main"]

ENVIRONMENT: Final = {
    # A worker is one core's work: more threads in each would only fight over the same cores.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""What a worker's environment must hold before numpy is loaded."""

_NICENESS: Final = 5
"""Workers use whole cores; the process they work for has an event loop to keep quick."""


def main() -> None:
    """Answer jobs until standard input ends; never returns.

    It ends by `os._exit`, also in the middle of a job: when the input is closed, nobody is left
    who wants the result, be it that the engine closed or that its process was killed.
    """
    # Ctrl-C reaches the whole process group; the engine decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(_NICENESS)
    answers = _claim_stdout()
    jobs: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, jobs), daemon=True).start()
    _warm_up()
    _send(answers, {"kind": "ready"})
    while True:
        header, blobs = jobs.get()
        _answer(answers, header, blobs)


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
    except BadFrame:
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


def _answer(answers: BinaryIO, job: Mapping[str, Any], blobs: list[bytes]) -> None:
    from .imaging.codec import UndecodableImage, encode  # noqa: PLC0415 - as cv2

    try:
        for picture in _recolor(job, blobs):
            data = encode(picture, format=job["format"])
            _send(answers, {"kind": "picture"}, data)
        _send(answers, {"kind": "done"})
    except UndecodableImage as error:
        _fail(answers, "FILE_DECODING_FAILURE", str(error))
    except MemoryError:
        _fail(answers, "PROCESSING_FAILURE", "there is not enough memory for this picture")
    except BrokenPipeError:
        os._exit(0)
    except Exception:  # noqa: BLE001 - reported, and the next job is another picture
        traceback.print_exc()
        _fail(answers, "PROCESSING_FAILURE", "the picture could not be processed")


def _recolor(job: Mapping[str, Any], blobs: list[bytes]) -> Iterator[Rgb]:
    from .imaging import recolor  # noqa: PLC0415 - as cv2
    from .imaging.codec import decode  # noqa: PLC0415 - as cv2

    image = decode(blobs[0])
    degree = float(job["degree"])
    match job["mode"]:
        case "AUTO":
            yield from recolor.recolor_auto(image, color_count=job["color_count"], degree=degree)
        case "TEMPLATE":
            colors = [(red, green, blue) for red, green, blue in job["colors"]]
            yield recolor.recolor_template(image, colors=colors, degree=degree)
        case "REF_PIC":
            yield recolor.recolor_reference(image, decode(blobs[1]), degree=degree)
        case unknown:
            message = f"no such mode: {unknown}"
            raise ValueError(message)


def _fail(answers: BinaryIO, code: str, message: str) -> None:
    _send(answers, {"kind": "failed", "code": code, "message": message})


def _send(answers: BinaryIO, header: Mapping[str, Any], *blobs: bytes) -> None:
    answers.writelines(pack(header, blobs))
    answers.flush()


if __name__ == "__main__":
    main()
