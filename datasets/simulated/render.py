"""A scene: composed on the drawing board, bent into place, lit, and integrated over each PAN pixel and band."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from datasets.simulated import country
from datasets.simulated.canvas import Box, Canvas, Image, Palette
from datasets.simulated.optics import OPTICS, Weather, light, responses
from datasets.simulated.texture import fractal, grain, smooth
from datasets.simulated.town import PLANS, Town
from imaging.sensors import Sensor

# Kinds of scene in the order in which chunks take turns, so that any first few are a fair sample.
KINDS = ("urban", "suburban", "agriculture", "industrial", "coast", "suburban", "apartments", "forest", "urban", "village", "harbour", "industrial")
# Samples a PAN pixel and side: what antialiases every edge.
OVERSAMPLING = 2
STRIP = 32
# Samples beyond the image that misregistered bands may reach.
MARGIN = 2 * max(optics.offset[1] for optics in OPTICS.values()) + 2


class Place(NamedTuple):
    """How a canvas lies in the image: rotation [rad] and bending [m]."""

    angle: float
    bend: float


def render(sensor: Sensor, size: int, kind: str, seed: np.random.SeedSequence) -> Image:
    """Draw one scene.

    Args:
        sensor: decides bands and pixel size.
        size: PAN pixels a side.
        kind: one of `KINDS`.
        seed: decides everything else.

    Returns:
        Signal of the MS bands and, last, of PAN in DN before blur and noise, (bands + 1, size, size).
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    weather = Weather(float(rng.uniform(0.68, 1.15)), float(rng.uniform(0, 2 * np.pi)), OPTICS[sensor.key].haze * float(rng.uniform(0.8, 1.2)))
    scale = OVERSAMPLING / OPTICS[sensor.key].pixel
    palette = Palette(rng)
    ground = compose(palette, rng, fft.next_fast_len(size * OVERSAMPLING + MARGIN, real=True), scale, kind)
    return shade(ground, palette, rng, sensor, weather, size)


def compose(palette: Palette, rng: np.random.Generator, size: int, scale: float, kind: str) -> Canvas:
    """Lay out a scene of a kind on a (size, size) canvas of `scale` pixels a metre."""
    wet = kind in ("coast", "harbour")
    base = {"coast": ("suburban", "agriculture", "urban"), "harbour": ("industrial", "urban"), "village": ("suburban",)}.get(kind, (kind,))
    first = base[int(rng.integers(len(base)))]
    ground = _lay(palette, rng, size, scale, first)
    side = size / scale
    if kind == "village" or (kind not in ("forest", "harbour") and rng.uniform() < 0.35):
        second = "agriculture" if kind == "village" else str(rng.choice(["urban", "suburban", "agriculture", "apartments", "industrial"]))
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
    place = Place(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(1, 4)) if kind in ("urban", "industrial", "apartments") else 7.0)
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
    """Turn and bend a board into the image's frame (nearest sample; the oversampling smooths the edges)."""
    cells = max(2, round(size / scale / 140))
    metres = ((np.arange(size) - size / 2)).astype(np.float32)
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
    leaves = [("broadleaf", "dark leaf"), ("conifer", "dark leaf", "conifer"), ("broadleaf", "conifer", "autumn leaf"), ("bare twigs", "conifer", "autumn leaf")]
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
        distance = across - np.float32(rng.uniform(-0.1, 0.15) * size / scale) + np.float32(rough) * wind
    else:
        distance = np.float32(rng.uniform(6, 26)) - np.abs(across) + wind
    if not quay:
        country.clear(ground, palette, rng, (distance > -float(rng.uniform(10, 34))) & (distance <= 0), str(rng.choice(["meadow", "dry grass", "lawn"])))
    shore = "quay" if quay else "beach" if kind == "coast" else "bank"
    country.coast(ground, palette, rng, distance.astype(np.float32), shore, wind)
    if not quay:
        bank = np.where((distance > -26) & (distance < -8), np.float32(rng.uniform(0, 0.5)), np.float32(0))
        country.grove(ground, palette, rng, bank, 2.6, ("broadleaf", "dark leaf"))


