"""The canvas of a scene: maps of surface and height, and the palette of surfaces."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waldbench.datasets.simulated.materials import MATERIALS, NAMES, spectra

Image = NDArray[np.float32]
Labels = NDArray[np.uint16]


class Box(NamedTuple):
    """An upright rectangle in metres."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Extent along x."""
        return self.x1 - self.x0

    @property
    def depth(self) -> float:
        """Extent along y."""
        return self.y1 - self.y0

    def inset(self, margin: float) -> Box:
        """The box with `margin` metres taken off every side."""
        return Box(self.x0 + margin, self.y0 + margin, self.x1 - margin, self.y1 - margin)

    def part(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """A sub-box given in shares (0 to 1) of this one."""
        return Box(self.x0 + x0 * self.width, self.y0 + y0 * self.depth, self.x0 + x1 * self.width, self.y0 + y1 * self.depth)

    def halves(self, share: float) -> tuple[Box, Box]:
        """Cut across the longer side at a share of it."""
        if self.width > self.depth:
            return self.part(0, 0, share, 1), self.part(share, 0, 1, 1)
        return self.part(0, 0, 1, share), self.part(0, share, 1, 1)


class Palette:
    """The surfaces of one scene: every label is one instance of a material with its own brightness and colour."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._rows: list[tuple[int, int, float, float]] = []
        self._variants: dict[str, list[int]] = {}

    def add(self, name: str, brightness: float = 1.0, partner: str = "") -> int:
        """Make a new instance of a material and return its label."""
        material = MATERIALS[name]
        bright = brightness * float(np.exp(self.rng.normal(0.0, material.spread)))
        tilt = float(self.rng.normal(0.0, material.tilt))
        self._rows.append((NAMES.index(name), NAMES.index(partner or material.partner), bright, tilt))
        return len(self._rows) - 1

    def pick(self, *names: str, count: int = 6) -> int:
        """One of the `count` instances of a material chosen among `names`, made on first use."""
        name = names[int(self.rng.integers(len(names)))]
        known = self._variants.setdefault(name, [])
        if len(known) < count:
            known.append(self.add(name))
            return known[-1]
        return known[int(self.rng.integers(count))]

    def reflectance(
        self, response: NDArray[np.float64], curves: Callable[..., NDArray[np.float64]] = spectra
    ) -> tuple[Image, Image]:
        """Band reflectance of every label and of its partner, (bands, labels) each, on the response's wavelengths."""
        own, other, bright, tilt = self.instances()
        first = curves(own, bright, tilt) @ response.T
        second = curves(other, np.sqrt(bright), tilt) @ response.T
        return first.T.astype(np.float32), second.T.astype(np.float32)

    def instances(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Material and partner (indices into `NAMES`), brightness and tilt of every label, (labels,) each."""
        return tuple(np.array(column) for column in zip(*self._rows, strict=True))  # type: ignore[return-value]

    def texture(self) -> tuple[Image, Image, Image]:
        """Deviations `grain`, `mottle` and `patch` of every label, (labels,) each."""
        rows = [MATERIALS[NAMES[own]] for own, *_ in self._rows]
        return tuple(np.array([getattr(row, name) for row in rows], dtype=np.float32) for name in ("grain", "mottle", "patch"))  # type: ignore[return-value]


class Canvas:
    """Square maps of label, height [m], brightness gain and share of the partner material.

    Attributes:
        scale: pixels per metre.
        extent: side in metres.
    """

    def __init__(self, size: int, scale: float, label: int) -> None:
        self.scale = scale
        self.extent = size / scale
        self.label = np.full((size, size), label, dtype=np.uint16)
        self.height = np.zeros((size, size), dtype=np.float32)
        self.gain = np.ones((size, size), dtype=np.float32)
        self.mix = np.zeros((size, size), dtype=np.float32)
        self._trees: list[tuple[float, float, float, float, int]] = []

    def pixels(self, box: Box) -> tuple[slice, slice]:
        """Rows and columns of a box, clipped to the canvas."""
        size = len(self.label)
        x0, y0, x1, y1 = (min(max(round(value * self.scale), 0), size) for value in box)
        return slice(y0, max(y0, y1)), slice(x0, max(x0, x1))

    def paint(self, box: Box, label: int, height: float = 0.0, gain: float = 1.0, mix: float = 0.0) -> None:
        """Cover a box with a flat surface."""
        where = self.pixels(box)
        self.label[where] = label
        self.height[where] = height
        self.gain[where] = gain
        self.mix[where] = mix

    def stripe(self, box: Box, label: int, height: float = 0.0) -> None:
        """Paint a mark that may be narrower than a pixel: it takes one pixel, mixed with the partner of its material."""
        thin = min(box.width, box.depth) * self.scale
        if thin >= 1.0:
            self.paint(box, label, height)
        elif thin > 0.2:
            grow = (1.02 / self.scale - min(box.width, box.depth)) / 2
            wide = (
                Box(box.x0 - grow, box.y0, box.x1 + grow, box.y1)
                if box.width < box.depth
                else Box(box.x0, box.y0 - grow, box.x1, box.y1 + grow)
            )
            self.paint(wide, label, height, mix=1.0 - thin)

    def cover(
        self,
        where: NDArray[np.intp],
        label: int | Labels,
        height: float | Image = 0.0,
        gain: float | Image = 1.0,
        mix: float | Image = 0.0,
    ) -> None:
        """Cover pixels named by flat index."""
        self.label.reshape(-1)[where] = label
        self.height.reshape(-1)[where] = height
        self.gain.reshape(-1)[where] = gain
        self.mix.reshape(-1)[where] = mix

    def plant(self, x: float, y: float, radius: float, height: float, label: int) -> None:
        """Add a tree to the list that `grow` draws over everything below."""
        self._trees.append((x, y, radius, height, label))

    def grow(self, rng: np.random.Generator) -> None:
        """Draw the trees planted so far as irregular domes that hide what is lower."""
        size = len(self.label)
        shapes = rng.integers(0, SHAPES, len(self._trees))
        shares = rng.uniform(-0.2, 0.4, len(self._trees))
        for (x, y, radius, height, label), shape, share in zip(self._trees, shapes, shares, strict=True):
            dome = _dome(max(round(radius * self.scale), 1), int(shape))
            half = len(dome) // 2
            top, left = round(y * self.scale) - half, round(x * self.scale) - half
            rows, columns = slice(max(top, 0), min(top + len(dome), size)), slice(max(left, 0), min(left + len(dome), size))
            if rows.start >= rows.stop or columns.start >= columns.stop:
                continue
            crown = dome[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] * np.float32(height)
            below = self.height[rows, columns]
            above = crown > below
            np.copyto(below, crown, where=above)
            np.copyto(self.label[rows, columns], np.uint16(label), where=above)
            np.copyto(self.gain[rows, columns], np.float32(1.0), where=above)
            np.copyto(self.mix[rows, columns], np.float32(share), where=above)
        self._trees.clear()


SHAPES = 12


@lru_cache(maxsize=2048)
def _dome(radius: int, shape: int) -> Image:
    """Relative crown height (0 outside), a dome with a lobed outline and several tops; one of `SHAPES`."""
    rng = np.random.default_rng([radius, shape])
    y, x = np.mgrid[-radius - 1 : radius + 2, -radius - 1 : radius + 2].astype(np.float64) / radius
    angle = np.arctan2(y, x)
    outline = 0.88 + sum(rng.uniform(0.02, 0.09) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 5, 7))
    dome = np.sqrt(np.clip(1.0 - (np.hypot(x, y) / outline) ** 2, 0.0, None))
    bumps = np.zeros_like(dome)
    for _ in range(7):
        cx, cy, r = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), rng.uniform(0.25, 0.45)
        bumps = np.maximum(bumps, np.sqrt(np.clip(1.0 - ((x - cx) ** 2 + (y - cy) ** 2) / r**2, 0.0, None)))
    crown = (0.45 + 0.38 * dome + 0.17 * bumps) * (dome > 0)
    return np.asarray(crown, dtype=np.float32)
