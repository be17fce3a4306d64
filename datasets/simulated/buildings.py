"""Buildings, the equipment on their roofs, and cars, drawn on a canvas."""

from __future__ import annotations

import numpy as np

from waldbench.datasets.simulated.canvas import Box, Canvas, Palette

FLAT = (
    "bitumen",
    "roof gravel",
    "roof gravel",
    "old concrete",
    "concrete",
    "membrane",
    "slate",
    "zinc",
    "zinc",
    "shingle",
    "shingle",
    "asphalt",
)
SHEDS = (
    "zinc",
    "zinc",
    "zinc",
    "zinc",
    "zinc",
    "zinc",
    "membrane",
    "old concrete",
    "roof gravel",
    "slate",
    "rust",
    "blue metal",
    "red metal",
    "green metal",
)
TILES = ("clay tile", "clay tile", "old tile", "shingle", "shingle", "slate", "zinc")
CARS = (
    "white paint",
    "white paint",
    "silver paint",
    "silver paint",
    "silver paint",
    "dark paint",
    "dark paint",
    "slate",
    "red paint",
    "blue paint",
)


class Builder:
    """Draws buildings of one scene; `sprawl` keeps the roofs of a neighbourhood alike."""

    def __init__(self, canvas: Canvas, palette: Palette, rng: np.random.Generator) -> None:
        self.canvas, self.palette, self.rng = canvas, palette, rng

    def flat(self, box: Box, height: float, materials: tuple[str, ...] = FLAT) -> None:
        """A flat roof with parapet, sections of different age, equipment and skylights."""
        canvas, rng = self.canvas, self.rng
        label = self.palette.add(materials[int(rng.integers(len(materials)))])
        canvas.paint(box, label, height + rng.uniform(0.2, 0.9), gain=float(rng.uniform(0.9, 1.3)))
        inner = box.inset(0.35)
        canvas.paint(inner, label, height)
        sections = [inner]
        for _ in range(int(rng.integers(0, 4))):
            chosen = sections.pop(int(rng.integers(len(sections))))
            sections += chosen.halves(float(rng.uniform(0.25, 0.75)))
        for section in sections:
            if rng.uniform() < 0.8:
                step = float(rng.choice([0.0, 0.0, 0.5, 1.5]))
                canvas.paint(section, label, height + step, gain=float(rng.normal(1.0, 0.08)), mix=float(rng.uniform(-0.1, 0.35)))
        self.clutter(inner, height, float(rng.uniform(0.01, 0.05)))

    def clutter(self, box: Box, height: float, density: float) -> None:
        """Small objects, `density` per square metre: equipment on a roof, goods and timber on the ground."""
        rng = self.rng
        if min(box.width, box.depth) < 4:
            return
        for _ in range(min(int(rng.poisson(density * box.width * box.depth)), 250)):
            x, y = rng.uniform(box.x0 + 1, box.x1 - 1), rng.uniform(box.y0 + 1, box.y1 - 1)
            w, d = rng.uniform(0.5, 2.2, 2) if rng.uniform() < 0.75 else rng.uniform(2, 5, 2)
            unit = Box(float(x), float(y), min(x + w, box.x1 - 0.3), min(y + d, box.y1 - 0.3))
            label = self.palette.pick("zinc", "membrane", "zinc", "bitumen", "glass", "concrete")
            self.canvas.paint(unit, label, height + float(rng.uniform(0.3, 2.0)))

    def pitched(self, box: Box, eave: float, label: int, hipped: bool, pitch: float) -> None:
        """A gabled or hipped roof; where two roofs overlap the higher one is visible."""
        canvas = self.canvas
        rows, columns = canvas.pixels(box)
        h, w = rows.stop - rows.start, columns.stop - columns.start
        if h < 2 or w < 2:
            return
        y = (np.minimum(np.arange(h), np.arange(h)[::-1]) + 0.5)[:, None] / canvas.scale
        x = (np.minimum(np.arange(w), np.arange(w)[::-1]) + 0.5)[None] / canvas.scale
        run = np.minimum(x, y) if hipped else (y if w > h else x) + 0 * (x + y)
        surface = (eave + pitch * run).astype(np.float32)
        seen = surface > canvas.height[rows, columns]
        np.copyto(canvas.height[rows, columns], surface, where=seen)
        np.copyto(canvas.label[rows, columns], np.uint16(label), where=seen)
        np.copyto(canvas.gain[rows, columns], np.float32(1.0), where=seen)
        np.copyto(canvas.mix[rows, columns], np.float32(self.rng.uniform(-0.2, 0.5)), where=seen)

    def house(self, box: Box, materials: tuple[str, ...] = TILES) -> None:
        """A dwelling of one or two wings under a pitched roof, sometimes with solar panels."""
        rng = self.rng
        label = self.palette.add(materials[int(rng.integers(len(materials)))])
        eave, hipped, pitch = float(rng.uniform(2.6, 5.8)), bool(rng.uniform() < 0.65), float(rng.uniform(0.35, 0.65))
        main, wing = box, None
        if rng.uniform() < 0.6:
            share, width = float(rng.uniform(0.55, 0.7)), float(rng.uniform(0.4, 0.6))
            main = box.part(0, 0, 1, share)
            left = float(rng.choice([0.0, 1.0 - width]))
            wing = box.part(left, share * 0.5, left + width, 1)
        self.pitched(main, eave, label, hipped, pitch)
        if wing:
            self.pitched(wing, eave * float(rng.uniform(0.8, 1.0)), label, hipped, pitch)
        if rng.uniform() < 0.12:
            panel = main.part(0.25, 0.58, 0.7, 0.85)
            self.canvas.label[self.canvas.pixels(panel)] = self.palette.pick("solar panel")

    def hall(self, box: Box, height: float, materials: tuple[str, ...] = SHEDS) -> None:
        """A factory or warehouse: one to five spans of low pitch, ribbed sheets, rows of roof lights, stained strips."""
        canvas, rng = self.canvas, self.rng
        label = self.palette.add(materials[int(rng.integers(len(materials)))])
        spans = max(1, round(min(box.width, box.depth) / float(rng.uniform(14, 30))))
        along_x = box.width > box.depth
        for span in range(spans):
            a, b = span / spans, (span + 1) / spans
            self.pitched(
                box.part(0, a, 1, b) if along_x else box.part(a, 0, b, 1), height, label, False, float(rng.uniform(0.06, 0.2))
            )
        rows, columns = canvas.pixels(box)
        length = (columns.stop - columns.start) if along_x else (rows.stop - rows.start)
        metres = np.arange(length) / canvas.scale
        period = max(float(rng.uniform(0.8, 2.5)), 3.5 / canvas.scale)
        sheets = rng.normal(0, 0.035, int(metres[-1] / 6) + 2 if length else 1)[(metres / 6).astype(int)] if length else metres
        ribs = (1 + float(rng.uniform(0.03, 0.13)) * np.sin(2 * np.pi * metres / period) + sheets).astype(np.float32)
        canvas.gain[rows, columns] = ribs[None, :] if along_x else ribs[:, None]
        if rng.uniform() < 0.5:
            self._roof_lights(box, along_x, height)
        self.clutter(box.inset(1.5), height + 1.0, float(rng.uniform(0, 0.012)))

    def _roof_lights(self, box: Box, along_x: bool, height: float) -> None:
        label = self.palette.pick("greenhouse", "glass", "membrane")
        count = int((box.width if along_x else box.depth) / self.rng.uniform(5, 9))
        for position in np.arange(0.5, count) / max(count, 1):
            for line in (0.25, 0.75):
                x, y = (position, line) if along_x else (line, position)
                spot = box.part(float(x), float(y), float(x), float(y))
                w, d = (0.5, 1.6) if along_x else (1.6, 0.5)
                self.canvas.stripe(Box(spot.x0 - w, spot.y0 - d, spot.x0 + w, spot.y0 + d), label, height + 0.6)

    def slab(self, box: Box, height: float) -> None:
        """A block of flats with parapet, a row of stair heads, and water tanks."""
        rng, along_x = self.rng, box.width > box.depth
        self.flat(box, height, ("roof gravel", "old concrete", "bitumen", "concrete", "clay tile"))
        count = max(1, int(max(box.width, box.depth) / 15))
        label = self.palette.pick("concrete", "old concrete", "membrane")
        for position in (np.arange(count) + 0.5) / count:
            p = float(position)
            head = box.part(p, 0.5, p, 0.5) if along_x else box.part(0.5, p, 0.5, p)
            size = float(rng.uniform(1.4, 2.6))
            self.canvas.paint(Box(head.x0 - size, head.y0 - size, head.x0 + size, head.y0 + size), label, height + 2.8)

    def car(self, x: float, y: float, along_x: bool, long: bool = False) -> None:
        """A car (or a lorry) centred at a point in metres."""
        rng = self.rng
        length, width, height = (float(rng.uniform(8, 14)), 2.5, 3.4) if long else (float(rng.uniform(3.9, 4.9)), 1.8, 1.45)
        label = self.palette.pick("white paint", "silver paint", "blue metal", "zinc") if long else self.palette.pick(*CARS)
        half = (length / 2, width / 2) if along_x else (width / 2, length / 2)
        self.canvas.paint(Box(x - half[0], y - half[1], x + half[0], y + half[1]), label, height)
        if not long:
            glass = self.palette.pick("dark paint", count=3)
            for low, high in ((0.2, 0.33), (0.74, 0.86)):
                a, b = -length / 2 + low * length, -length / 2 + high * length
                pane = (
                    Box(x + a, y - half[1] * 0.85, x + b, y + half[1] * 0.85)
                    if along_x
                    else Box(x - half[0] * 0.85, y + a, x + half[0] * 0.85, y + b)
                )
                self.canvas.paint(pane, glass, height * 0.8)
