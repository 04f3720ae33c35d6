"""Make the motion-*.jpg and cartoon-*.jpg of this folder from its photographs.

And the nine styles that the engine's page shows, from the head of the portrait.

Run as `python docs/pictures/make_motion_sheets.py` where `ailab-async[local]` is installed.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ailab_async.local.imaging import cartoon, codec, motion

HERE = Path(__file__).parent
TILE, GAP, CAPTION, MARGIN = 288, 10, 24, 16
PAPER, INK = (250, 249, 246), (40, 42, 46)
STYLES = (
    "0 vintage comic",
    "1 3D fairy tale",
    "2 two-dimensional",
    "3 refreshing and elegant",
    "4 future technology",
    "5 Chinese painting",
    "6 general in battles",
    "7 colourful cartoon",
    "8 graceful Chinese",
)
HEAD = np.s_[0:210, 115:325]
STYLES_FILE = HERE.parents[1] / "ailab_async" / "local" / "page" / "styles.jpg"
STYLES_TILE = 176
DRAWN_HEAD = np.s_[0:735, 320:1055]


def read(name: str) -> np.ndarray:
    """Decode one of the photographs."""
    return codec.decode((HERE / f"{name}.jpg").read_bytes())


def save(name: str, tiles: list[tuple[np.ndarray, str]], columns: int) -> None:
    """Lay tiles of one shape out in rows, with their captions."""
    height = round(TILE * tiles[0][0].shape[0] / tiles[0][0].shape[1])
    rows = -(-len(tiles) // columns)
    step = (TILE + GAP, height + CAPTION + GAP)
    size = (2 * MARGIN + columns * step[0] - GAP, 2 * MARGIN + rows * step[1] - GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for number, (picture, caption) in enumerate(tiles):
        left = MARGIN + number % columns * step[0]
        top = MARGIN + number // columns * step[1]
        tile = Image.fromarray(picture).resize((TILE, height), Image.Resampling.LANCZOS)
        sheet.paste(tile, (left, top))
        draw.text((left, top + height + 4), caption, fill=INK, font=font)
    sheet.save(HERE / f"{name}.jpg", quality=80, optimize=True)


def cartoons() -> None:
    """Draw a portrait and a still life in all nine styles."""
    for name in ("portrait", "coffee"):
        image = read(name)
        tiles = [(cartoon.cartoon(image, style), STYLES[style]) for style in range(9)]
        save(f"cartoon-{name}", tiles, columns=3)


def styles() -> None:
    """Draw a head in all nine styles, three in a row, without captions."""
    image = read("portrait")
    size = (STYLES_TILE, STYLES_TILE)
    sheet = Image.new("RGB", (3 * STYLES_TILE, 3 * STYLES_TILE))
    for style in range(9):
        # a part of the drawing, whose strokes and dots would be too fine in one of the part
        drawn = np.ascontiguousarray(cartoon.cartoon(image, style)[DRAWN_HEAD])
        tile = Image.fromarray(drawn).resize(size, Image.Resampling.LANCZOS)
        sheet.paste(tile, (style % 3 * STYLES_TILE, style // 3 * STYLES_TILE))
    sheet.save(STYLES_FILE, quality=82, optimize=True)


def films() -> None:
    """Show what moves in two photographs, and how far hair goes."""
    portrait = read("portrait")
    film = list(motion.frames(portrait, sky=False, hair=True))
    away = np.clip(128 + 3 * (film[20].astype(int) - film[62]), 0, 255).astype(np.uint8)
    tiles = [
        (portrait[HEAD], "the photograph"),
        (film[20][HEAD], "after 0.8 s"),
        (film[62][HEAD], "after 2.5 s"),
        (away[HEAD], "their difference, three times"),
    ]
    save("motion-hair", tiles, columns=4)

    dusk = read("dusk")
    moved = np.zeros(dusk.shape[:2], np.uint8)
    for picture in motion.frames(dusk, sky=True, hair=False):
        moved |= (picture != dusk).any(axis=2)
    marked = dusk.copy()
    whole = cv2.morphologyEx(moved, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    marked[whole] = marked[whole] // 2 + np.array([110, 60, 120], np.uint8)
    save("motion-sky", [(dusk, "the photograph"), (marked, "what drifts")], columns=2)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    cartoons()
    styles()
    films()
