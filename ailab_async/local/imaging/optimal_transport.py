"""The map that gives one picture the colours of another: optimal transport between their colours.

Two steps. The Monge-Kantorovich linear map (Pitie & Kokaram 2007) carries mean and covariance
over; it is smooth and keeps detail, but knows only ellipsoids. What it misses is measured by sliced
optimal transport (Pitie, Kokaram & Dahyot 2007; Rabin et al. 2011) on a sample of colours,
smoothed over colour space, and added; then what is still missed, a few times. Unsmoothed, sliced
transport would match the histograms closely and amplify every grain of noise.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from .color import Floats, oklab_to_rgb, rgb_to_oklab
from .lut import ColorMap

_Doubles = NDArray[np.float64]

# More colours than these change what comes of it by less than a hundredth.
_SAMPLE = 3000
# No direction of colour space is stretched or squeezed by more: stretching shows noise and JPEG
# blocks, squeezing makes flat areas of what had detail.
_LEAST_GAIN, _MOST_GAIN = 0.45, 1.5
_SHADOWS, _HIGHLIGHTS = 0.2, 0.3
_SLICES = 12
_SLICE_STEP = 0.9
_ROUNDS = 5
_GRID = 24
_LOW, _HIGH = np.array([0.0, -0.35, -0.35]), np.array([1.0, 0.35, 0.35])
_BLUR = 0.9
_PRIOR = 0.25
# Lightness follows the sliced transport less than chroma does: bent tones cost detail.
_FOLLOWED = np.array([0.22, 1.0, 1.0])


def transport_map(source: Floats, reference: Floats) -> ColorMap:
    """Make the map from a source's colours to a reference's.

    Args:
        source: OKLab colours, n x 3.
        reference: OKLab colours, m x 3.

    Returns:
        The map at full strength.
    """
    # Any fixed choice would do; the same input has to give the same bytes.
    chance = np.random.default_rng(1)
    xs, ys = _sample(source, chance), _sample(reference, chance)
    linear, shift = _monge_kantorovich(xs, ys)
    # Where the reference is much plainer than the bounded gains allow, the rest would undo them.
    plain = np.trace(_covariance(ys)) / max(np.trace(_covariance(xs @ linear)), 1e-9)
    trust = min(1.0, plain) * _FOLLOWED
    slices = _slices(ys, chance)
    residual = np.zeros((_GRID, _GRID, _GRID, 3))
    for _ in range(_ROUNDS):
        # What counts is what comes out, in the gamut.
        moved = _bounded(linear, shift, residual, xs)(xs.astype(np.float32))
        seen = rgb_to_oklab(oklab_to_rgb(moved)).astype(np.float64)
        residual = residual + _smooth(xs, trust * (_sliced(seen, slices) - seen))
    return _bounded(linear, shift, residual, xs)


def _bounded(linear: _Doubles, shift: _Doubles, residual: _Doubles, sample: _Doubles) -> ColorMap:
    """Return the linear map and the rest of it, with the lightness of a sample kept in bounds."""

    def unbounded(lab: Floats | _Doubles) -> _Doubles:
        return lab @ linear + shift + _interpolate(residual, lab)

    light = unbounded(sample)[:, 0]
    darkest, lightest = float(light.min()), float(light.max())

    def apply(lab: Floats) -> Floats:
        moved = unbounded(lab)
        moved[:, 0] = 1 - _shoulder(1 - moved[:, 0], 1 - darkest, _SHADOWS)
        moved[:, 0] = _shoulder(moved[:, 0], lightest, _HIGHLIGHTS)
        return moved.astype(np.float32)

    return apply


def _shoulder(light: _Doubles, lightest: float, width: float) -> _Doubles:
    """Bend lightness that would run over 1, so that highlights fade instead of clip.

    The uppermost `width` takes in all between its foot and `lightest`; it starts with slope 1. A
    map that stays within bounds is left alone.
    """
    foot = 1 - width
    excess = (lightest - foot) / width
    if excess <= 1:
        return light
    t = np.clip((light - foot) / (lightest - foot), 0, 1)
    return np.where(light > foot, foot + width * excess * t / (1 + (excess - 1) * t), light)


def _sample(colors: Floats, chance: np.random.Generator) -> _Doubles:
    if len(colors) > _SAMPLE:
        colors = colors[chance.choice(len(colors), _SAMPLE, replace=False)]
    return colors.astype(np.float64)


def _monge_kantorovich(xs: _Doubles, ys: _Doubles) -> tuple[_Doubles, _Doubles]:
    """Return matrix and shift of the linear map between two clouds of colours."""
    tiny = 1e-6 * np.eye(3)
    root = _root(_covariance(xs) + tiny)
    inverse = np.linalg.inv(root)
    matrix = inverse @ _root(root @ (_covariance(ys) + tiny) @ root) @ inverse
    gains, axes = np.linalg.eigh(matrix)
    matrix = (axes * np.clip(gains, _LEAST_GAIN, _MOST_GAIN)) @ axes.T
    return matrix, ys.mean(axis=0) - xs.mean(axis=0) @ matrix


def _covariance(colors: _Doubles) -> _Doubles:
    away = colors - colors.mean(axis=0)
    covariance: _Doubles = away.T @ away / len(colors)
    return covariance


def _root(matrix: _Doubles) -> _Doubles:
    values, axes = np.linalg.eigh(matrix)
    root: _Doubles = (axes * np.sqrt(np.maximum(values, 1e-12))) @ axes.T
    return root


def _slices(ys: _Doubles, chance: np.random.Generator) -> list[tuple[_Doubles, _Doubles]]:
    """Return random axes, three at right angles at a time, and where a cloud lies along each."""
    turns = [np.linalg.qr(chance.normal(size=(3, 3)))[0] for _ in range(_SLICES)]
    return [(axes, np.sort(ys @ axes, axis=0)) for axes in turns]


def _sliced(xs: _Doubles, slices: list[tuple[_Doubles, _Doubles]]) -> _Doubles:
    """Move a cloud onto another one by matching it along one set of axes after another."""
    moved = xs.copy()
    at = (np.arange(len(xs)) + 0.5) / len(xs)
    for axes, target in slices:
        along = moved @ axes
        goal = (np.arange(len(target)) + 0.5) / len(target)
        for axis in range(3):
            order = along[:, axis].argsort(kind="stable")
            along[order, axis] = np.interp(at, goal, target[:, axis])
        moved += _SLICE_STEP * (along @ axes.T - moved)
    return moved


def _smooth(at: _Doubles, values: _Doubles) -> _Doubles:
    """Spread scattered values over a grid of colour space, towards 0 where there are none."""
    cell = np.round(_position(at)).astype(np.intp)
    flat = np.ravel_multi_index((cell[:, 0], cell[:, 1], cell[:, 2]), (_GRID,) * 3)
    columns = [np.bincount(flat, values[:, i], minlength=_GRID**3) for i in range(3)]
    grid = np.stack([*columns, np.bincount(flat, minlength=_GRID**3)], axis=-1)
    grid = grid.reshape(_GRID, _GRID, _GRID, 4)
    steps = np.arange(_GRID)
    kernel = np.exp(-0.5 * ((steps[:, None] - steps) / _BLUR) ** 2) / (_BLUR * np.sqrt(2 * np.pi))
    for axis in range(3):
        grid = np.moveaxis(np.tensordot(kernel, grid, axes=(1, axis)), 0, axis)
    smooth: _Doubles = grid[..., :3] / (grid[..., 3:] + _PRIOR)
    return smooth


def _position(lab: Floats | _Doubles) -> _Doubles:
    scaled: _Doubles = (lab - _LOW) / (_HIGH - _LOW) * (_GRID - 1)
    return np.clip(scaled, 0, _GRID - 1)


def _interpolate(grid: _Doubles, lab: Floats | _Doubles) -> _Doubles:
    position = _position(lab)
    corner = np.minimum(position.astype(np.intp), _GRID - 2)
    t = position - corner
    total = np.zeros_like(position)
    for step in itertools.product((0, 1), repeat=3):
        weight = np.prod(np.where(step, t, 1 - t), axis=1)
        i, j, k = (corner + step).T
        total += weight[:, None] * grid[i, j, k]
    return total
