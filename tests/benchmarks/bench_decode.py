"""What decoding a typical query answer costs, beside ``json.loads`` alone.

Run it as a script: ``python tests/benchmarks/bench_decode.py``. It prints medians of interleaved
rounds, in microseconds a call, and asserts nothing.
"""

from __future__ import annotations

import json
import statistics
import timeit

from ailab_async.protocol.envelope import decode
from ailab_async.protocol.results import walk
from ailab_async.protocol.states import read_state

ADDRESS = (
    "https://ai-result-rapidapi.ailabtools.com/image/recolorHD/2026-11-20/{}/res_{}.png"
    "?Expires=1788195488&OSSAccessKeyId=LTAI0000000000000000&Signature=c2lnbmF0dXJlIG9mIGEgZmlsZQ%3D%3D"
)


def answer(files: int) -> bytes:
    """Return an answer of the query by task id with so many results."""
    addresses = [ADDRESS.format("1e968d25-86f6-cef9-9010-69b485b12ecd", n) for n in range(files)]
    return json.dumps(
        {
            "request_id": "A6697900-DAA5-510F-BF1E-12F51DAD40D1",
            "log_id": "77496025",
            "error_code": 0,
            "error_msg": "",
            "error_detail": {"status_code": 200, "code": "", "code_message": "", "message": ""},
            "task_status": 2 if files else 1,
            "data": {"image_list": addresses},
        }
    ).encode()


def main() -> None:
    """Print one line for each size of answer."""
    headers = {"content-type": "application/json"}
    print(
        f"{'answer':>18} {'bytes':>6} {'json.loads':>11} {'decode':>8} {'+ state':>8} {'+ walk':>8}"
    )
    for files, name in ((0, "still processing"), (1, "one result"), (8, "eight results")):
        body = answer(files)
        raw = decode(200, headers, body).raw
        works = (
            lambda body=body: json.loads(body),
            lambda body=body: decode(200, headers, body),
            lambda raw=raw: read_state(raw),
            lambda raw=raw: walk(raw),
        )
        calls, rounds = 1000, 41
        times = [[timeit.timeit(work, number=calls) for work in works] for _ in range(rounds)]
        loads, whole, state, walked = (
            statistics.median(column) / calls * 1e6 for column in zip(*times, strict=True)
        )
        print(
            f"{name:>18} {len(body):>6} {loads:>11.2f} {whole:>8.2f} {state:>8.2f} {walked:>8.2f}"
        )


if __name__ == "__main__":
    main()
