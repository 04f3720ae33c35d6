"""Recolour real photographs: the local engine against its peers, judged by figures.

Run as `python tests/benchmarks/bench_colors.py` where `ailab-async[local]` and the benchmarks'
dependencies are installed. `COLOR_TRANSFER_PYTHON` names the interpreter of an environment with
python-color-transfer, which pins an old numpy and OpenCV; without it that peer is left out, and the
tables say so. Nothing is asserted: read the figures. Nothing here is timed (see `bench_recolor`).

"to the goal" is the sliced Wasserstein distance between the colours of result and reference in
CIELAB: less is closer. "noise" is how much the grain of flat areas grew, beside the contrast of the
whole: 1 is not at all. "detail" is the correlation of the gradients of lightness with the
original's. All three are those of `tests/imaging/measures.py`.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from color_matcher import ColorMatcher
from color_matcher.normalizer import Normalizer
from numpy.typing import NDArray
from photographs import Picture, photographs
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from skimage.exposure import match_histograms

from ailab_async.local.imaging.recolor import recolor_auto, recolor_reference, recolor_template

sys.path.insert(0, str(Path(__file__).parents[1] / "imaging"))

import measures  # the tests' own, which lie beside this folder

APART = 18
DEGREES = (0, 0.2, 0.4, 0.6, 0.8, 1)
COUNTS = range(2, 9)
# Centre and half axes of the faces, in pixels at 640 on the long side, drawn by hand.
FACES = {"portrait": ((222, 118), (36, 50)), "admiral": ((255, 225), (70, 95))}
PEER = Path(__file__).with_name("color_transfer_peer.py")
PEER_PYTHON = os.environ.get("COLOR_TRANSFER_PYTHON")

Colors = list[tuple[int, int, int]]
Pair = tuple[Picture, Picture]


def _palette(digits: str) -> Colors:
    return [(red, green, blue) for red, green, blue in map(bytes.fromhex, digits.split())]


PALETTES = {
    "teal, ink": _palette("056A6B 0A0B0C"),
    "sunset": _palette("F4D35E EE964B F95738 0D3B66"),
    "spring": _palette("2E4057 048BA8 16DB93 EFEA5A F29E4C"),
    "violets": _palette("10002B 3C096C 7B2CBF E0AAFF"),
    "pure red, blue": _palette("DB0D0D 0E0CBB FF0000"),
    "pure green, magenta": _palette("00C800 D000D0"),
}


def ours(image: Picture, reference: Picture) -> Picture:
    """Recolour at full strength; nobody is looked for, since no peer does that."""
    return recolor_reference(image, reference, degree=1, protect=False)


def matched(image: Picture, reference: Picture) -> Picture:
    """Match the histograms of the channels."""
    return np.clip(match_histograms(image, reference, channel_axis=-1), 0, 255).astype(np.uint8)


def color_matcher(method: str) -> Callable[[Picture, Picture], Picture]:
    """Return one of color-matcher's methods."""

    def transfer(image: Picture, reference: Picture) -> Picture:
        moved = ColorMatcher().transfer(src=image.copy(), ref=reference.copy(), method=method)
        return np.asarray(Normalizer(moved).uint8_norm(), np.uint8)

    return transfer


def one_by_one(function: Callable[[Picture, Picture], Picture]) -> Callable[..., list[Picture]]:
    """Return the function of many pairs for a function of one."""
    return lambda pairs: [function(image, goal) for image, goal in pairs]


def color_transfer(method: str) -> Callable[[list[Pair]], list[Picture]]:
    """Return one of python-color-transfer's methods, which work in a process of their own."""

    def transfer(pairs: list[Pair]) -> list[Picture]:
        with tempfile.TemporaryDirectory() as folder:
            for number, pair in enumerate(pairs):
                for part, picture in zip(("in", "ref"), pair, strict=True):
                    Image.fromarray(picture).save(f"{folder}/{number}-{part}.png")
            command = [PEER_PYTHON or "", str(PEER), "pairs", method, folder]
            subprocess.run(command, check=True)  # noqa: S603
            return [np.array(Image.open(f"{folder}/{n}.png")) for n in range(len(pairs))]

    return transfer


