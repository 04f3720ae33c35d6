"""What the tests judge pictures by.

Colour differences, CIELAB and lightness are scikit-image's, not ours. Only hue angles are measured
with our own OKLab, which `test_color.py` checks against its author's published values.
"""

import cv2
import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from ailab_async.local.imaging.color import rgb_to_oklab


def lightness(image):
    """Mean CIELAB L*."""
    return rgb2lab(image)[..., 0].mean()


def difference(one, other):
    """CIEDE2000 of each pixel."""
    return deltaE_ciede2000(rgb2lab(one), rgb2lab(other))


def turned_by(before, after):
    """By how many degrees the hue of colourful pixels was turned, the mean over the circle."""
    old = rgb_to_oklab(before.reshape(-1, 3) / 255)
    new = rgb_to_oklab(after.reshape(-1, 3) / 255)
    old, new = old[:, 1] + 1j * old[:, 2], new[:, 1] + 1j * new[:, 2]
    colorful = (abs(old) > 0.05) & (abs(new) > 0.03)
    turn = new[colorful] / old[colorful]
    return np.degrees(np.angle((turn / abs(turn)).mean()))


def hue(image):
    """The hue angle in degrees, CIELAB, weighted by chroma."""
    a, b = rgb2lab(image).reshape(-1, 3)[:, 1:].mean(axis=0)
    return np.degrees(np.arctan2(b, a)) % 360


def gaps(angles):
    """The angles between neighbours on the circle, smallest first."""
    around = np.sort(np.asarray(angles) % 360)
    return np.sort(np.diff(np.append(around, around[0] + 360)))


def kept_detail(before, after):
    """The correlation of the gradients of L*: 1 where every edge is where and what it was."""
    old, new = (rgb2lab(image)[..., 0].astype(np.float32) for image in (before, after))
    old, new = (
        np.stack([cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)])
        for light in (old, new)
    )
    return (old * new).sum() / np.sqrt((old**2).sum() * (new**2).sum())


def noise_gain(before, after):
    """By how much the grain of flat areas grew, beside the contrast of the whole: 1 is not at all.

    Grain is what a blur of 1.5 pixels takes away; flat are the two fifths of the picture that had
    the least of it. A picture whose lightness is spread twice as far may have twice the grain.
    """
    old, new = (rgb2lab(image).astype(np.float32) for image in (before, after))
    old_grain, new_grain = (
        abs(lab - cv2.GaussianBlur(lab, (0, 0), 1.5)).sum(axis=-1) for lab in (old, new)
    )
    around = cv2.blur(old_grain, (15, 15))
    flat = around < np.percentile(around, 40)
    gain = new_grain[flat].mean() / max(old_grain[flat].mean(), 1e-6)
    return gain * old[..., 0].std() / max(new[..., 0].std(), 1)


def wasserstein(one, other):
    """The sliced Wasserstein distance between the colours of two pictures, in CIELAB."""
    chance = np.random.default_rng(7)
    clouds = [rgb2lab(image).reshape(-1, 3) for image in (one, other)]
    clouds = [cloud[chance.choice(len(cloud), 10_000)] for cloud in clouds]
    axes = chance.normal(size=(3, 32))
    axes /= np.linalg.norm(axes, axis=0)
    one, other = (np.sort(cloud @ axes, axis=0) for cloud in clouds)
    return abs(one - other).mean()


def main_colors(image, count):
    """OpenCV's k-means in CIELAB, best of five: the colours, and the share of each."""
    small = cv2.resize(image, (120, 90), interpolation=cv2.INTER_AREA)
    points = rgb2lab(small).reshape(-1, 3).astype(np.float32)
    cv2.setRNGSeed(1)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 50, 0.1)
    _, member, centres = cv2.kmeans(points, count, None, stop, 5, cv2.KMEANS_PP_CENTERS)
    return centres, np.bincount(member.ravel(), minlength=count) / len(points)


def palette_distance(image, colors):
    """CIEDE2000 from the main colours of a picture to the nearest of a palette, by their shares."""
    found, share = main_colors(image, len(colors))
    table = deltaE_ciede2000(found[:, None], rgb2lab(np.array(colors) / 255)[None])
    return np.average(table.min(axis=1), weights=share)


def palette_coverage(image, colors):
    """CIEDE2000 from the colours of a palette to the nearest main colours of a picture."""
    found, _ = main_colors(image, len(colors))
    table = deltaE_ciede2000(found[:, None], rgb2lab(np.array(colors) / 255)[None])
    return table.min(axis=0).mean()
