"""Open land: fields, woods, water and the roads between, drawn on a canvas or by distance to a curve."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from waldbench.datasets.simulated.buildings import Builder
from waldbench.datasets.simulated.canvas import Box, Canvas, Image, Palette
from waldbench.datasets.simulated.texture import Field, smooth

CROPS = (
    "crop",
    "crop",
    "young crop",
    "ripe crop",
    "stubble",
    "dry soil",
    "wet soil",
    "meadow",
    "lawn",
    "dry grass",
    "young crop",
    "dry soil",
    "stubble",
    "rapeseed",
    "red soil",
)


def fields(canvas: Canvas, palette: Palette, rng: np.random.Generator, visible: Callable[[Box], bool]) -> None:
    """Fill a canvas with parcels in rows, tracks and hedges between, and a few farms."""
    build = Builder(canvas, palette, rng)
    side = canvas.extent
    largest = float(rng.uniform(90, 220))
    track = palette.add(str(rng.choice(["dry soil", "gravel", "old asphalt"])))
    season = [str(name) for name in rng.choice(CROPS, 5)]
    todo = [Box(0, 0, side, side)]
    while todo:
        parcel = todo.pop()
        if not visible(parcel):
            continue
        if max(parcel.width, parcel.depth) > largest or (min(parcel.width, parcel.depth) > 45 and rng.uniform() < 0.35):
            todo += parcel.halves(float(rng.uniform(0.3, 0.7)))
        elif rng.uniform() < 0.06 and parcel.width > 40 and parcel.depth > 40:
            _farm(build, parcel)
        else:
            _parcel(canvas, palette, rng, parcel, season, track)


def _parcel(canvas: Canvas, palette: Palette, rng: np.random.Generator, box: Box, season: list[str], track: int) -> None:
    canvas.paint(box, track if rng.uniform() < 0.3 else palette.pick("meadow", "dry grass"))
    inner = box.inset(float(rng.uniform(0.4, 1.8)))
    strips = 1 if rng.uniform() < 0.5 else int(rng.integers(2, 9))
    along_x = bool(rng.integers(2))
    mixed = rng.uniform() < 0.4
    label = palette.add(season[int(rng.integers(len(season)))])
    for strip in range(strips):
        a, b = strip / strips, (strip + 1) / strips
        piece = inner.part(0, a, 1, b) if along_x else inner.part(a, 0, b, 1)
        if mixed:
            label = palette.add(season[int(rng.integers(len(season)))])
        canvas.paint(piece, label, gain=float(rng.normal(1, 0.04)))
        _rows(canvas, rng, piece, along_x)
    if rng.uniform() < 0.25:
        for place in np.arange(0.0, box.width, 3.5):
            if rng.uniform() < 0.7:
                radius = float(rng.uniform(1.2, 3.8))
                canvas.plant(
                    box.x0 + float(place),
                    box.y0 + float(rng.normal(0, 0.7)),
                    radius,
                    radius * 1.5,
                    palette.pick("broadleaf", "dark leaf", "bare twigs"),
                )


def _rows(canvas: Canvas, rng: np.random.Generator, box: Box, along_x: bool) -> None:
    """Sowing rows (soil between plants), tramlines and passes of a machine."""
    rows, columns = canvas.pixels(box)
    count = (rows.stop - rows.start) if along_x else (columns.stop - columns.start)
    if count < 4:
        return
    metres = np.arange(count) / canvas.scale
    period, strength = max(float(rng.uniform(0.7, 3.2)), 4.0 / canvas.scale), float(rng.choice([0.0, 0.08, 0.16, 0.3]))
    passes = rng.normal(0, 0.06, int(metres[-1] / 9) + 2)[(metres / 9).astype(int)]
    share = strength * (0.5 + 0.5 * np.sin(2 * np.pi * metres / period)) + passes + rng.normal(0, 0.03, count)
    tram = np.minimum(metres % 18, np.abs(metres % 18 - 1.8)) < max(0.3, 0.5 / canvas.scale)
    share = (share + np.where(tram, float(rng.choice([0.0, 0.25, 0.45])), 0)).astype(np.float32)
    canvas.mix[rows, columns] = share[:, None] if along_x else share[None, :]


def _farm(build: Builder, box: Box) -> None:
    rng = build.rng
    build.canvas.paint(box, build.palette.pick("meadow", "dry soil", "gravel"), mix=0.3)
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.uniform(0.05, 0.65), rng.uniform(0.05, 0.65)
        part = box.part(x, y, x + rng.uniform(0.12, 0.3), y + rng.uniform(0.12, 0.3))
        if rng.uniform() < 0.5:
            build.house(part)
        else:
            build.hall(part, float(rng.uniform(3.5, 6)))
    for _ in range(int(rng.integers(4, 30))):
        radius = float(rng.uniform(1.5, 4.5))
        build.canvas.plant(
            float(rng.uniform(box.x0, box.x1)),
            float(rng.uniform(box.y0, box.y1)),
            radius,
            radius * 1.5,
            build.palette.pick("broadleaf", "conifer"),
        )


def grove(
    canvas: Canvas, palette: Palette, rng: np.random.Generator, density: Field, radius: float, leaves: tuple[str, ...]
) -> None:
    """Plant trees on a jittered lattice wherever a uniform draw falls below `density`, sampled at the tree's foot."""
    step = 1.35 * radius
    count = int(canvas.extent / step) + 1
    grid = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1).reshape(-1, 2)
    foot = (grid + rng.uniform(0, 1, grid.shape)) * step
    index = np.minimum((foot * canvas.scale).astype(int), len(canvas.label) - 1)
    keep = rng.uniform(0, 1, len(foot)) < density[index[:, 1], index[:, 0]]
    sizes = radius * np.exp(rng.normal(0, 0.22, len(foot)))
    tall = rng.uniform(1.2, 2.2, len(foot))
    for (x, y), size, factor in zip(foot[keep], sizes[keep], tall[keep], strict=True):
        canvas.plant(float(x), float(y), float(size), float(size * factor), palette.pick(*leaves, count=14))


