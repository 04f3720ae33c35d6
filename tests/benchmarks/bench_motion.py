"""How long one film and one cartoon take on one core.

Run as `python tests/benchmarks/bench_motion.py` where `ailab-async[local]` and `av` are installed.
Seconds are those of the processor, which hardly depend on what else the machine does; each part is
run three times and the fastest counts.

Judged: a film of a 2-megapixel photograph with a large sky within 6 s, its encoding included; a
cartoon at the largest size, 2304 x 1536, within 3 s in every style.
"""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ailab_async.local.imaging import motion
from ailab_async.local.imaging.cartoon import cartoon
from ailab_async.local.imaging.color import Rgb
from ailab_async.local.imaging.video import encode

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
RUNS = 3
MOST_FILM, MOST_CARTOON = 6.0, 3.0
NAMES = (
    "vintage comic",
    "3D fairy tale",
    "two-dimensional",
    "refreshing and elegant",
    "future technology",
    "Chinese painting",
    "general in battles",
    "colourful cartoon",
    "graceful Chinese",
)


def read(name: str, width: int, height: int) -> Rgb:
    """Cut a photograph to a shape, enlarge it, and add film grain, the same on every machine."""
    with Image.open(PICTURES / f"{name}.jpg") as photograph:
        rows = min(photograph.height, photograph.width * height // width)
        part = photograph.crop((0, 0, photograph.width, rows))
        picture = np.asarray(part.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    grain = np.random.default_rng(12).normal(0, 3, (height, width, 1))
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def clouded(width: int, height: int) -> Rgb:
    """Draw clouds of all sizes over a dark, rough field: most of the picture moves."""
    chance = np.random.default_rng(5)
    white = np.zeros((height, width), np.float32)
    for cells in (6, 14, 30, 70, 160):
        rows = max(2, cells * height // width)
        layer = chance.standard_normal((rows, cells), np.float32) / np.float32(cells**0.7)
        white += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(0.35 + 0.5 * white / white.std(), 0, 1)[..., None]
    picture = (1 - share) * np.float32([70, 120, 200]) + share * np.float32([200, 215, 235])
    field = int(0.8 * height)
    picture[field:] = np.float32([60, 80, 40]) + chance.normal(0, 25, (height - field, width, 1))
    grain = chance.normal(0, 2, (height, width, 1))
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def fastest(work: Callable[[], object]) -> float:
    """Return the processor seconds of the fastest of some runs."""
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def outdoors(width: int, height: int) -> Rgb:
    """Put the portrait's head before drawn clouds, so that both kinds of motion are asked for."""
    head, sky = read("portrait", width, height), clouded(width, height)
    centre, axes = (int(0.43 * width), int(0.2 * height)), (int(0.16 * width), int(0.19 * height))
    body = np.zeros((height, width), np.uint8)
    cv2.ellipse(body, centre, axes, 0, 0, 360, 1, -1)
    body[int(0.37 * height) :] = 1
    return np.where(body[..., None] > 0, head, sky)


def drain(image: Rgb, *, sky: bool, hair: bool) -> None:
    """Make all pictures of a film and keep none."""
    for _ in motion.frames(image, sky=sky, hair=hair):
        pass


def films() -> None:
    """Print what films cost."""
    print(f"{'film, 2.0 megapixels':30}{'plan':>8}{'frames':>8}{'whole':>8}{'MB':>8}")
    cases = (
        ("sky, most of it clouds", clouded(1732, 1155), True, False),
        ("sky, clear at dusk", read("dusk", 1732, 1155), True, False),
        ("hair", read("portrait", 1414, 1414), False, True),
        ("sky and hair", outdoors(1414, 1414), True, True),
    )
    for name, image, sky, hair in cases:
        plan = fastest(lambda i=image, s=sky, h=hair: motion.frames(i, sky=s, hair=h))
        made = fastest(lambda i=image, s=sky, h=hair: drain(i, sky=s, hair=h))
        data = encode(motion.frames(image, sky=sky, hair=hair), rate=motion.RATE, container="mp4")
        whole = fastest(lambda i=image, s=sky, h=hair: motion.animate(i, sky=s, hair=h))
        size = len(data) / 1e6
        verdict = "ok" if whole <= MOST_FILM else "TOO SLOW"
        print(f"{name:30}{plan:8.2f}{made - plan:8.2f}{whole:8.2f}{size:8.2f}  {verdict}")


def cartoons() -> None:
    """Print what cartoons cost, and OpenCV's own filter at the same size."""
    print(f"{'cartoon, 2304 x 1536':30}{'whole':>8}")
    image = read("coffee", 2304, 1536)
    for style, name in enumerate(NAMES):
        seconds = fastest(lambda s=style: cartoon(image, s))
        verdict = "ok" if seconds <= MOST_CARTOON else "TOO SLOW"
        print(f"{name:30}{seconds:8.2f}  {verdict}")
    print(f"{'cv2.stylization':30}{fastest(lambda: cv2.stylization(image)):8.2f}")


if __name__ == "__main__":
    # As in the engine's workers.
    cv2.setNumThreads(1)
    films()
    cartoons()
