"""Recolour a 12-megapixel photograph after a reference: the local engine against color-matcher.

Run as `python tests/benchmarks/bench_recolor.py` where `ailab-async[local]` and `color-matcher`
are installed. Every run is a process of its own, so that its peak of memory is its own, and the
two take turns, so that a busy machine is unfair to both. Nothing is asserted: read the figures.

"core" is the step from two arrays to the result as an 8-bit array; "whole" is from the bytes of
two JPEG files to the bytes of a third. Peak is the resident memory of the whole process,
interpreter and libraries included.
"""

import io
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SIZE = (4240, 2832)
RUNS = 3
# ru_maxrss is in kibibytes on Linux and in bytes on macOS.
PEAK_UNITS_PER_MB = 1 << 20 if sys.platform == "darwin" else 1 << 10


def make_photograph(path: Path) -> None:
    """Enlarge a real photograph to 12 megapixels and add film grain, the same on every machine."""
    with Image.open(PICTURES / "portrait.jpg") as photograph:
        # The upper part, head and shoulders, has the shape of the picture that is wanted.
        upper = photograph.crop((0, 0, 512, 342)).resize(SIZE, Image.Resampling.BICUBIC)
    grain = np.random.default_rng(12).normal(0, 4, (SIZE[1], SIZE[0], 1))
    picture = np.clip(np.asarray(upper) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(picture).save(path, quality=92)


def ours(image: bytes, reference: bytes) -> tuple[float, bytes]:
    """Decode, recolour at full strength with faces kept, encode; return the core's time too."""
    # Each process loads only what it measures.
    import cv2

    from ailab_async.local.imaging import codec, recolor

    cv2.setNumThreads(1)
    source, goal = codec.decode(image), codec.decode(reference, at_least=256)
    start = time.perf_counter()
    result = recolor.recolor_reference(source, goal, degree=1)
    core = time.perf_counter() - start
    del source
    return core, codec.encode(result, format="JPEG")


def color_matcher(image: bytes, reference: bytes) -> tuple[float, bytes]:
    """Do the same with color-matcher's Monge-Kantorovich linear map."""
    from color_matcher import ColorMatcher
    from color_matcher.normalizer import Normalizer

    source, goal = (np.array(Image.open(io.BytesIO(data))) for data in (image, reference))
    start = time.perf_counter()
    matched = ColorMatcher().transfer(src=source, ref=goal, method="mkl")
    result = Normalizer(matched).uint8_norm()
    core = time.perf_counter() - start
    buffer = io.BytesIO()
    Image.fromarray(result).save(buffer, "JPEG", quality=93, subsampling=0)
    return core, buffer.getvalue()


CONTESTANTS: dict[str, Callable[[bytes, bytes], tuple[float, bytes]]] = {
    "ailab_async": ours,
    "color-matcher mkl": color_matcher,
}


def run_child(name: str, image: Path, reference: Path) -> None:
    """Run one contestant once and print its figures: core and whole seconds, peak megabytes."""
    # A tiny round first: importing a library is paid once in a process, not for each picture.
    small = io.BytesIO()
    Image.new("RGB", (80, 60), "teal").save(small, "JPEG")
    CONTESTANTS[name](small.getvalue(), reference.read_bytes())
    data, goal = image.read_bytes(), reference.read_bytes()
    start = time.perf_counter()
    core, _ = CONTESTANTS[name](data, goal)
    whole = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PEAK_UNITS_PER_MB
    print(core, whole, peak)


def run(*arguments: str) -> str:
    """Run this file in a process of its own and return what it prints."""
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def main() -> None:
    """Let the contestants take turns and print the medians."""
    reference = PICTURES / "coffee.jpg"
    figures: dict[str, list[list[float]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "photograph.jpg"
        # In a child too: Linux counts the memory of a parent at its start as a child's peak.
        run("make", str(image))
        megapixels, megabytes = SIZE[0] * SIZE[1] / 1e6, image.stat().st_size / 1e6
        print(f"{megapixels:.1f} megapixels, {megabytes:.1f} MB as JPEG, {RUNS} runs each, medians")
        for _ in range(RUNS):
            for name, runs in figures.items():
                printed = run(name, str(image), str(reference))
                runs.append([float(figure) for figure in printed.split()[-3:]])

    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in figures.items()
    }
    print(f"{'':20}{'core s':>9}{'whole s':>9}{'peak MB':>9}")
    for name, (core, whole, peak) in medians.items():
        print(f"{name:20}{core:9.2f}{whole:9.2f}{peak:9.0f}")
    own, peer = medians.values()
    core, whole, peak = (theirs / mine for mine, theirs in zip(own, peer, strict=True))
    print(f"{'ratio':20}{core:8.1f}x{whole:8.1f}x{peak:8.1f}x")
    print(
        "Judged: at least 2x as fast as a whole, and under 400 MB; ours also finds the face and "
        "keeps it, theirs does not."
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make_photograph(Path(sys.argv[2]))
    elif len(sys.argv) > 1:
        run_child(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
