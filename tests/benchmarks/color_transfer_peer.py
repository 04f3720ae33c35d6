"""The peer python-color-transfer, in an environment of its own: it pins an old numpy and OpenCV.

Run by that environment's interpreter, not by this project's; nothing of the project is imported.

    python color_transfer_peer.py pairs METHOD FOLDER      FOLDER/<n>-in.png, <n>-ref.png -> <n>.png
    python color_transfer_peer.py time METHOD IMAGE REF OUT    prints seconds and megabytes
"""

import resource
import sys
import time
from pathlib import Path

import cv2
from python_color_transfer.color_transfer import ColorTransfer

_METHODS = {
    "pdf": {"name": "pdf_transfer"},
    "pdf + regrain": {"name": "pdf_transfer", "regrain": True},
    "mean_std": {"name": "mean_std_transfer"},
    "lab": {"name": "lab_transfer"},
}
_PEAK_UNITS_PER_MB = 1 << 20 if sys.platform == "darwin" else 1 << 10


def transfer(method, image, reference):
    options = dict(_METHODS[method])
    name = options.pop("name")
    return getattr(ColorTransfer(), name)(img_arr_in=image, img_arr_ref=reference, **options)


def pairs(method, folder):
    for path in sorted(Path(folder).glob("*-in.png")):
        number = path.name.removesuffix("-in.png")
        image, reference = (
            cv2.imread(str(path.with_name(f"{number}-{part}.png"))) for part in ("in", "ref")
        )
        cv2.imwrite(str(path.with_name(f"{number}.png")), transfer(method, image, reference))


def timed(method, image_path, reference_path, out):
    # A small copy first, as for the others.
    small = cv2.imread(image_path, cv2.IMREAD_REDUCED_COLOR_8)
    transfer(method, small, small)
    start = time.perf_counter()
    image, reference = cv2.imread(image_path), cv2.imread(reference_path)
    begin = time.perf_counter()
    result = transfer(method, image, reference)
    core = time.perf_counter() - begin
    quality = [cv2.IMWRITE_JPEG_QUALITY, 93]
    cv2.imwrite(out, result, quality)
    whole = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _PEAK_UNITS_PER_MB
    print(core, whole, peak)


if __name__ == "__main__":
    {"pairs": pairs, "time": timed}[sys.argv[1]](*sys.argv[2:])
