"""Recolour photographs of 12 and 100 megapixels: time and memory, the local engine and its peers.

Run as `python tests/benchmarks/bench_recolor.py` where `ailab-async[local]` and the benchmarks'
dependencies are installed; `COLOR_TRANSFER_PYTHON` names the interpreter of an environment with
python-color-transfer, which is left out otherwise. Every run is a process of its own, so that its
peak of memory is its own, and the contestants take turns, so that a busy machine is unfair to all.
Nothing is asserted: read the figures.

"core" is the step from two arrays to the result as an 8-bit array; "whole" is from the bytes of
two JPEG files to the bytes of a third. Peak is the resident memory of the whole process,
interpreter and libraries included.
"""

import io
import os
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
PEER = Path(__file__).with_name("color_transfer_peer.py")
PEER_PYTHON = os.environ.get("COLOR_TRANSFER_PYTHON")
SIZE = (4240, 2832)
LARGEST = (9999, 9999)
RUNS = 3
TABLE_RUNS = 5
# Each of these takes so long that once is enough.
SLOW = {"python-color-transfer pdf"}
# ru_maxrss is in kibibytes on Linux and in bytes on macOS.
PEAK_UNITS_PER_MB = 1 << 20 if sys.platform == "darwin" else 1 << 10


def make_photograph(path: str, name: str, width: str, height: str) -> None:
    """Enlarge a real photograph and add film grain, the same on every machine."""
    size = int(width), int(height)
    with Image.open(PICTURES / f"{name}.jpg") as photograph:
        # The upper part, of the shape that is wanted: in the portrait it is head and shoulders.
        side = min(photograph.width, photograph.height * size[0] // size[1])
        upper = photograph.crop((0, 0, side, side * size[1] // size[0]))
        large = np.array(upper.resize(size, Image.Resampling.BICUBIC))
    chance = np.random.default_rng(12)
    for top in range(0, size[1], 256):
        rows = large[top : top + 256]
        grain = chance.normal(0, 4, (*rows.shape[:2], 1))
        large[top : top + 256] = np.clip(rows + grain, 0, 255).astype(np.uint8)
    Image.fromarray(large).save(path, quality=88)


def ours(image: bytes, reference: bytes) -> tuple[float, bytes]:
    """Decode, recolour at full strength with faces kept, encode; return the core's time too."""
    # Each process loads only what it measures.
    import cv2

    from ailab_async.local.imaging import codec, recolor

    cv2.setNumThreads(1)
    source, goal = codec.decode(image), codec.decode(reference, at_least=recolor.REFERENCE_SIDE)
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
    return core, _jpeg(result)


def match_histograms(image: bytes, reference: bytes) -> tuple[float, bytes]:
    """Do the same with scikit-image's histogram matching."""
    from skimage.exposure import match_histograms as match

    source, goal = (np.array(Image.open(io.BytesIO(data))) for data in (image, reference))
    start = time.perf_counter()
    result = np.clip(match(source, goal, channel_axis=-1), 0, 255).astype(np.uint8)
    core = time.perf_counter() - start
    return core, _jpeg(result)


def _jpeg(result: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(result).save(buffer, "JPEG", quality=93, subsampling=0)
    return buffer.getvalue()


CONTESTANTS: dict[str, Callable[[bytes, bytes], tuple[float, bytes]]] = {
    "ailab_async": ours,
    "color-matcher mkl": color_matcher,
    "scikit-image match_histograms": match_histograms,
}
APART = {
    f"python-color-transfer {method}": method
    for method in ("lab", "mean_std", "pdf")
    if PEER_PYTHON
}


def run_child(name: str, image: str, reference: str) -> None:
    """Run one contestant once and print its figures: core and whole seconds, peak megabytes."""
    # A small copy first: what a library loads it loads once in a process, not for each picture.
    small = io.BytesIO()
    Image.MAX_IMAGE_PIXELS = None  # the largest one is our own
    with Image.open(image) as photograph:
        photograph.draft("RGB", (320, 320))
        photograph.thumbnail((320, 320))
        photograph.save(small, "JPEG")
    CONTESTANTS[name](small.getvalue(), Path(reference).read_bytes())
    data, goal = Path(image).read_bytes(), Path(reference).read_bytes()
    start = time.perf_counter()
    core, _ = CONTESTANTS[name](data, goal)
    whole = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PEAK_UNITS_PER_MB
    print(core, whole, peak)


def measure(name: str, image: Path, reference: Path) -> list[float]:
    """Run one contestant in a process of its own; return core, whole and peak."""
    if name in APART:
        out = image.with_suffix(".peer.jpg")
        words = [PEER_PYTHON or "", str(PEER), "time", APART[name], *map(str, (image, reference))]
        printed = run(*words, str(out))
    else:
        printed = run(sys.executable, __file__, "child", name, str(image), str(reference))
    return [float(figure) for figure in printed.split()[-3:]]


def run(*command: str) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def make(folder: str, name: str, size: tuple[int, int]) -> Path:
    """Make a photograph, in a child: Linux counts a parent's memory as its child's peak."""
    path = Path(folder) / f"{name}-{size[0]}.jpg"
    run(sys.executable, __file__, "make", str(path), name, *map(str, size))
    return path


def against_peers(folder: str, reference: Path) -> None:
    """Let the contestants take turns at 12 megapixels and print the medians."""
    figures: dict[str, list[list[float]]] = {name: [] for name in (*CONTESTANTS, *APART)}
    image = make(folder, "portrait", SIZE)
    megabytes = image.stat().st_size / 1e6
    print(
        f"{SIZE[0] * SIZE[1] / 1e6:.0f} megapixels, {megabytes:.1f} MB as JPEG; medians of {RUNS}"
    )
    for turn in range(RUNS):
        for name, runs in figures.items():
            if name not in SLOW or not turn:
                runs.append(measure(name, image, reference))
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in figures.items()
    }
    own = medians["ailab_async"]
    print(f"{'':30}{'core s':>9}{'whole s':>9}{'peak MB':>9}   against ours: core, whole, peak")
    for name, found in medians.items():
        ratios = [f"{theirs / mine:9.1f}x" for mine, theirs in zip(own, found, strict=True)]
        core, whole, peak = found
        print(f"{name:30}{core:9.2f}{whole:9.2f}{peak:9.0f}   {''.join(ratios)}")


def largest(folder: str, reference: Path) -> None:
    """Recolour the largest picture that the service takes, with a face and without."""
    print(f"\n{LARGEST[0]} x {LARGEST[1]}, from file to file, ailab_async")
    for name, content in (("portrait", "with a face"), ("coffee", "without one")):
        image = make(folder, name, LARGEST)
        goal = reference if name == "portrait" else PICTURES / "dusk.jpg"
        core, whole, peak = measure("ailab_async", image, goal)
        print(f"{content:30}{core:9.2f}{whole:9.2f}{peak:9.0f}")
        image.unlink()


def tables(photograph: str) -> None:
    """Send a photograph through the table alone, on one core, in each of a few ways."""
    import cv2

    from ailab_async.local.imaging import lut

    cv2.setNumThreads(1)
    image = np.array(Image.open(photograph))
    table = lut.build(lambda lab: lab * np.float32([0.9, -1, 1]))
    nodes = np.asarray(table.table, np.float32).reshape(lut.NODES, lut.NODES, lut.NODES, 3)
    # OpenCV has no table of three dimensions; a flat one of tiles is the usual way round.
    tiles = np.ascontiguousarray(nodes.swapaxes(0, 1).reshape(lut.NODES, -1, 3) * 255)
    curve = np.arange(256, dtype=np.uint8)[::-1].copy()
    ways = {
        "lut.apply": lambda part: lut.apply(part, table, threads=1),
        "lut.apply, texture kept out": lambda part: lut.apply(part, table, texture=1.0, threads=1),
        "Pillow, the whole at once": lambda part: np.asarray(Image.fromarray(part).filter(table)),
        "numpy, trilinear": lambda part: _trilinear(part, nodes),
        "OpenCV remap on tiles, two slices": lambda part: _remap(part, tiles),
        "OpenCV LUT, one curve (a floor)": lambda part: cv2.LUT(part, curve),
    }
    print(f"\nThrough a table of {lut.NODES} nodes an axis, on one core: megapixels a second")
    for name, way in ways.items():
        part = image[:300] if "numpy" in name or "remap" in name else image
        best = min(_processor_time(way, part) for _ in range(TABLE_RUNS))
        print(f"{name:40}{part.shape[0] * part.shape[1] / 1e6 / best:9.1f}")


def _processor_time(way: Callable[[np.ndarray], np.ndarray], part: np.ndarray) -> float:
    start = time.process_time()
    way(part)
    return time.process_time() - start


def _trilinear(image: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    place = image.astype(np.float32) * ((len(nodes) - 1) / 255)
    corner = np.minimum(place.astype(np.intp), len(nodes) - 2)
    part = place - corner
    red, green, blue = np.moveaxis(corner, -1, 0)
    total = np.zeros(image.shape, np.float32)
    for step in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(step, part, 1 - part), axis=-1)
        total += weight[..., None] * nodes[blue + step[2], green + step[1], red + step[0]]
    return (total * 255 + 0.5).astype(np.uint8)


def _remap(image: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    import cv2

    count = len(tiles)
    red, green, blue = np.moveaxis(image.astype(np.float32) * ((count - 1) / 255), -1, 0)
    low = np.floor(blue)
    high = np.minimum(low + 1, count - 1)
    slices = [
        cv2.remap(tiles, red + level * count, green, cv2.INTER_LINEAR) for level in (low, high)
    ]
    part = (blue - low)[..., None]
    return (slices[0] * (1 - part) + slices[1] * part + 0.5).astype(np.uint8)


def main() -> None:
    """Print all figures."""
    reference = PICTURES / "coffee.jpg"
    if not PEER_PYTHON:
        print("python-color-transfer is left out: COLOR_TRANSFER_PYTHON names no interpreter")
    with tempfile.TemporaryDirectory() as folder:
        against_peers(folder, reference)
        print(run(sys.executable, __file__, "tables", str(make(folder, "portrait", SIZE))), end="")
        largest(folder, reference)
    print("ours also finds the face and keeps it; the others do not")


STEPS: dict[str, Callable[..., None]] = {
    "make": make_photograph,
    "child": run_child,
    "tables": tables,
}

if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:]) if len(sys.argv) > 1 else main()
