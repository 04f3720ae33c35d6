"""A mask of the caller's own: what keeps its colours, drawn or found by somebody else.

It has the size of the picture and stays as it is: no copy of it is made, also not of another type.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Floats, Rgb

Keep: TypeAlias = NDArray[np.bool_] | NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]
"""Height x width: `bool`, `uint8` 0..255, or `float32` or `float64` 0..1; the highest value keeps
a pixel as it is, the lowest lets it change, and between them both are mixed."""

_MOST = {"bool": 1.0, "uint8": 255.0, "float32": 1.0, "float64": 1.0}


@dataclass(frozen=True)
class KeepMask:
    """A checked mask over one picture."""

    values: NDArray[Any]
    most: float

    @classmethod
    def checked(cls, mask: Keep, height: int, width: int) -> "KeepMask":
        """Take a mask for a picture of this size.

        Raises:
            ValueError: it has another shape or type, or values outside of 0..1.
        """
        values: NDArray[Any] = np.asarray(mask)
        if values.shape != (height, width):
            got = " x ".join(map(str, values.shape)) or "a single value"
            message = (
                f"protect_mask: has to be as high and wide as the picture, {height} x {width}, "
                f"not {got}"
            )
            raise ValueError(message)
        most = _MOST.get(values.dtype.name)
        if most is None:
            message = f"protect_mask: has to be of {', '.join(_MOST)}, not of {values.dtype.name}"
            raise ValueError(message)
        low, high = float(values.min()), float(values.max())
        # Not the other way round: comparisons with NaN are all false.
        if not (low >= 0 and high <= most):
            message = f"protect_mask: values have to lie in 0..1, not in {low:g}..{high:g}"
            raise ValueError(message)
        return cls(values, most)

    def shrunk(self, height: int, width: int) -> Floats:
        """Return the mask at a smaller size, 0..1."""
        # OpenCV takes bytes for truth values, and rounds their means: half is 128 of 255, not of 1.
        raw = self.values.view(np.uint8) if self.values.dtype == np.bool_ else self.values
        small = cv2.resize(np.ascontiguousarray(raw), (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32) / np.float32(self.most)

    def over(self, height: int, width: int) -> "KeepMask":  # noqa: ARG002 - it has this size
        """Lay the mask over its picture."""
        return self

    def keep(self, source: Rgb, target: Rgb, rows: slice) -> None:
        """Mix the source's pixels back into the target's `rows` where the mask says so."""
        mask = self.values[rows]
        columns = np.flatnonzero(mask.any(axis=0))
        if not len(columns):
            return
        at = rows, slice(int(columns[0]), int(columns[-1]) + 1)
        old, new, mask = source[at], target[at], self.values[at][..., None]
        if mask.dtype == np.bool_:
            np.copyto(new, old, where=mask)
            return
        weight = mask.astype(np.float32) / np.float32(self.most)
        mixed = new + (old - new.astype(np.float32)) * weight
        target[at] = (mixed + np.float32(0.5)).astype(np.uint8)
