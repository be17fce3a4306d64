"""Blocks of a town: shops, flats, works, car parks, sports fields, parks and vacant land."""

from __future__ import annotations

import numpy as np

from waldbench.datasets.simulated.buildings import FLAT, TILES, Builder
from waldbench.datasets.simulated.canvas import Box, Canvas, Palette


class Blocks:
    """Fills single blocks of a canvas in the style (greenery, roofs, trees) of one town."""

    def __init__(self, canvas: Canvas, palette: Palette, rng: np.random.Generator) -> None:
        self.canvas, self.palette, self.rng = canvas, palette, rng
        self.build = Builder(canvas, palette, rng)
        self.green = float(rng.uniform(0.4, 1.3))
        leaves = (("broadleaf", "dark leaf"), ("broadleaf", "conifer", "dark leaf"), ("broadleaf", "autumn leaf"))
        self.leaves = leaves[int(rng.choice(3, p=[0.6, 0.25, 0.15]))]
        roofs = (TILES, ("clay tile", "old tile"), ("shingle", "slate", "shingle", "zinc"))
        self.roofs = roofs[int(rng.integers(3))]

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
        self.canvas.paint(
            lot, self.palette.pick("old asphalt", "old concrete", "gravel", "paving"), mix=float(rng.uniform(0, 0.4))
        )
        for x in np.arange(lot.x0 + 2.5, lot.x1 - 2, 3.0):
            if rng.uniform() < 0.4:
                self.build.car(float(x), lot.y0 + 3.0, False)
        self.scatter(lot, 60 * self.green)

    def parking(self, box: Box) -> None:
        """A car park: rows of stalls, some with trees between them."""
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
        """Parallel blocks of flats among lawns, paths and trees."""
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
                        spot = (
                            lane.part(float(place), 0.7, float(place), 0.7)
                            if along_x
                            else lane.part(0.7, float(place), 0.7, float(place))
                        )
                        self.build.car(spot.x0, spot.y0, along_x)
            parts = row.halves(float(rng.uniform(0.4, 0.6))) if max(row.width, row.depth) > 55 else (row,)
            for part in parts:
                self.build.slab(part.part(0.03, 0, 0.97, 1) if along_x else part.part(0, 0.03, 1, 0.97), height)
        self.scatter(box, 110 * self.green, 1.4, 3.6)

    def park(self, box: Box) -> None:
        """A park: lawns, paths, trees and a pond or a square."""
        rng = self.rng
        self.canvas.paint(box, self.palette.pick("lawn", "meadow", "lawn"), mix=float(rng.uniform(-0.1, 0.5)))
        path = self.palette.pick("gravel", "paving", "concrete")
        for _ in range(int(rng.integers(1, 4))):
            p, half = float(rng.uniform(0.2, 0.8)), 1.2 / max(box.width, box.depth)
            self.canvas.paint(
                box.part(p - half, 0, p + half, 1) if rng.uniform() < 0.5 else box.part(0, p - half, 1, p + half), path
            )
        if rng.uniform() < 0.35:
            self.canvas.paint(box.part(0.35, 0.35, 0.65, 0.62), self.palette.pick("green water", "turbid water", "paving"))
        self.scatter(box, 170 * self.green, 2.2, 6.0)

    def woods(self, box: Box) -> None:
        """Woods with a closed canopy."""
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
        lines = [
            (0.03, 0.04, 0.97, 0.04),
            (0.03, 0.96, 0.97, 0.96),
            (0.03, 0.04, 0.03, 0.96),
            (0.97, 0.04, 0.97, 0.96),
            (0.5, 0.04, 0.5, 0.96),
        ]
        lines += [
            (0.03, 0.3, 0.18, 0.3),
            (0.03, 0.7, 0.18, 0.7),
            (0.18, 0.3, 0.18, 0.7),
            (0.82, 0.3, 0.82, 0.7),
            (0.82, 0.3, 0.97, 0.3),
        ]
        for line in lines:
            mark = field.part(*line)
            self.canvas.stripe(Box(mark.x0 - 0.07, mark.y0 - 0.07, mark.x1 + 0.07, mark.y1 + 0.07), paint)
        self.scatter(box.part(0, 0.86, 1, 1), 200 * self.green)

    def works(self, box: Box) -> None:
        """Halls in concrete yards with lorries, stacks of goods and tanks."""
        rng, canvas = self.rng, self.canvas
        canvas.paint(
            box,
            self.palette.pick("old concrete", "concrete", "gravel", "old asphalt", "dry soil"),
            mix=float(rng.uniform(0, 0.5)),
        )
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
                    self.canvas.paint(
                        Box(float(x), float(y), float(x) + 6.1, float(y) + 2.4), label, float(self.rng.choice([2.6, 2.6, 5.2]))
                    )

    def vacant(self, box: Box) -> None:
        """Cleared ground with soil heaps, weeds and tracks."""
        rng = self.rng
        self.canvas.paint(box, self.palette.pick("dry soil", "dry grass", "stubble", "gravel"), mix=float(rng.uniform(-0.1, 0.5)))
        for _ in range(int(rng.integers(2, 12))):
            x, y, radius = rng.uniform(box.x0, box.x1), rng.uniform(box.y0, box.y1), rng.uniform(2, 6)
            self.canvas.plant(
                float(x), float(y), float(radius), float(radius) * 0.45, self.palette.pick("dry soil", "wet soil", "gravel")
            )
        self.scatter(box, 40 * self.green, 1.0, 2.5)
