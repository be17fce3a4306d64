"""Simulated Sentinel-1 and Sentinel-2 images of one place: clear and, on another date, cloudy.

The drawing is that of the metre-scale twins at a quarter of its size, so that a drawn house represents a block and a drawn
field one of several hectares. Reflectance becomes apparent reflectance at the top of the atmosphere times 10000 (Level-1C);
the 20 m and 60 m bands are averaged to their own pixels and interpolated back, as the published patches are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from waldbench.datasets.simulated import clouds, infrared
from waldbench.datasets.simulated.canvas import Canvas, Image, Palette
from waldbench.datasets.simulated.compose import compose
from waldbench.datasets.simulated.materials import NAMES
from waldbench.datasets.simulated.optics import Weather
from waldbench.datasets.simulated.render import cast_shadow
from waldbench.datasets.simulated.sentinel_materials import backscatter
from waldbench.datasets.simulated.texture import fractal
from waldbench.imaging import sensors

SENSOR = sensors.get("sentinel2")
SIDE = 256
OVERSAMPLING = 2
# Drawn metres are a quarter of real ones: 256 pixels of 10 m show 640 drawn metres.
SCALE = OVERSAMPLING * 4 / 10.0
KINDS = ("agriculture", "suburban", "forest", "coast", "agriculture", "village", "industrial", "forest", "urban", "harbour")
# Path reflectance, transmittance and sky light of a clear day by band (Rayleigh scattering, ozone, oxygen, water vapour).
PATH = (0.115, 0.085, 0.052, 0.028, 0.022, 0.018, 0.014, 0.011, 0.010, 0.004, 0.001, 0.001, 0.0)
CLEARNESS = (0.84, 0.86, 0.88, 0.91, 0.90, 0.89, 0.93, 0.93, 0.94, 0.50, 0.004, 0.95, 0.91)
SKY = (0.30, 0.24, 0.17, 0.12, 0.10, 0.09, 0.08, 0.07, 0.07, 0.06, 0.02, 0.03, 0.02)
# Side of the band's own pixel in pixels of 10 m.
COARSE = (6, 1, 1, 1, 2, 2, 2, 1, 2, 6, 6, 2, 2)
VEGETATION = ("lawn", "meadow", "crop", "young crop", "ripe crop", "rapeseed", "stubble", "broadleaf", "autumn leaf", "dry grass")
# Equivalent looks of Sentinel-1 ground-range products (IW, high resolution), and the noise floor VV, VH as power.
LOOKS = 4.4
FLOOR = (10**-2.7, 10**-3.1)


class Triplet(NamedTuple):
    """Images of one place: sar (2, H, W) in dB, clear and cloudy (13, H, W) in digital numbers, mask (1, H, W) from 0 to 1."""

    sar: Image
    clear: Image
    cloudy: Image
    mask: Image


def render(kind: str, cover: float, seed: np.random.SeedSequence) -> Triplet:
    """Draw one place of a kind of `KINDS` and its clouds over about a share `cover`, 256 x 256 pixels."""
    rng = np.random.Generator(np.random.PCG64(seed))
    palette = Palette(rng)
    ground = compose(palette, rng, SIDE * OVERSAMPLING, SCALE, kind)
    fields = fractal(rng, SIDE * OVERSAMPLING, 6, 5), fractal(rng, SIDE * OVERSAMPLING, 12, 5)
    first = Weather(float(rng.uniform(0.7, 1.1)), float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.8, 1.3)))
    # Pairs of dates have similar air: differences under a clear sky come mostly from the ground.
    haze = first.haze * float(rng.uniform(0.9, 1.15))
    second = Weather(first.elevation + float(rng.uniform(-0.05, 0.05)), first.azimuth, haze)
    now = _state(palette, rng, 0.0)
    later = _state(palette, rng, float(rng.normal(0.0, 0.12)))
    clear = _ground(ground, palette, fields, now, first)
    other = _ground(ground, palette, fields, later, second)
    sky = clouds.draw(rng, SIDE, cover, second)
    lit, dim, path = other
    veiled = (1 - sky.opacity) * (lit * (1 - sky.shadow) + dim + path) + sky.opacity * sky.colour
    sar = _radar(ground, palette, fields[0], rng)
    bright, veiled = _expose(clear[0] + clear[1] + clear[2], rng), _expose(veiled, rng)
    return Triplet(sar, bright, veiled, sky.mask[None].astype(np.float32))


def _state(palette: Palette, rng: np.random.Generator, season: float) -> tuple[Image, Image]:
    """Brightness factor and change of the share of the partner material of every label on one date."""
    own = palette.instances()[0]
    green = np.isin(own, [NAMES.index(name) for name in VEGETATION])
    change = season * green * rng.uniform(0.5, 1.5, len(own)) + rng.normal(0.0, 0.03, len(own))
    # A parcel may be mown, harvested or ploughed between two dates.
    change = np.where(green & (season != 0) & (rng.uniform(size=len(own)) < 0.04), 0.9, change)
    return np.exp(rng.normal(0.0, 0.04, len(own))).astype(np.float32), change.astype(np.float32)


def _ground(
    ground: Canvas, palette: Palette, fields: tuple[Image, Image], state: tuple[Image, Image], weather: Weather
) -> tuple[Image, Image, Image]:
    """Sunlit, sky-lit and path reflectance, (13, H, W) each (path: (13, 1, 1)), on the image's pixels."""
    label, (factor, change) = ground.label.astype(np.intp), state
    _, mottle, wear = palette.texture()
    shadow = cast_shadow(ground.height, ground.scale, weather)
    bright = np.clip(ground.gain * factor[label] * (1 + mottle[label] * fields[0]), 0.2, 2.5)
    share = np.clip(ground.mix + change[label] + wear[label] * fields[1], 0, 1)
    direct, diffuse = bright * (1 - shadow), bright * (1 - np.float32(0.35) * shadow)
    own, other = palette.reflectance(responses(), infrared.spectra)
    sun = np.array(CLEARNESS) * (1 - np.array(SKY)) * np.exp(-0.04 * weather.haze)
    sky = np.array(CLEARNESS) * np.array(SKY) * weather.haze
    lit, dim = (np.empty((len(own), SIDE, SIDE), dtype=np.float32) for _ in range(2))
    for band in range(len(own)):
        surface = own[band][label]
        surface += share * (other[band] - own[band])[label]
        lit[band] = np.float32(sun[band]) * _means(surface * direct)
        dim[band] = np.float32(sky[band]) * _means(surface * diffuse)
    path = np.array(PATH) * weather.haze * (0.6 + 0.4 / np.sin(weather.elevation))
    return lit, dim, path.astype(np.float32)[:, None, None]


