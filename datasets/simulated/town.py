"""Towns: streets around blocks, and what fills a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from datasets.simulated.buildings import FLAT, TILES, Builder
from datasets.simulated.canvas import Box, Canvas, Palette


class Plan(NamedTuple):
    """What a kind of town is made of.

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
    "urban": Plan((55, 110), (8, 15), "old concrete", {"shops": 6, "parking": 0.6, "flats": 1.5, "park": 0.7, "works": 0.8, "vacant": 0.4}),
    "suburban": Plan((62, 150), (6.5, 9), "meadow", {"homes": 9, "park": 0.8, "shops": 0.6, "pitch": 0.5, "woods": 0.6, "parking": 0.2}),
    "apartments": Plan((80, 160), (8, 14), "old concrete", {"flats": 7, "park": 1, "parking": 0.4, "shops": 1.2, "pitch": 0.6, "vacant": 0.6}),
    "industrial": Plan((90, 200), (8, 12), "old concrete", {"works": 7, "parking": 1.2, "vacant": 1.2, "shops": 0.6, "woods": 0.3}),
}


class Town:
    """Fills a canvas with streets and blocks; `visible` tells which boxes can be seen."""

    def __init__(self, canvas: Canvas, palette: Palette, rng: np.random.Generator, visible: Callable[[Box], bool]) -> None:
        self.canvas, self.palette, self.rng, self.visible = canvas, palette, rng, visible
        self.build = Builder(canvas, palette, rng)
        self.green = float(rng.uniform(0.4, 1.3))
        self.leaves = [("broadleaf", "dark leaf"), ("broadleaf", "conifer", "dark leaf"), ("broadleaf", "autumn leaf")][int(rng.choice(3, p=[0.6, 0.25, 0.15]))]
        self.roofs = [TILES, ("clay tile", "old tile"), ("shingle", "slate", "shingle", "zinc")][int(rng.integers(3))]

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
        lines, at = [], float(self.rng.uniform(-40, 20))
        while not lines or lines[-1][0] < self.canvas.extent:
            lines.append((at, float(self.rng.uniform(*plan.road))))
            at += float(self.rng.uniform(*plan.block)) + plan.road[1]
        return lines

    def _streets(self, columns: list[tuple[float, float]], rows: list[tuple[float, float]]) -> None:
        far = self.canvas.extent
        surfaces = [self.palette.add("asphalt"), self.palette.add("old asphalt"), self.palette.add("asphalt")]
        roads = [(Box(x - w / 2, 0, x + w / 2, far), False) for x, w in columns] + [(Box(0, y - w / 2, far, y + w / 2), True) for y, w in rows]
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
        for offset, share, step in ((-width / 4 + 0.3, busy, 8), (width / 4 - 0.3, busy, 8), (-width / 2 + 1.1, parked, 5.8), (width / 2 - 1.1, parked, 5.8)):
            for place in np.arange(0.0, self.canvas.extent, step):
                if rng.uniform() < share:
                    x, y = (float(place), centre + offset) if along_x else (centre + offset, float(place))
                    if self.visible(Box(x, y, x, y)):
                        self.build.car(x, y, along_x, long=bool(step == 8 and rng.uniform() < 0.06))

    def tree(self, x: float, y: float, low: float = 1.8, high: float = 4.8) -> None:
        """Plant one tree of a crown radius between `low` and `high` metres."""
        radius = float(self.rng.uniform(low, high))
        self.canvas.plant(x, y, radius, radius * float(self.rng.uniform(1.1, 1.9)), self.palette.pick(*self.leaves, count=10))

    def scatter(self, box: Box, per_hectare: float, low: float = 1.8, high: float = 4.8) -> None:
        """Plant trees at random in a box, in clumps."""
        rng = self.rng
        for _ in range(int(rng.poisson(max(per_hectare * box.width * box.depth / 1e4 / 2.5, 0)))):
            x, y = rng.uniform(box.x0, box.x1), rng.uniform(box.y0, box.y1)
            for _ in range(int(rng.integers(1, 5))):
                self.tree(float(x + rng.normal(0, 4)), float(y + rng.normal(0, 4)), low, high)

    def _kerb_trees(self, block: Box) -> None:
        rng, step = self.rng, float(self.rng.uniform(8, 16))
        share = float(rng.uniform(0, 0.7)) * min(self.green, 1)
        for x in np.arange(block.x0 + 3, block.x1 - 3, step):
            for y in (block.y0 + 1.2, block.y1 - 1.2):
                if rng.uniform() < share:
                    self.tree(float(x + rng.normal(0, 0.8)), float(y), 1.6, 3.8)

    def lots(self, box: Box, smallest: float, largest: float) -> list[Box]:
        """Cut a box at random into lots whose sides stay above `smallest`."""
        done, todo = [], [box]
        while todo:
            lot = todo.pop()
            long = max(lot.width, lot.depth)
            if long < 2.2 * smallest or (long < largest and self.rng.uniform() < 0.5):
                done.append(lot)
            else:
                todo += lot.halves(float(self.rng.uniform(0.38, 0.62)))
        return done

    def shops(self, box: Box) -> None:
        """Closed rows of flat and pitched roofs around yards."""
        rng, base = self.rng, float(self.rng.uniform(4, 9))
        self.build.clutter(box, 0.0, 0.02)
        for lot in self.lots(box, 8, 30):
            chance = rng.uniform()
            if chance < 0.12:
                self._yard(lot)
                continue
            body = lot.part(0, 0, *rng.uniform(0.72, 1.0, 2)) if rng.uniform() < 0.5 else lot
            body = body.inset(float(rng.choice([0.0, 0.0, 0.4, 1.2])))
            height = base * float(rng.uniform(0.7, 1.5)) * (2.2 if rng.uniform() < 0.06 else 1)
            if chance < 0.68:
                self.build.flat(body, height, FLAT)
            elif chance < 0.85:
                self.build.hall(body, height * 0.8)
            else:
                self.build.pitched(body, height * 0.7, self.palette.add(str(rng.choice(self.roofs))), bool(rng.integers(2)), 0.35)

    def _yard(self, lot: Box) -> None:
        rng = self.rng
        self.canvas.paint(lot, self.palette.pick("old asphalt", "old concrete", "gravel", "paving"), mix=float(rng.uniform(0, 0.4)))
        for x in np.arange(lot.x0 + 2.5, lot.x1 - 2, 3.0):
            if rng.uniform() < 0.4:
                self.build.car(float(x), lot.y0 + 3.0, False)
        self.scatter(lot, 60 * self.green)

    def parking(self, box: Box) -> None:
        """Rows of stalls, some with trees between."""
        rng, canvas = self.rng, self.canvas
        canvas.paint(box, self.palette.pick("asphalt", "old asphalt", count=3), mix=float(rng.uniform(0, 0.3)))
        paint, full = self.palette.pick("road paint", count=2), float(rng.uniform(0.15, 0.85))
        for y in np.arange(box.y0 + 3.0, box.y1 - 5.5, 16.5):
            for row, x in ((r, x) for r in (float(y), float(y) + 5.2) for x in np.arange(box.x0 + 2, box.x1 - 3, 2.6)):
                canvas.stripe(Box(float(x) - 0.06, row - 2.5, float(x) + 0.06, row + 2.5), paint)
                if rng.uniform() < full:
                    self.build.car(float(x) + 1.3, row + float(rng.normal(0, 0.25)), False)
            for x in np.arange(box.x0 + 4, box.x1 - 4, 13.0):
                if rng.uniform() < 0.5 * self.green:
                    self.tree(float(x), float(y) + 2.6, 1.3, 2.6)

    def flats(self, box: Box) -> None:
        """Parallel slabs among lawns, paths and trees."""
        rng, along_x = self.rng, bool(self.rng.uniform() < 0.8)
        self.canvas.paint(box, self.palette.pick("lawn", "meadow", "dry grass", "paving"), mix=float(rng.uniform(0, 0.4)))
        height, depth = float(rng.uniform(12, 28)), float(rng.uniform(10, 14))
        across = box.depth if along_x else box.width
        step = depth + float(rng.uniform(0.9, 1.5)) * height
        paving = self.palette.pick("concrete", "old asphalt", "paving")
        for start in np.arange(3.0, across - depth, step):
            a, b = float(start) / across, (float(start) + depth) / across
            row = box.part(0.04, a, 0.96, b) if along_x else box.part(a, 0.04, b, 0.96)
            lane = box.part(0, b + 4 / across, 1, b + 9 / across) if along_x else box.part(b + 4 / across, 0, b + 9 / across, 1)
            if (b + 9 / across) < 1:
                self.canvas.paint(lane, paving)
                for place in np.arange(0.06, 0.94, 6.0 / max(lane.width, lane.depth)):
                    if rng.uniform() < 0.4:
                        spot = lane.part(float(place), 0.7, float(place), 0.7) if along_x else lane.part(0.7, float(place), 0.7, float(place))
                        self.build.car(spot.x0, spot.y0, along_x)
            parts = row.halves(float(rng.uniform(0.4, 0.6))) if max(row.width, row.depth) > 55 else (row,)
            for part in parts:
                self.build.slab(part.part(0.03, 0, 0.97, 1) if along_x else part.part(0, 0.03, 1, 0.97), height)
        self.scatter(box, 110 * self.green, 1.4, 3.6)

    def park(self, box: Box) -> None:
        """Lawns, paths, trees and a pond or a square."""
        rng = self.rng
        self.canvas.paint(box, self.palette.pick("lawn", "meadow", "lawn"), mix=float(rng.uniform(-0.1, 0.5)))
        path = self.palette.pick("gravel", "paving", "concrete")
        for _ in range(int(rng.integers(1, 4))):
            p, half = float(rng.uniform(0.2, 0.8)), 1.2 / max(box.width, box.depth)
            self.canvas.paint(box.part(p - half, 0, p + half, 1) if rng.uniform() < 0.5 else box.part(0, p - half, 1, p + half), path)
        if rng.uniform() < 0.35:
            self.canvas.paint(box.part(0.35, 0.35, 0.65, 0.62), self.palette.pick("green water", "turbid water", "paving"))
        self.scatter(box, 170 * self.green, 2.2, 6.0)

    def woods(self, box: Box) -> None:
        """A closed canopy."""
        self.canvas.paint(box, self.palette.pick("meadow", "wet soil"), mix=0.3)
        self.scatter(box, 700, 2.2, 5.0)

    def pitch(self, box: Box) -> None:
        """A sports field with its lines, and a stand or a car park beside."""
        rng = self.rng
        self.canvas.paint(box, self.palette.pick("meadow", "paving", "dry grass"), mix=0.2)
        field = box.part(0.12, 0.12, 0.88, 0.8)
        turf, paint = self.palette.add(str(rng.choice(["turf", "lawn"]))), self.palette.pick("road paint", count=2)
        strips = max(2, int(field.width / 6))
        for strip in range(strips):
            self.canvas.paint(field.part(strip / strips, 0, (strip + 1) / strips, 1), turf, gain=1.05 if strip % 2 else 0.97)
        lines = [(0.03, 0.04, 0.97, 0.04), (0.03, 0.96, 0.97, 0.96), (0.03, 0.04, 0.03, 0.96), (0.97, 0.04, 0.97, 0.96), (0.5, 0.04, 0.5, 0.96)]
        lines += [(0.03, 0.3, 0.18, 0.3), (0.03, 0.7, 0.18, 0.7), (0.18, 0.3, 0.18, 0.7), (0.82, 0.3, 0.82, 0.7), (0.82, 0.3, 0.97, 0.3)]
        for line in lines:
            mark = field.part(*line)
            self.canvas.stripe(Box(mark.x0 - 0.07, mark.y0 - 0.07, mark.x1 + 0.07, mark.y1 + 0.07), paint)
        self.scatter(box.part(0, 0.86, 1, 1), 200 * self.green)

    def homes(self, box: Box) -> None:
        """Two rows of lots back to back: house, drive, lawn, trees, here and there a pool."""
        rows = (box.part(0, 0, 1, 0.5), box.part(0, 0.5, 1, 1)) if box.width > box.depth else (box.part(0, 0, 0.5, 1), box.part(0.5, 0, 1, 1))
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
        canvas.paint(place(0, side, 0.35, side + 0.22), self.palette.pick("concrete", "old asphalt", "paving"), mix=float(rng.uniform(0, 0.4)))
        if rng.uniform() < 0.6:
            spot = place(0.15, side + 0.11, 0.15, side + 0.11)
            self.build.car(spot.x0, spot.y0, not along_x)
        for edge in (0.0, 1.0):
            fence = place(0.3, edge, 1, edge)
            half = 0.12 if rng.uniform() < 0.7 else 0.5
            if rng.uniform() < 0.6:
                canvas.stripe(Box(fence.x0 - half, fence.y0 - half, fence.x1 + half, fence.y1 + half), self.palette.pick("shingle", "old concrete", "zinc", "dark leaf") if half < 0.3 else self.palette.pick("dark leaf", "broadleaf"), 1.6)
        front, left = float(rng.uniform(0.2, 0.3)), float(rng.uniform(0.06, 0.14))
        self.build.house(place(front, left, front + float(rng.uniform(0.3, 0.42)), 1 - float(rng.uniform(0.06, 0.14))), self.roofs)
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

    def works(self, box: Box) -> None:
        """Halls in concrete yards with lorries, stacks of goods and tanks."""
        rng, canvas = self.rng, self.canvas
        canvas.paint(box, self.palette.pick("old concrete", "concrete", "gravel", "old asphalt", "dry soil"), mix=float(rng.uniform(0, 0.5)))
        self.build.clutter(box, 0.0, float(rng.uniform(0, 0.012)))
        for lot in self.lots(box, 24, 80):
            chance = rng.uniform()
            if chance < 0.72:
                self.build.hall(lot.part(0, 0, *rng.uniform(0.66, 0.92, 2)).inset(1.0), float(rng.uniform(5, 11)))
            elif chance < 0.9:
                self._stacks(lot)
            else:
                canvas.paint(lot, self.palette.pick("coal", "dry soil", "gravel", "wet soil"), mix=float(rng.uniform(0, 0.4)))
            for _ in range(int(rng.poisson(1.5))):
                x, y = rng.uniform(lot.x0, lot.x1), lot.y1 - 2.5
                self.build.car(float(x), float(y), True, long=bool(rng.integers(2)))
        self.scatter(box, 12 * self.green)

    def _stacks(self, lot: Box) -> None:
        for x in np.arange(lot.x0 + 2, lot.x1 - 8, 7.2):
            for y in np.arange(lot.y0 + 2, lot.y1 - 5, 3.2):
                if self.rng.uniform() < 0.55:
                    label = self.palette.pick("rust", "blue metal", "zinc", "red metal", "green metal", "white paint")
                    self.canvas.paint(Box(float(x), float(y), float(x) + 6.1, float(y) + 2.4), label, float(self.rng.choice([2.6, 2.6, 5.2])))

    def vacant(self, box: Box) -> None:
        """Cleared ground: soil heaps, weeds, tracks."""
        rng = self.rng
        self.canvas.paint(box, self.palette.pick("dry soil", "dry grass", "stubble", "gravel"), mix=float(rng.uniform(-0.1, 0.5)))
        for _ in range(int(rng.integers(2, 12))):
            x, y, radius = rng.uniform(box.x0, box.x1), rng.uniform(box.y0, box.y1), rng.uniform(2, 6)
            self.canvas.plant(float(x), float(y), float(radius), float(radius) * 0.45, self.palette.pick("dry soil", "wet soil", "gravel"))
        self.scatter(box, 40 * self.green, 1.0, 2.5)


def _gaps(lines: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(a + wa / 2, b - wb / 2) for (a, wa), (b, wb) in zip(lines, lines[1:], strict=False)]
