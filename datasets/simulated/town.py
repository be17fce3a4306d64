"""Towns: streets around blocks, and the contents of the blocks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from waldbench.datasets.simulated.blocks import Blocks
from waldbench.datasets.simulated.canvas import Box, Canvas, Palette


class Plan(NamedTuple):
    """Properties of a kind of town.

    Attributes:
        block: shortest and longest side of a block in metres.
        road: narrowest and widest carriageway in metres.
        ground: material between buildings and streets.
        fill: weight of every kind of block (names of `Town` methods).
    """

    block: tuple[float, float]
    road: tuple[float, float]
    ground: str
    fill: dict[str, float]


PLANS = {
    "urban": Plan(
        (55, 110), (8, 15), "old concrete", {"shops": 6, "parking": 0.6, "flats": 1.5, "park": 0.7, "works": 0.8, "vacant": 0.4}
    ),
    "suburban": Plan(
        (62, 150), (6.5, 9), "meadow", {"homes": 9, "park": 0.8, "shops": 0.6, "pitch": 0.5, "woods": 0.6, "parking": 0.2}
    ),
    "apartments": Plan(
        (80, 160), (8, 14), "old concrete", {"flats": 7, "park": 1, "parking": 0.4, "shops": 1.2, "pitch": 0.6, "vacant": 0.6}
    ),
    "industrial": Plan(
        (90, 200), (8, 12), "old concrete", {"works": 7, "parking": 0.6, "vacant": 0.9, "shops": 0.6, "woods": 0.3}
    ),
}


class Town(Blocks):
    """Fills a canvas with streets and blocks; `visible` tells which boxes can be seen."""

    def __init__(self, canvas: Canvas, palette: Palette, rng: np.random.Generator, visible: Callable[[Box], bool]) -> None:
        super().__init__(canvas, palette, rng)
        self.visible = visible

    def draw(self, plan: Plan) -> None:
        """Draw streets, then every visible block."""
        columns, rows = self._lines(plan), self._lines(plan)
        self._streets(columns, rows)
        weights = np.array(list(plan.fill.values()))
        for x0, x1 in _gaps(columns):
            for y0, y1 in _gaps(rows):
                block = Box(x0, y0, x1, y1)
                if not self.visible(block):
                    continue
                kind = str(self.rng.choice(list(plan.fill), p=weights / weights.sum()))
                inner = block.inset(float(self.rng.uniform(1.2, 3.0)))
                self.canvas.paint(inner, self.palette.pick(plan.ground, "concrete" if plan.ground != "meadow" else "lawn"))
                getattr(self, kind)(inner)
                self._kerb_trees(block)

    def _lines(self, plan: Plan) -> list[tuple[float, float]]:
        """Centre and width of parallel streets."""
        lines: list[tuple[float, float]] = []
        at = float(self.rng.uniform(-40, 20))
        while not lines or lines[-1][0] < self.canvas.extent:
            lines.append((at, float(self.rng.uniform(*plan.road))))
            at += float(self.rng.uniform(*plan.block)) + plan.road[1]
        return lines

    def _streets(self, columns: list[tuple[float, float]], rows: list[tuple[float, float]]) -> None:
        far = self.canvas.extent
        surfaces = [self.palette.add("asphalt"), self.palette.add("old asphalt"), self.palette.add("asphalt")]
        roads = [(Box(x - w / 2, 0, x + w / 2, far), False) for x, w in columns] + [
            (Box(0, y - w / 2, far, y + w / 2), True) for y, w in rows
        ]
        for road, _ in roads:
            self.canvas.paint(road, surfaces[int(self.rng.integers(3))], gain=float(self.rng.normal(1, 0.05)))
        for road, along_x in roads:
            self._markings(road, along_x)
            self._traffic(road, along_x)

    def _markings(self, road: Box, along_x: bool) -> None:
        width = road.depth if along_x else road.width
        if width < 7.5:
            return
        paint = self.palette.pick("road paint", count=2)
        centre = (road.y0 + road.y1) / 2 if along_x else (road.x0 + road.x1) / 2
        for start in np.arange(0.0, self.canvas.extent, 9.0):
            a, b, low, high = float(start), float(start) + 4.0, centre - 0.1, centre + 0.1
            dash = Box(a, low, b, high) if along_x else Box(low, a, high, b)
            if self.visible(dash):
                self.canvas.stripe(dash, paint)

    def _traffic(self, road: Box, along_x: bool) -> None:
        """Moving cars in two lanes and parked ones along the kerb."""
        rng, width = self.rng, road.depth if along_x else road.width
        centre = (road.y0 + road.y1) / 2 if along_x else (road.x0 + road.x1) / 2
        busy, parked = float(rng.uniform(0.01, 0.08)), float(rng.uniform(0, 0.4)) if width > 8.5 else 0.05
        for offset, share, step in (
            (-width / 4 + 0.3, busy, 8),
            (width / 4 - 0.3, busy, 8),
            (-width / 2 + 1.1, parked, 5.8),
            (width / 2 - 1.1, parked, 5.8),
        ):
            for place in np.arange(0.0, self.canvas.extent, step):
                if rng.uniform() < share:
                    x, y = (float(place), centre + offset) if along_x else (centre + offset, float(place))
                    if self.visible(Box(x, y, x, y)):
                        self.build.car(x, y, along_x, long=bool(step == 8 and rng.uniform() < 0.06))

    def _kerb_trees(self, block: Box) -> None:
        rng, step = self.rng, float(self.rng.uniform(8, 16))
        share = float(rng.uniform(0, 0.7)) * min(self.green, 1)
        for x in np.arange(block.x0 + 3, block.x1 - 3, step):
            for y in (block.y0 + 1.2, block.y1 - 1.2):
                if rng.uniform() < share:
                    self.tree(float(x + rng.normal(0, 0.8)), float(y), 1.6, 3.8)

    def homes(self, box: Box) -> None:
        """Two rows of lots back to back: house, drive, lawn, trees, sometimes a pool."""
        rows = (
            (box.part(0, 0, 1, 0.5), box.part(0, 0.5, 1, 1))
            if box.width > box.depth
            else (box.part(0, 0, 0.5, 1), box.part(0.5, 0, 1, 1))
        )
        for number, row in enumerate(rows):
            along_x = box.width > box.depth
            count = max(1, round((row.width if along_x else row.depth) / float(self.rng.uniform(15, 24))))
            for lot in range(count):
                a, b = lot / count, (lot + 1) / count
                self._home(row.part(a, 0, b, 1) if along_x else row.part(0, a, 1, b), along_x, front_first=number == 0)

    def _home(self, lot: Box, along_x: bool, front_first: bool) -> None:
        rng, canvas = self.rng, self.canvas

        def place(front0: float, side0: float, front1: float, side1: float) -> Box:
            if not front_first:
                front0, front1 = 1 - front1, 1 - front0
            return lot.part(side0, front0, side1, front1) if along_x else lot.part(front0, side0, front1, side1)

        canvas.paint(lot, self.palette.pick("lawn", "meadow", "dry grass", "lawn", count=10), mix=float(rng.uniform(-0.2, 0.6)))
        if rng.uniform() < 0.4:
            canvas.paint(place(0.62, 0.1, 0.95, 0.5), self.palette.pick("dry soil", "paving", "dry grass", "gravel"))
        self.build.clutter(lot, 0.0, float(rng.uniform(0, 0.02)))
        side = float(rng.uniform(0.06, 0.7))
        canvas.paint(
            place(0, side, 0.35, side + 0.22),
            self.palette.pick("concrete", "old asphalt", "paving"),
            mix=float(rng.uniform(0, 0.4)),
        )
        if rng.uniform() < 0.6:
            spot = place(0.15, side + 0.11, 0.15, side + 0.11)
            self.build.car(spot.x0, spot.y0, not along_x)
        for edge in (0.0, 1.0):
            fence = place(0.3, edge, 1, edge)
            half = 0.12 if rng.uniform() < 0.7 else 0.5
            if rng.uniform() < 0.6:
                canvas.stripe(
                    Box(fence.x0 - half, fence.y0 - half, fence.x1 + half, fence.y1 + half),
                    self.palette.pick("shingle", "old concrete", "zinc", "dark leaf")
                    if half < 0.3
                    else self.palette.pick("dark leaf", "broadleaf"),
                    1.6,
                )
        front, left = float(rng.uniform(0.2, 0.3)), float(rng.uniform(0.06, 0.14))
        self.build.house(
            place(front, left, front + float(rng.uniform(0.3, 0.42)), 1 - float(rng.uniform(0.06, 0.14))), self.roofs
        )
        if rng.uniform() < 0.15:
            canvas.paint(place(0.7, 0.25, 0.88, 0.6), self.palette.pick("concrete", "paving"))
            canvas.paint(place(0.73, 0.3, 0.85, 0.55), self.palette.pick("pool", count=3), mix=0.0)
        if rng.uniform() < 0.5:
            shed = place(0.86, 0.05, 0.97, 0.28)
            self.build.pitched(shed, 2.2, self.palette.pick("zinc", "slate", "shingle"), False, 0.3)
        for _ in range(int(rng.poisson(7 * self.green))):
            front = float(rng.uniform(0.6, 1.02) if rng.uniform() < 0.75 else rng.uniform(0, 0.15))
            side = float(rng.uniform(0, 1))
            spot = place(front, side, front, side)
            self.tree(spot.x0, spot.y0, *((1.2, 4.2) if rng.uniform() < 0.5 else (0.5, 1.3)))


def _gaps(lines: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(a + wa / 2, b - wb / 2) for (a, wa), (b, wb) in pairwise(lines)]