CONTESTANTS: dict[str, Callable[[list[Pair]], list[Picture]]] = {
    "the source, unchanged": lambda pairs: [image for image, _ in pairs],
    "ailab_async": one_by_one(ours),
    "scikit-image match_histograms": one_by_one(matched),
    **{
        f"color-matcher {method}": one_by_one(color_matcher(method))
        for method in ("mkl", "reinhard", "hm-mkl-hm")
    },
    **{
        f"python-color-transfer {method}": color_transfer(method)
        for method in ("pdf", "pdf + regrain", "mean_std", "lab")
        if PEER_PYTHON
    },
}


def hard_shift(image: Picture, colors: Colors) -> Picture:
    """Move every pixel as the nearest of the k-means colours moves, darker to darker."""
    found, _ = measures.main_colors(image, len(colors))
    lab, goal = rgb2lab(image), rgb2lab(np.array(colors) / 255)
    goal = goal[goal[:, 0].argsort()][found[:, 0].argsort().argsort()]
    nearest = ((lab[:, :, None] - found) ** 2).sum(axis=-1).argmin(axis=-1)
    return (lab2rgb(lab + (goal - found)[nearest]) * 255 + 0.5).astype(np.uint8)


def quantized(image: Picture, colors: Colors) -> Picture:
    """Give every pixel the nearest colour of the palette, as Pillow does."""
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for color in colors for value in color])
    reduced = Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE)
    return np.array(reduced.convert("RGB"))


PAINTERS: dict[str, Callable[[Picture, Colors], Picture]] = {
    "the source, unchanged": lambda image, _: image,
    "ailab_async": lambda image, colors: recolor_template(
        image, colors=colors, degree=1, protect=False
    ),
    "k-means, hard shift": hard_shift,
    "Pillow quantize": quantized,
}


def row(name: str, figures: Iterable[float], form: str = "7.2f") -> None:
    """Print a line of a table."""
    print(
        f"| {name:30} | " + " | ".join(f"{figure:{form}}" for figure in figures) + " |", flush=True
    )


def head(title: str, *columns: str) -> None:
    """Print the head of a table; a column may stand for several, with `|` between."""
    line = f"| {'':30} | {' | '.join(columns)} |"
    print(f"\n{title}\n\n{line}\n|{'---|' * (line.count('|') - 1)}", flush=True)


def references(photos: dict[str, Picture]) -> None:
    """Compare the ways to give a picture the colours of another, on all pairs that are far apart.

    Every ordered pair counts whose colours differ by at least `APART`, seen on every third pixel.
    """
    coarse = {name: photo[::3, ::3] for name, photo in photos.items()}
    names = [
        (one, other)
        for one in photos
        for other in photos
        if measures.wasserstein(coarse[one], coarse[other]) >= APART
    ]
    pairs = [(photos[one], photos[other]) for one, other in names]
    print("Pairs:", ", ".join(f"{one} to {other}" for one, other in names))
    head(
        f"REF_PIC, degree 1: the {len(pairs)} ordered pairs at least {APART} apart",
        *("to the goal", "noise", "most", "detail", "least", "pairs nearer and quieter than ours"),
    )
    own = judge(pairs, CONTESTANTS["ailab_async"](pairs))
    for name, recolor in CONTESTANTS.items():
        figures = judge(pairs, recolor(pairs))
        distance, noise, detail = figures.T
        better = (figures < own)[:, :2].all(axis=1).sum()
        row(name, (distance.mean(), noise.mean(), noise.max(), detail.mean(), detail.min(), better))


def judge(pairs: list[Pair], results: list[Picture]) -> NDArray[np.float64]:
    """Return distance, noise and detail of each result."""
    return np.array(
        [
            (
                measures.wasserstein(result, goal),
                measures.noise_gain(image, result),
                measures.kept_detail(image, result),
            )
            for (image, goal), result in zip(pairs, results, strict=True)
        ]
    )