def shade(ground: Canvas, palette: Palette, rng: np.random.Generator, sensor: Sensor, weather: Weather, size: int) -> Image:
    """Light a canvas and integrate it over PAN pixels: signal in DN, (bands + 1, size, size)."""
    whole = len(ground.label)
    fine, slow, patch = grain(rng, whole), fractal(rng, whole, 6, 4), fractal(rng, whole, 12, 4)
    # Mirrored, the same noise is independent of itself for every pixel that the eye or a filter compares.
    speckle = fine[::-1, ::-1]
    rough, mottle, wear = palette.texture()
    crowns = (rough > 0.15)[ground.label]
    height = ground.height + np.where(crowns, np.float32(0.2) * fine, np.float32(0))
    shadow = cast_shadow(height, ground.scale, weather)
    slopes = _slope(height, 1) * ground.scale, _slope(height, 0) * ground.scale
    # Coarser pixels average more of the fine texture away.
    rough = rough * np.float32(0.45 / OPTICS[sensor.key].pixel)
    own, other = palette.reflectance(responses(sensor))
    sun, sky, path = (np.asarray(term, dtype=np.float32) for term in light(sensor, weather))
    gains = np.array(OPTICS[sensor.key].gains, dtype=np.float32)
    starts = registration(sensor, rng)
    out = np.empty((len(own), size, size), dtype=np.float32)
    for top in range(0, size, STRIP):
        rows = slice(OVERSAMPLING * top, OVERSAMPLING * (top + STRIP) + MARGIN)
        label = ground.label[rows].astype(np.intp)
        bright = ground.gain[rows] * (1 + rough[label] * fine[rows] + mottle[label] * slow[rows])
        np.clip(bright, 0.2, 2.5, out=bright)
        share = np.clip(ground.mix[rows] + wear[label] * (patch[rows] + np.float32(0.4) * speckle[rows]), 0, 1)
        direct = bright * _incidence(slopes[0][rows], slopes[1][rows], weather) * (1 - shadow[rows])
        diffuse = bright * (1 - 0.35 * shadow[rows])
        for band, (dy, dx) in enumerate(starts):
            rho = own[band][label]
            rho += share * (other[band] - own[band])[label]
            rho *= sun[band] * direct + sky[band] * diffuse
            a, b = rho[dy : dy + 2 * STRIP : 2, dx:], rho[dy + 1 : dy + 1 + 2 * STRIP : 2, dx:]
            sides = a[:, : 2 * size : 2] + b[:, : 2 * size : 2], a[:, 1 : 2 * size + 1 : 2] + b[:, 1 : 2 * size + 1 : 2]
            out[band, top : top + STRIP] = gains[band] * (0.25 * (sides[0] + sides[1]) + path[band])
    return out


def registration(sensor: Sensor, rng: np.random.Generator) -> list[tuple[int, int]]:
    """First sample (row, column) of every band: the strips of a focal plane see a scene from slightly different places.

    Eight-band sensors carry two strips of four bands, half a PAN pixel apart at most; PAN (last) has its own.
    """
    least, most = OPTICS[sensor.key].offset
    offsets = [(y, x) for y in range(-most, most + 1) for x in range(-most, most + 1) if max(abs(y), abs(x)) >= least]
    dy, dx = offsets[int(rng.integers(len(offsets)))]
    second = tuple(most + int(step) for step in rng.integers(-1, 2, 2))
    bands = [second if sensor.count == 8 and band in (0, 3, 5, 7) else (most, most) for band in range(sensor.count)]
    return [*bands, (most + dy, most + dx)]  # type: ignore[list-item]


def _slope(height: Image, axis: int) -> Image:
    edge = height[:, -1:] if axis else height[-1:]
    return np.diff(height, axis=axis, append=edge)


def _incidence(slope_x: Image, slope_y: Image, weather: Weather) -> Image:
    """Sunlight on a slope relative to level ground, 0.15 to 1.6; walls (steeper than 70 degrees) count as level."""
    tangent = 1.0 / np.tan(weather.elevation)
    toward = np.float32(tangent * np.cos(weather.azimuth)) * slope_x + np.float32(tangent * np.sin(weather.azimuth)) * slope_y
    squared = slope_x**2 + slope_y**2
    incidence = np.clip((1 - toward) / np.sqrt(1 + squared), 0.15, 1.6)
    return np.where(squared > 7.5, np.float32(1.0), incidence)


def cast_shadow(height: Image, scale: float, weather: Weather) -> Image:
    """Share of sunlight that higher things towards the sun take away, 0 to 1, by doubling steps along the sun's azimuth."""
    step = np.array([np.sin(weather.azimuth), np.cos(weather.azimuth)])
    fall = np.float32(np.tan(weather.elevation) / scale)
    reach = float(height.max() - height.min()) / float(fall)
    roof, steps = _shifted(height, step, 1) - fall, 1
    while steps < reach:
        np.maximum(roof, _shifted(roof, step, steps) - fall * np.float32(steps), out=roof)
        steps *= 2
    return np.clip((roof - height) * np.float32(1 / 0.3), 0, 1)


def _shifted(image: Image, step: NDArray[np.float64], count: int) -> Image:
    """Image sampled `count` steps away, edges held."""
    dy, dx = (round(float(part) * count) for part in step)
    size = len(image)
    dy, dx = int(np.clip(dy, -size + 1, size - 1)), int(np.clip(dx, -size + 1, size - 1))
    out = np.full_like(image, image.min())
    out[max(-dy, 0) : size - max(dy, 0), max(-dx, 0) : size - max(dx, 0)] = image[
        max(dy, 0) : size + min(dy, 0), max(dx, 0) : size + min(dx, 0)
    ]
    return out
