"""Renders a scene: shadows, slopes, sky light, texture, and the integral over each PAN pixel and band."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from waldbench.datasets.simulated.canvas import Canvas, Image, Palette
from waldbench.datasets.simulated.compose import compose
from waldbench.datasets.simulated.optics import OPTICS, Weather, curves, light, responses
from waldbench.datasets.simulated.texture import fractal, grain
from waldbench.imaging.sensors import Sensor

# Samples per side of a PAN pixel; they antialias every edge.
OVERSAMPLING = 2
STRIP = 32
# Samples beyond the image that misregistered bands may need.
MARGIN = 2 * max(optics.offset[1] for optics in OPTICS.values()) + 2


def render(sensor: Sensor, size: int, kind: str, seed: np.random.SeedSequence) -> Image:
    """Draw one scene.

    Args:
        sensor: sensor that decides bands and pixel size.
        size: side of the scene in PAN pixels.
        kind: kind of scene, one of `KINDS`.
        seed: seed of everything else.

    Returns:
        Signal of the MS bands and, last, of PAN in DN before blur and noise, (bands + 1, size, size).
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    weather = Weather(
        float(rng.uniform(0.68, 1.15)), float(rng.uniform(0, 2 * np.pi)), OPTICS[sensor.key].haze * float(rng.uniform(0.8, 1.2))
    )
    scale = OVERSAMPLING / OPTICS[sensor.key].pixel
    palette = Palette(rng)
    ground = compose(palette, rng, fft.next_fast_len(size * OVERSAMPLING + MARGIN, real=True), scale, kind)
    return shade(ground, palette, rng, sensor, weather, size)


class Light(NamedTuple):
    """Light on every sample of the oversampled grid, and its surface."""

    label: NDArray[np.uint16]
    share: Image
    direct: Image
    diffuse: Image


def shade(ground: Canvas, palette: Palette, rng: np.random.Generator, sensor: Sensor, weather: Weather, size: int) -> Image:
    """Light a canvas and integrate it over PAN pixels: signal in DN, (bands + 1, size, size)."""
    strips = _strips(ground, palette, rng, OPTICS[sensor.key].pixel, weather, size)
    own, other = palette.reflectance(responses(sensor), curves(sensor)[1])
    sun, sky, path = (np.asarray(term, dtype=np.float32) for term in light(sensor, weather))
    gains = np.array(OPTICS[sensor.key].gains, dtype=np.float32)
    starts = registration(sensor, rng)
    out = np.empty((len(own), size, size), dtype=np.float32)
    for number, strip in enumerate(strips):
        label = strip.label.astype(np.intp)
        for band, start in enumerate(starts):
            signal = own[band][label]
            signal += strip.share * (other[band] - own[band])[label]
            signal *= sun[band] * strip.direct + sky[band] * strip.diffuse
            pixels = _pixel_means(signal, start, size)
            rows = out[band, number * STRIP : (number + 1) * STRIP]
            rows[:] = gains[band] * (pixels[: len(rows)] + path[band])
    return out


def _strips(
    ground: Canvas, palette: Palette, rng: np.random.Generator, pixel: float, weather: Weather, size: int
) -> Iterator[Light]:
    """Light of the canvas, a strip of `STRIP` PAN rows (and the margin below) at a time, so that it stays in the cache."""
    whole = len(ground.label)
    fine, slow, patch = grain(rng, whole), fractal(rng, whole, 6, 4), fractal(rng, whole, 12, 4)
    # Mirrored, the same noise is independent of itself for all pixels that a filter compares.
    speckle = fine[::-1, ::-1]
    rough, mottle, wear = palette.texture()
    height = ground.height + np.where((rough > 0.15)[ground.label], np.float32(0.2) * fine, np.float32(0))
    shadow = cast_shadow(height, ground.scale, weather)
    slope_x, slope_y = (np.diff(height, axis=axis, append=height.take([-1], axis)) * ground.scale for axis in (1, 0))
    # Coarser pixels average out more of the fine texture.
    rough = rough * np.float32(0.45 / pixel)
    return (
        _light(rows, ground, (fine, slow, patch, speckle), (rough, mottle, wear), (shadow, slope_x, slope_y), weather)
        for rows in (slice(OVERSAMPLING * top, OVERSAMPLING * (top + STRIP) + MARGIN) for top in range(0, size, STRIP))
    )