@lru_cache(maxsize=1)
def responses() -> NDArray[np.float64]:
    """Flat-topped responses of the 13 bands on the spectrometers' grid, (13, wavelengths); rows sum to 1."""
    centres, widths = np.array(SENSOR.centres)[:, None], np.array(SENSOR.widths)[:, None]
    weight = np.exp2(-(np.abs(2.0 * (infrared.GRID - centres) / widths) ** 6))
    return np.asarray(weight / weight.sum(1, keepdims=True))


def _means(image: Image) -> Image:
    rows = image[::2] + image[1::2]
    return np.float32(0.25) * (rows[:, ::2] + rows[:, 1::2])


def _expose(signal: Image, rng: np.random.Generator) -> Image:
    """Digital numbers of apparent reflectance (13, H, W): own pixel size, noise, interpolation to 10 m, rounding."""
    bands = []
    for band, coarse in enumerate(COARSE):
        image: Tensor = torch.from_numpy(np.ascontiguousarray(signal[band]))[None, None] * SENSOR.scale
        side = -(-SIDE // coarse)
        image = functional.interpolate(image, (side, side), mode="area") if coarse > 1 else image
        noise = torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32))
        image = image + noise * (3.0 + 0.004 * image)
        image = functional.interpolate(image, (SIDE, SIDE), mode="bicubic") if coarse > 1 else image
        bands.append(image[0])
    return torch.cat(bands).round().clamp(1, 2**SENSOR.bits - 1).numpy()


def _radar(ground: Canvas, palette: Palette, slow: Image, rng: np.random.Generator) -> Image:
    """Backscatter in dB, VV and VH, (2, H, W): materials, walls that face the radar, its shadow, speckle, noise floor.

    The radar looks from the left or the right, as ascending and descending orbits do, a few degrees off the rows.
    """
    azimuth = float(rng.choice([0.0, np.pi])) + float(rng.normal(0.2, 0.05))
    look = Weather(float(np.deg2rad(rng.uniform(46, 58))), azimuth, 1.0)
    shadow = cast_shadow(ground.height, ground.scale, look)
    rise_x, rise_y = (np.diff(ground.height, axis=axis, append=ground.height.take([-1], axis)) for axis in (1, 0))
    # Height that drops towards the radar is a wall that faces it: layover and double bounce.
    facing = np.clip(-(np.cos(azimuth) * rise_x + np.sin(azimuth) * rise_y), 0, 8)
    own, other, _, _ = palette.instances()
    power, label = backscatter(), ground.label.astype(np.intp)
    share = np.clip(ground.mix, 0, 1)
    vary = (10 ** (rng.normal(0.0, 0.08, len(own))))[label] * 10 ** (0.05 * slow)
    out = np.empty((2, SIDE, SIDE), dtype=np.float32)
    for band in range(2):
        first, second = power[own, band][label], power[other, band][label]
        level = (first + share * (second - first)) * vary * (1 - 0.85 * shadow) + power[NAMES.index("zinc"), band] * 0.25 * facing
        speckle = rng.gamma(LOOKS, 1.0 / LOOKS, (SIDE, SIDE))
        out[band] = 10 * np.log10(_means(level.astype(np.float32)) * speckle + FLOOR[band])
    return out
