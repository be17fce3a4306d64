"""Clouds of a simulated scene: fractal thickness with soft edges, their shadows, and how bright they are in each band."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waldbench.datasets.simulated.optics import Weather
from waldbench.datasets.simulated.texture import Field, fractal

# Metres a pixel.
PIXEL = 10.0
# Pixels beyond the image in which a cloud may still cast its shadow into the image.
MARGIN = 144
# Apparent reflectance of a thick cloud at 1 to 2 km height, B1 to B12, as in published Level-1C images of cumulus.
BRIGHT = (0.56, 0.57, 0.57, 0.60, 0.61, 0.64, 0.68, 0.65, 0.70, 0.0, 0.0, 0.62, 0.48)
VAPOUR, CIRRUS = 9, 10


class Kind(NamedTuple):
    """One kind of cloud: knots of the coarsest field, sharpness of edges, largest thickness, and range of heights [m]."""

    cells: int
    sharpness: float
    thickest: float
    heights: tuple[float, float]


KINDS = (Kind(5, 3.0, 5.0, (500.0, 1100.0)), Kind(3, 1.3, 3.5, (700.0, 1100.0)), Kind(2, 0.5, 0.7, (7000.0, 11000.0)))
SHARES = (0.55, 0.3, 0.15)


class Clouds(NamedTuple):
    """Opacity of clouds and darkness of their shadows, (H, W), 0 to 1; apparent reflectance per band, (13, H, W)."""

    opacity: Field
    shadow: Field
    colour: NDArray[np.float32]

    @property
    def mask(self) -> Field:
        """The stronger of opacity and shadow."""
        return np.maximum(self.opacity, self.shadow)


def draw(rng: np.random.Generator, size: int, cover: float, weather: Weather) -> Clouds:
    """Draw clouds over about a share `cover` of an image of size x size pixels."""
    kind = KINDS[int(rng.choice(len(KINDS), p=SHARES))]
    height = float(rng.uniform(*kind.heights))
    whole = size + 2 * MARGIN
    field = fractal(rng, whole, kind.cells, 6, gain=0.58)
    inner = field[MARGIN : MARGIN + size, MARGIN : MARGIN + size]
    edge = np.quantile(inner, 1.0 - np.clip(cover, 0.0, 1.0)) if cover > 0 else inner.max() + 1.0
    depth = np.clip(kind.sharpness * (field - np.float32(edge)), 0.0, kind.thickest)
    opacity = 1.0 - np.exp(-depth)
    # Thicker parts are brighter, and high parts shade their surroundings.
    relief = 1.0 + 0.06 * np.clip(inner - np.float32(edge), -2.0, 1.5) + 0.05 * fractal(rng, size, 8, 4)
    colour = _colour(rng, height)[:, None, None] * relief.astype(np.float32)
    return Clouds(_cut(opacity, 0, 0, size), _shadow(opacity, height, weather, size), colour)


def _shadow(opacity: Field, height: float, weather: Weather, size: int) -> Field:
    """Darkness of the ground below clouds towards the sun; the shadow of a high cloud may fall outside the image."""
    distance = height / np.tan(weather.elevation) / PIXEL
    down, right = round(distance * np.sin(weather.azimuth)), round(distance * np.cos(weather.azimuth))
    if max(abs(down), abs(right)) > MARGIN:
        return np.zeros((size, size), dtype=np.float32)
    return np.asarray(0.8 * _cut(opacity, down, right, size), dtype=np.float32)


def _cut(field: Field, down: int, right: int, size: int) -> Field:
    rows, columns = MARGIN + down, MARGIN + right
    return np.asarray(field[rows : rows + size, columns : columns + size], dtype=np.float32)


def _colour(rng: np.random.Generator, height: float) -> NDArray[np.float32]:
    """Brightness varies between clouds; water vapour above a low one absorbs at 945 nm and hides it at 1375 nm."""
    colour = np.array(BRIGHT) * float(rng.uniform(0.75, 1.1))
    above = min(height / 10000.0, 1.0)
    colour[VAPOUR], colour[CIRRUS] = 0.14 + 0.35 * above, 0.002 + 0.07 * above**2
    return colour.astype(np.float32)