def templates(photos: dict[str, Picture]) -> None:
    """Compare the ways to give a picture the colours of a palette."""
    print(f"\n{len(photos)} photographs x {len(PALETTES)} palettes")
    head(
        "TEMPLATE, degree 1: CIEDE2000 from the main colours of the result to the template",
        *(f"{name}: to it | noise | detail" for name in ("all", *PALETTES)),
    )
    for name, paint in PAINTERS.items():
        judged = np.array(
            [
                [
                    (
                        measures.palette_distance(result, colors),
                        measures.noise_gain(image, result),
                        measures.kept_detail(image, result),
                    )
                    for image in photos.values()
                    for result in [paint(image, colors)]
                ]
                for colors in PALETTES.values()
            ]
        )
        row(name, (*judged.mean(axis=(0, 1)), *judged.mean(axis=1).ravel()))


def degrees(photos: dict[str, Picture]) -> None:
    """Show that every degree goes further than the one below."""
    head("Degree", *(str(degree) for degree in DEGREES))
    goal, colors = photos["dusk"], PALETTES["sunset"]
    others = [image for name, image in photos.items() if name != "dusk"]

    def reference(image: Picture, degree: float) -> float:
        result = recolor_reference(image, goal, degree=degree, protect=False)
        return measures.wasserstein(result, goal)

    def template(image: Picture, degree: float) -> float:
        result = recolor_template(image, colors=colors, degree=degree, protect=False)
        return measures.palette_distance(result, colors)

    def auto(image: Picture, degree: float) -> float:
        result = next(recolor_auto(image, color_count=1, degree=degree, protect=False))
        return measures.difference(image, result).mean()

    for name, reached in (
        ("REF_PIC: to the goal (dusk)", reference),
        ("TEMPLATE: to sunset, CIEDE2000", template),
        ("AUTO: change, CIEDE2000", auto),
    ):
        row(name, (np.mean([reached(image, degree) for image in others]) for degree in DEGREES))


def hues(photos: dict[str, Picture]) -> None:
    """Measure on the results how evenly AUTO's hues are spread."""
    head("AUTO, degree 0.4: largest departure from even, degrees of hue", *map(str, COUNTS))
    for name, image in photos.items():
        departures = []
        for count in COUNTS:
            made = recolor_auto(image, color_count=count, degree=0.4, protect=False)
            turned = [measures.turned_by(image, result) for result in made]
            departures.append(abs(measures.gaps(turned) - 360 / count).max())
        row(name, departures)


def faces(photos: dict[str, Picture]) -> None:
    """Measure the change inside hand-drawn faces."""
    head(
        "Faces, degree 1: CIEDE2000",
        *(
            f"{mode} {kept}"
            for kept in ("kept", "not kept")
            for mode in ("AUTO", "TEMPLATE", "REF_PIC")
        ),
    )
    for name, (centre, axes) in FACES.items():
        image = photos[name]
        drawn = np.zeros(image.shape[:2], np.uint8)
        cv2.ellipse(drawn, centre, axes, 0, 0, 360, 1, -1)
        inside = drawn > 0
        sunset, dusk = PALETTES["sunset"], photos["dusk"]
        made = []
        for kept in (True, False):
            made.append(next(recolor_auto(image, color_count=2, degree=1, protect=kept)))
            made.append(recolor_template(image, colors=sunset, degree=1, protect=kept))
            made.append(recolor_reference(image, dusk, degree=1, protect=kept))
        row(name, (measures.difference(image, result)[inside].mean() for result in made))


def main() -> None:
    """Print all tables."""
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")  # peers that divide by zero, colours outside of sRGB
    photos = photographs()
    print(f"{len(photos)} photographs: {', '.join(photos)}; at most 640 pixels on the long side")
    if not PEER_PYTHON:
        print("python-color-transfer is left out: COLOR_TRANSFER_PYTHON names no interpreter")
    references(photos)
    templates(photos)
    degrees(photos)
    hues(photos)
    faces(photos)


if __name__ == "__main__":
    main()