def _light(
    rows: slice,
    ground: Canvas,
    noise: tuple[Image, ...],
    deviation: tuple[Image, ...],
    relief: tuple[Image, ...],
    weather: Weather,
) -> Light:
    fine, slow, patch, speckle = (field[rows] for field in noise)
    shadow, slope_x, slope_y = (field[rows] for field in relief)
    rough, mottle, wear = (table[ground.label[rows]] for table in deviation)
    bright = np.clip(ground.gain[rows] * (1 + rough * fine + mottle * slow), 0.2, 2.5)
    share = np.clip(ground.mix[rows] + wear * (patch + np.float32(0.4) * speckle), 0, 1)
    direct = bright * _incidence(slope_x, slope_y, weather) * (1 - shadow)
    return Light(ground.label[rows], share, direct, bright * (1 - np.float32(0.35) * shadow))


def _pixel_means(signal: Image, start: tuple[int, int], size: int) -> Image:
    """Means over the 2x2 samples of every PAN pixel of a strip whose first sample is `start`."""
    count = (len(signal) - MARGIN) // OVERSAMPLING
    block = signal[start[0] : start[0] + OVERSAMPLING * count, start[1] : start[1] + OVERSAMPLING * size]
    sides = block[::2] + block[1::2]
    return np.float32(0.25) * (sides[:, ::2] + sides[:, 1::2])


def registration(sensor: Sensor, rng: np.random.Generator) -> list[tuple[int, int]]:
    """First sample (row, column) of every band: the strips of a focal plane view a scene from different positions.

    Eight-band sensors carry two strips of four bands, half a PAN pixel apart at most; PAN (last) has its own.
    """
    least, most = OPTICS[sensor.key].offset
    offsets = [(y, x) for y in range(-most, most + 1) for x in range(-most, most + 1) if max(abs(y), abs(x)) >= least]
    dy, dx = offsets[int(rng.integers(len(offsets)))]
    second = tuple(most + int(step) for step in rng.integers(-1, 2, 2))
    bands = [second if sensor.count == 8 and band in (0, 3, 5, 7) else (most, most) for band in range(sensor.count)]
    return [*bands, (most + dy, most + dx)]  # type: ignore[list-item]


def _incidence(slope_x: Image, slope_y: Image, weather: Weather) -> Image:
    """Sunlight on a slope relative to level ground, 0.15 to 1.6; walls (steeper than 70 degrees) count as level."""
    tangent = 1.0 / np.tan(weather.elevation)
    toward = np.float32(tangent * np.cos(weather.azimuth)) * slope_x + np.float32(tangent * np.sin(weather.azimuth)) * slope_y
    squared = slope_x**2 + slope_y**2
    incidence = np.clip((1 - toward) / np.sqrt(1 + squared), 0.15, 1.6)
    return np.asarray(np.where(squared > 7.5, np.float32(1.0), incidence))


def cast_shadow(height: Image, scale: float, weather: Weather) -> Image:
    """Share of sunlight, 0 to 1, blocked by higher objects towards the sun, by doubling steps along the sun's azimuth."""
    step = np.array([np.sin(weather.azimuth), np.cos(weather.azimuth)])
    fall = np.float32(np.tan(weather.elevation) / scale)
    reach = float(height.max() - height.min()) / float(fall)
    roof, steps = _shifted(height, step, 1) - fall, 1
    while steps < reach:
        np.maximum(roof, _shifted(roof, step, steps) - fall * np.float32(steps), out=roof)
        steps *= 2
    return np.asarray(np.clip((roof - height) * np.float32(1 / 0.3), 0, 1))


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
