"""A hole as patchwork: for each of its pixels the place outside that it is copied from.

The search is PatchMatch's (Barnes et al. 2009): a place that suits a pixel's neighbour, shifted
by one pixel, probably suits the pixel; random places nearby and far away do the rest. Patches are
compared by the first coefficients of their cosine transforms, which is a good deal faster than
pixel by pixel and overlooks noise.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .color import Floats, Rgb

_Region = NDArray[np.bool_]
_Index = NDArray[np.intp]

RADIUS = 3
_FREQUENCIES = 3
# Of lightness and of the two chroma channels: which frequencies across and down.
_COEFFICIENTS = [
    (channel, across, down)
    for channel, most in ((0, _FREQUENCIES), (1, 1), (2, 1))
    for across in range(most + 1)
    for down in range(most + 1 - across)
]
_LEVELS = np.array([across == down == 0 for _, across, down in _COEFFICIENTS])
_SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0))


@dataclass(frozen=True)
class Places:
    """Where the pixels of a hole come from; all lists have one entry for each of them."""

    shape: tuple[int, int]
    y: _Index
    x: _Index
    source_y: _Index
    source_x: _Index

    def maps(self) -> tuple[_Index, _Index]:
        """Return rows and columns as pictures; outside of the hole each pixel is its own place."""
        rows, columns = np.indices(self.shape)
        rows[self.y, self.x] = self.source_y
        columns[self.y, self.x] = self.source_x
        return rows, columns

    def enlarge(self, targets: _Region) -> "Places":
        """Carry the places over to pixels of a larger picture."""
        rows, columns = self.maps()
        height, width = targets.shape
        y, x = np.nonzero(targets)
        low_y, low_x = y * self.shape[0] // height, x * self.shape[1] // width
        down = (rows[low_y, low_x] - low_y) * (height / self.shape[0])
        right = (columns[low_y, low_x] - low_x) * (width / self.shape[1])
        return Places(
            (height, width),
            y,
            x,
            np.clip(y + np.rint(down).astype(np.intp), 0, height - 1),
            np.clip(x + np.rint(right).astype(np.intp), 0, width - 1),
        )


def scatter(targets: _Region, sources: _Region, chance: np.random.Generator) -> Places:
    """Give each target a random source."""
    y, x = np.nonzero(targets)
    source_y, source_x = np.nonzero(sources)
    pick = chance.integers(0, len(source_y), len(y))
    return Places(sources.shape, y, x, source_y[pick], source_x[pick])


def describe(image: Rgb | Floats) -> Floats:
    """Return the descriptors of all patches, one row for each pixel of the picture.

    The squared distance of two rows is about the mean squared difference of the two patches.
    """
    size = 2 * RADIUS + 1
    place = (np.arange(size) + 0.5) * np.pi / size
    window = np.exp(-0.5 * ((np.arange(size) - RADIUS) / (0.6 * size)) ** 2)
    waves = []
    for order in range(_FREQUENCIES + 1):
        wave = np.cos(order * place) * window
        waves.append((wave / np.linalg.norm(wave)).astype(np.float32) / np.float32(np.sqrt(size)))
    channels = cv2.split(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2YCrCb))
    columns = [
        cv2.sepFilter2D(channels[channel], -1, waves[across], waves[down])
        for channel, across, down in _COEFFICIENTS
    ]
    return np.asarray(cv2.merge(columns), np.float32).reshape(-1, len(columns))


class Search:
    """The search for better places in one picture."""

    def __init__(
        self, image: Rgb, places: Places, sources: _Region, chance: np.random.Generator
    ) -> None:
        """Begin with ``places``; those that are no sources are replaced by random ones.

        Args:
            image: the picture; what is in the hole does not count.
            places: for the hole and the pixels round it.
            sources: which places are allowed; their patches do not reach into the hole.
            chance: where random numbers come from.
        """
        self._shape = sources.shape
        self._descriptors = describe(image)
        self._sources = sources
        self._all = np.flatnonzero(sources)
        self._chance = chance
        self._places = places
        self._number = np.full(sources.shape, -1, np.intp)
        self._number[places.y, places.x] = np.arange(len(places.y))
        self._beside: dict[int, list[_Index]] = {}
        y, x = places.source_y.copy(), places.source_x.copy()
        lost = ~sources[y, x]
        pick = self._all[chance.integers(0, len(self._all), int(lost.sum()))]
        y[lost], x[lost] = np.divmod(pick, sources.shape[1])
        self._y, self._x = y, x
        self._target = np.empty((0, len(_COEFFICIENTS)), np.float32)
        self.cost = np.empty(0, np.float32)

    def aim(self, filled: Rgb, *, contrast: float = 1.0) -> None:
        """Say what the hole should look like: like that of ``filled``, with this much contrast.

        What was found by averaging is a little soft, and would find soft places: it can be
        compared as if it had more contrast.
        """
        places = self._places
        box = tuple(
            slice(max(0, int(at.min()) - 2 * RADIUS), int(at.max()) + 2 * RADIUS + 1)
            for at in (places.y, places.x)
        )
        part = filled[box]
        wanted = describe(part)
        where = (places.y - box[0].start) * part.shape[1] + places.x - box[1].start
        self._target = wanted[where]
        self._target *= np.where(_LEVELS, np.float32(1), np.float32(contrast))
        self.cost = self._distance(slice(None), self._y, self._x)

    @property
    def places(self) -> Places:
        """The best places so far."""
        return replace(self._places, source_y=self._y.copy(), source_x=self._x.copy())

    def spread(self, step: int) -> None:
        """Try what suits the neighbours ``step`` pixels away."""
        for near, (down, right) in zip(self._neighbours(step), _SIDES, strict=True):
            # Most pixels have the place already: theirs are not looked at any further.
            y, x = self._y[near] - down * step, self._x[near] - right * step
            which = np.flatnonzero((near >= 0) & ((y != self._y) | (x != self._x)))
            self._try(which, y[which], x[which])

    def stir(self, reach: float) -> None:
        """Try random places at most ``reach`` pixels from the present ones."""
        count = len(self._y)
        down, right = np.rint(self._chance.uniform(-reach, reach, (2, count))).astype(np.intp)
        self._try(np.arange(count), self._y + down, self._x + right)

    def jump(self) -> None:
        """Try random places anywhere."""
        count = len(self._y)
        pick = self._all[self._chance.integers(0, len(self._all), count)]
        self._try(np.arange(count), *np.divmod(pick, self._shape[1]))

    def price(self, down: int, right: int) -> Floats:
        """Return what each pixel would cost if it came from so far away; infinite: not allowed."""
        y, x = self._places.y + down, self._places.x + right
        which = np.flatnonzero(self._inside(y, x))
        y, x = y[which], x[which]
        source = self._sources[y, x]
        which = which[source]
        prices = np.full(len(self._y), np.inf, np.float32)
        prices[which] = self._distance(which, y[source], x[source])
        return prices

    def settle(self, price: float) -> None:
        """Let pixels follow their neighbours.

        Two neighbours that come from different places are a seam, and each seam costs ``price``.
        A pixel takes the place of a neighbour where that makes the sum of its own cost and of its
        seams smaller.
        """
        # As on a chessboard: of two neighbours only one moves at a time.
        odd = (self._places.y + self._places.x) % 2
        neighbours = self._neighbours(1)
        for beside, (down, right) in zip(neighbours, _SIDES, strict=True):
            for color in (0, 1):
                which = np.flatnonzero((odd == color) & (beside >= 0))
                near = beside[which]
                which, y, x = self._allowed(which, self._y[near] - down, self._x[near] - right)
                saved = np.zeros(len(which), np.float32)
                for other, (side_down, side_right) in zip(neighbours, _SIDES, strict=True):
                    near = other[which]
                    there = near >= 0
                    near_y, near_x = self._y[near] - side_down, self._x[near] - side_right
                    saved += there & (near_y == y) & (near_x == x)
                    saved -= there & (near_y == self._y[which]) & (near_x == self._x[which])
                self._accept(which, y, x, np.float32(price) * saved)

    def _neighbours(self, step: int) -> list[_Index]:
        """Return for each side the numbers of the pixels so far away, -1 where there are none."""
        if step not in self._beside:
            # One picture of the numbers with a frame round it: nothing lies outside of that.
            number = np.pad(self._number, step, constant_values=-1)
            y, x = self._places.y + step, self._places.x + step
            self._beside[step] = [number[y + step * d, x + step * r] for d, r in _SIDES]
        return self._beside[step]

    def _inside(self, y: _Index, x: _Index) -> _Region:
        # As numbers without a sign what is below 0 is large, too.
        height, width = self._shape
        return np.asarray((y.view(np.uintp) < height) & (x.view(np.uintp) < width))

    def _try(self, which: _Index, y: _Index, x: _Index) -> None:
        which, y, x = self._allowed(which, y, x)
        self._accept(which, y, x, np.float32(0))

    def _allowed(self, which: _Index, y: _Index, x: _Index) -> tuple[_Index, _Index, _Index]:
        """Leave out what is no source, and what is no change."""
        inside = self._inside(y, x)
        inside &= (y != self._y[which]) | (x != self._x[which])
        which, y, x = which[inside], y[inside], x[inside]
        source = self._sources[y, x]
        return which[source], y[source], x[source]

    def _accept(self, which: _Index, y: _Index, x: _Index, saved: Floats | np.float32) -> None:
        cost = self._distance(which, y, x)
        better = cost - saved < self.cost[which]
        which = which[better]
        self._y[which], self._x[which], self.cost[which] = y[better], x[better], cost[better]

    def _distance(self, which: _Index | slice, y: _Index, x: _Index) -> Floats:
        away = np.take(self._descriptors, y * self._shape[1] + x, axis=0)
        away -= self._target[which]
        return np.asarray(np.einsum("nk,nk->n", away, away), np.float32)