def clear(canvas: Canvas, palette: Palette, rng: np.random.Generator, where: np.ndarray, material: str) -> None:
    """Lay one natural ground over the pixels of a mask, patchy where its material is."""
    index = np.flatnonzero(where)
    canvas.cover(index, palette.add(material), mix=float(rng.uniform(-0.1, 0.4)))


def coast(canvas: Canvas, palette: Palette, rng: np.random.Generator, distance: Field, shore: str, wind: Field) -> None:
    """Water where `distance` (metres beyond the shore) is positive; before it a beach or a quay.

    Args:
        canvas: the canvas, changed in place.
        palette: palette to which the water's surfaces are added.
        rng: random generator of colours and widths.
        distance: signed distance in metres, positive in the water, (size, size).
        shore: "beach" (sand and breakers), "bank" (a muddy strip) or "quay" (a wall).
        wind: smooth random field that changes the brightness of the water.
    """
    flat = distance.reshape(-1)
    quay = shore == "quay"
    if quay:
        canvas.cover(np.flatnonzero((flat > -9) & (flat <= 0)), palette.add("concrete"), 1.5)
    elif shore == "beach":
        width = float(rng.uniform(5, 26))
        canvas.cover(np.flatnonzero((flat > -width) & (flat <= 0)), palette.add("sand"))
        canvas.cover(np.flatnonzero((flat > -width * 0.25) & (flat <= 0)), palette.add("wet sand"))
    else:
        canvas.cover(np.flatnonzero((flat > -float(rng.uniform(1, 3))) & (flat <= 0)), palette.add("wet soil"))
    wet = np.flatnonzero(flat > 0)
    if not len(wet):
        return
    deep = palette.add(str(rng.choice(["deep water", "green water", "turbid water"])))
    shallow = (0.9 * np.exp(-flat[wet] / (3 if quay else 22)) + 0.06 * wind.reshape(-1)[wet]).astype(np.float32)
    canvas.cover(wet, deep, -1.5 if quay else 0.0, mix=shallow, gain=(1 + 0.03 * wind.reshape(-1)[wet]).astype(np.float32))
    if shore == "beach":
        breaker = np.abs(flat - 2.5 - 1.2 * wind.reshape(-1)) < 0.6
        canvas.cover(np.flatnonzero(breaker & (flat > 0) & (wind.reshape(-1) > -0.2)), palette.add("foam"), mix=0.4)


