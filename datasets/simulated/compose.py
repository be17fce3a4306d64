"""Composition of a scene: towns, fields, woods and water, bent and rotated into the image's frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from waldbench.datasets.simulated import country
from waldbench.datasets.simulated.canvas import Box, Canvas, Palette
from waldbench.datasets.simulated.texture import fractal, smooth
from waldbench.datasets.simulated.town import PLANS, Town

# Kinds of scene in the order of the chunks, so that the first few chunks are already a representative sample.
KINDS = (
    "urban",
    "suburban",
    "agriculture",
    "industrial",
    "coast",
    "suburban",
    "apartments",
    "forest",
    "urban",
    "village",
    "harbour",
    "industrial",
)


class Place(NamedTuple):
    """How a canvas lies in the image: rotation [rad] and bending [m]."""

    angle: float
    bend: float


def compose(palette: Palette, rng: np.random.Generator, size: int, scale: float, kind: str) -> Canvas:
    """Lay out a scene of a kind on a (size, size) canvas of `scale` pixels a metre."""
    wet = kind in ("coast", "harbour")
    base = {"coast": ("suburban", "agriculture", "urban"), "harbour": ("industrial", "urban"), "village": ("suburban",)}.get(
        kind, (kind,)
    )
    first = base[int(rng.integers(len(base)))]
    ground = _lay(palette, rng, size, scale, first)
    side = size / scale
    if kind == "village" or (kind not in ("forest", "harbour") and rng.uniform() < 0.35):
        second = (
            "agriculture"
            if kind == "village"
            else str(rng.choice(["urban", "suburban", "agriculture", "apartments", "industrial"]))
        )
        across, along = country.lines(rng, size, scale, 10.0)
        _splice(ground, _lay(palette, rng, size, scale, second), across > 0)
        country.avenue(ground, palette, rng, across, along, float(rng.uniform(11, 22)), paved=True)
    elif first in ("agriculture", "forest"):
        for _ in range(int(rng.integers(1, 3))):
            across, along = country.lines(rng, size, scale, 25.0)
            country.avenue(ground, palette, rng, across, along, float(rng.uniform(3.5, 8)), paved=bool(rng.uniform() < 0.3))
    if first == "agriculture" and rng.uniform() < 0.6:
        field = fractal(rng, size, max(2, round(side / 150)), 3)
        country.grove(ground, palette, rng, np.clip((field - 1.2) * 4, 0, 0.9), 2.8, ("broadleaf", "dark leaf", "conifer"))
    ground.grow(rng)
    if wet or (kind != "forest" and rng.uniform() < 0.12):
        _water(ground, palette, rng, kind)
    ground.grow(rng)
    return ground


def _lay(palette: Palette, rng: np.random.Generator, size: int, scale: float, kind: str) -> Canvas:
    if kind == "forest":
        return _forest(palette, rng, size, scale)
    place = Place(
        float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(1, 4)) if kind in ("urban", "industrial", "apartments") else 7.0
    )
    board = Canvas(int(size * 1.5), scale, palette.add("meadow" if kind in ("agriculture", "suburban") else "old concrete"))
    half, middle = size / scale / 2, board.extent / 2
    cosine, sine = np.cos(place.angle), np.sin(place.angle)

    def visible(box: Box) -> bool:
        x, y = (box.x0 + box.x1) / 2 - middle, (box.y0 + box.y1) / 2 - middle
        reach = half + np.hypot(box.width, box.depth) / 2 + 12
        return bool(abs(cosine * x - sine * y) < reach and abs(sine * x + cosine * y) < reach)

    if kind == "agriculture":
        country.fields(board, palette, rng, visible)
    else:
        Town(board, palette, rng, visible).draw(PLANS[kind])
    board.grow(rng)
    return _place(board, place, rng, size, scale)


def _place(board: Canvas, place: Place, rng: np.random.Generator, size: int, scale: float) -> Canvas:
    """Rotate and bend a canvas into the image's frame (nearest sample; the oversampling smooths the edges)."""
    cells = max(2, round(size / scale / 140))
    metres = (np.arange(size) - size / 2).astype(np.float32)
    cosine, sine, middle = np.float32(np.cos(place.angle)), np.float32(np.sin(place.angle)), np.float32(len(board.label) / 2)
    bend = np.float32(place.bend * scale)
    u = cosine * metres[None, :] + sine * metres[:, None] + middle + bend * smooth(rng, size, cells)
    v = cosine * metres[:, None] - sine * metres[None, :] + middle + bend * smooth(rng, size, cells)
    top = len(board.label) - 1
    index = np.clip(v, 0, top).astype(np.int32) * np.int32(top + 1) + np.clip(u, 0, top).astype(np.int32)
    ground = Canvas(0, scale, 0)
    for name in ("label", "height", "gain", "mix"):
        setattr(ground, name, getattr(board, name).reshape(-1)[index])
    ground.extent = size / scale
    return ground


def _splice(ground: Canvas, other: Canvas, where: NDArray[np.bool_]) -> None:
    for name in ("label", "height", "gain", "mix"):
        np.copyto(getattr(ground, name), getattr(other, name), where=where)


def _forest(palette: Palette, rng: np.random.Generator, size: int, scale: float) -> Canvas:
    ground = Canvas(size, scale, palette.add("meadow"))
    ground.mix[:] = 0.25 + 0.25 * fractal(rng, size, 4, 3)
    field = fractal(rng, size, max(2, round(size / scale / 120)), 3)
    bare = field < -1.1
    country.clear(ground, palette, rng, bare & (field < -1.5), str(rng.choice(["dry soil", "stubble", "red soil", "wet soil"])))
    leaves = [
        ("broadleaf", "dark leaf"),
        ("conifer", "dark leaf", "conifer"),
        ("broadleaf", "conifer", "autumn leaf"),
        ("bare twigs", "conifer", "autumn leaf"),
    ]
    density = np.where(bare, np.float32(0.05), np.clip(1.6 + field, 0.1, 0.95)).astype(np.float32)
    country.grove(ground, palette, rng, density, float(rng.uniform(2.0, 3.6)), leaves[int(rng.integers(4))])
    ground.grow(rng)
    return ground


def _water(ground: Canvas, palette: Palette, rng: np.random.Generator, kind: str) -> None:
    size, scale = len(ground.label), ground.scale
    quay = kind == "harbour"
    across, _ = country.lines(rng, size, scale, 0.0 if quay else float(rng.uniform(8, 30)))
    wind = fractal(rng, size, 6, 4)
    if kind in ("coast", "harbour"):
        rough = 0.0 if quay else 2.0
        # Share of the image that is water: enough to matter, and enough land left.
        shore = np.quantile(across[::16, ::16], 1 - rng.uniform(0.15, 0.5))
        distance = across - np.float32(shore) + np.float32(rough) * wind
    else:
        distance = np.float32(rng.uniform(6, 26)) - np.abs(across) + wind
    if not quay:
        country.clear(
            ground,
            palette,
            rng,
            (distance > -float(rng.uniform(10, 34))) & (distance <= 0),
            str(rng.choice(["meadow", "dry grass", "lawn"])),
        )
    edge = "quay" if quay else "beach" if kind == "coast" else "bank"
    country.coast(ground, palette, rng, distance.astype(np.float32), edge, wind)
    if not quay:
        bank = np.where((distance > -26) & (distance < -8), np.float32(rng.uniform(0, 0.5)), np.float32(0))
        country.grove(ground, palette, rng, bank, 2.6, ("broadleaf", "dark leaf"))
