"""Make recoloured.jpg: the photographs of this folder, recoloured in all three modes.

Run as `python docs/pictures/make_sheet.py` where `ailab-async[local]` is installed.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ailab_async.local.imaging import codec, recolor

HERE = Path(__file__).parent
TILE, GAP, CAPTION, MARGIN = (288, 192), 10, 26, 18
PAPER, INK, FAINT = (250, 249, 246), (40, 42, 46), (120, 122, 126)
DEGREE = 0.8
TEMPLATES = {
    "portrait": [(0x05, 0x6A, 0x6B), (0xF4, 0xD3, 0x5E), (0x0D, 0x3B, 0x66)],
    "dusk": [(0x24, 0x00, 0x46), (0x9D, 0x4E, 0xDD), (0xFF, 0x9E, 0x6D)],
    "coffee": [(0x30, 0x60, 0xC0)],
}
REFERENCES = {"portrait": "dusk", "dusk": "coffee", "coffee": "dusk"}


def read(name: str) -> np.ndarray:
    """Decode one of the photographs."""
    return codec.decode((HERE / f"{name}.jpg").read_bytes())


def tile(image: np.ndarray) -> Image.Image:
    """Cut a picture to a tile's shape, keeping its upper part, and shrink it."""
    height, width = image.shape[:2]
    rows = min(height, width * TILE[1] // TILE[0])
    top = (height - rows) // 8
    cut = Image.fromarray(np.ascontiguousarray(image[top : top + rows]))
    return cut.resize(TILE, Image.Resampling.LANCZOS)


def row(name: str) -> list[tuple[Image.Image, str, list[tuple[int, int, int]]]]:
    """Return the tiles of one photograph, with their captions and swatches."""
    image = read(name)
    tiles = [(tile(image), "original", [])]
    turned = recolor.recolor_auto(image, color_count=4, degree=recolor.FULL_TURN_DEGREE)
    tiles += [(tile(result), f"AUTO {k} of 4", []) for k, result in enumerate(turned, 1)]
    colors = TEMPLATES[name]
    result = recolor.recolor_template(image, colors=colors, degree=DEGREE)
    tiles.append((tile(result), "TEMPLATE", colors))
    reference = REFERENCES[name]
    result = recolor.recolor_reference(image, read(reference), degree=DEGREE)
    thumbnail = tile(read(reference)).resize((TILE[0] // 4, TILE[1] // 4))
    result_tile = tile(result)
    frame = (TILE[0] - thumbnail.width - 8, TILE[1] - thumbnail.height - 8)
    ImageDraw.Draw(result_tile).rectangle(
        (
            frame[0] - 2,
            frame[1] - 2,
            frame[0] + thumbnail.width + 1,
            frame[1] + thumbnail.height + 1,
        ),
        fill=PAPER,
    )
    result_tile.paste(thumbnail, frame)
    tiles.append((result_tile, "REF_PIC", []))
    return tiles


def main() -> None:
    """Lay the tiles out, one row for each photograph, and save the sheet."""
    rows = [row(name) for name in TEMPLATES]
    step = (TILE[0] + GAP, TILE[1] + CAPTION + GAP)
    size = (
        2 * MARGIN + len(rows[0]) * step[0] - GAP,
        2 * MARGIN + len(rows) * step[1] - GAP,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for y, tiles in enumerate(rows):
        for x, (picture, caption, swatches) in enumerate(tiles):
            left, top = MARGIN + x * step[0], MARGIN + y * step[1]
            sheet.paste(picture, (left, top))
            draw.text((left, top + TILE[1] + 5), caption, fill=INK if x else FAINT, font=font)
            for k, color in enumerate(reversed(swatches)):
                right = left + TILE[0] - 20 * k
                draw.rectangle((right - 17, top + TILE[1] + 6, right, top + TILE[1] + 20), color)
    sheet.save(HERE / "recoloured.jpg", quality=82, optimize=True)


if __name__ == "__main__":
    main()