def avenue(
    canvas: Canvas, palette: Palette, rng: np.random.Generator, across: Field, along: Field, width: float, paved: bool
) -> None:
    """A road by distance: `across` metres from its axis and `along` it; paved ones get lanes, kerbs, marks and cars."""
    index = np.flatnonzero(np.abs(across.reshape(-1)) < width / 2 + (2.5 if paved else 0.8))
    v, u = across.reshape(-1)[index], along.reshape(-1)[index]
    if not paved:
        edge = np.clip(np.abs(v) / (width / 2) - 0.3, 0, 1).astype(np.float32) * np.float32(0.6)
        canvas.cover(index, palette.add(str(rng.choice(["dry soil", "gravel", "old asphalt"])), partner="meadow"), mix=edge)
        return
    canvas.cover(index, palette.add("old concrete"), 0.15)
    lane = np.abs(v) < width / 2
    canvas.cover(index[lane], palette.add("asphalt"))
    wide = width > 10
    half_pixel = max(0.5 / canvas.scale, 0.08)
    axes = width / 4 if wide else 0.0
    marks = (np.abs(np.abs(v) - axes) < half_pixel) & (u % 12 < 4) | (np.abs(np.abs(v) - width / 2 + 0.4) < half_pixel)
    canvas.cover(index[marks], palette.add("road paint"), mix=float(np.clip(1 - 0.16 / (2 * half_pixel), 0, 0.8)))
    if wide:
        median = np.abs(v) < 0.05 * width
        canvas.cover(index[median], palette.add(str(rng.choice(["lawn", "old concrete", "meadow"]))), 0.2)
    lanes = (-3 * width / 8, -width / 8 - 0.4, width / 8 + 0.4, 3 * width / 8) if wide else (-width / 4, width / 4)
    _traffic(canvas, palette, rng, index, v, u, lanes)


def _traffic(
    canvas: Canvas, palette: Palette, rng: np.random.Generator, index: np.ndarray, v: Image, u: Image, lanes: tuple[float, ...]
) -> None:
    from waldbench.datasets.simulated.buildings import CARS

    labels = np.array([palette.pick(*CARS) for _ in range(24)], dtype=np.uint16)
    busy = float(rng.uniform(0.05, 0.35))
    for lane in lanes:
        near = np.abs(v - lane) < 0.9
        slot = np.floor(u[near] / 12).astype(int)
        start = slot - slot.min() if len(slot) else slot
        count = int(start.max()) + 1 if len(start) else 0
        here, shift, kind = rng.uniform(size=count) < busy, rng.uniform(0, 6, count), rng.integers(0, len(labels), count)
        position = u[near] - slot * 12 - shift[start]
        body = here[start] & (position > 0) & (position < 4.5)
        canvas.cover(index[near][body], labels[kind[start[body]]], 1.45)
        glass = here[start] & ((np.abs(position - 1.2) < 0.3) | (np.abs(position - 3.5) < 0.25)) & (np.abs(v[near] - lane) < 0.75)
        canvas.cover(index[near][glass], palette.pick("dark paint", count=3), 1.2)


def lines(rng: np.random.Generator, size: int, scale: float, wobble: float) -> tuple[Field, Field]:
    """Distance across and along (metres) a curve through the middle of a square, bent by up to about `wobble` metres."""
    angle = float(rng.uniform(0, np.pi))
    metres = ((np.arange(size) - size / 2) / scale).astype(np.float32)
    x, y = metres[None, :], metres[:, None]
    across = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y + np.float32(rng.uniform(-0.25, 0.25) * size / scale)
    along = np.float32(np.cos(angle)) * y - np.float32(np.sin(angle)) * x
    if wobble:
        across = across + np.float32(wobble) * smooth(rng, size, max(2, round(size / scale / 160)))
    return across, along
