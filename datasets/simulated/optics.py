"""From reflectance to digital numbers: spectral responses, light, haze, MTF, noise, and Wald's degradation.

At-sensor signal of a band, as apparent reflectance: rho * (sun + sky) + path, where sun, sky and path are means over the band's
response weighted by sunlight. A gain per band turns it into digital numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from waldbench.datasets.simulated import infrared, materials, spectrometer
from waldbench.datasets.simulated.materials import WAVELENGTHS
from waldbench.imaging import sensors
from waldbench.imaging.filters import mtf, mtf_pan
from waldbench.imaging.operators import AxisOperator, separable
from waldbench.imaging.resampling import decimate
from waldbench.imaging.sensors import Sensor

Spectrum = NDArray[np.float64]
Curves = Callable[[NDArray[np.int64], Spectrum, Spectrum], Spectrum]


@dataclass(frozen=True)
class Optics:
    """Properties of a sensor that the sensor table does not contain.

    Attributes:
        pixel: PAN ground sampling distance in metres.
        haze: optical thickness of scattering, relative to a clear day.
        gains: digital numbers per unit of apparent reflectance, MS bands then PAN, set so that the band means of many
            scenes lie near those of real scenes (docs/simulation.md).
        offset: least and largest misregistration between MS and PAN, in half PAN pixels.
    """

    pixel: float
    haze: float
    gains: tuple[float, ...]
    offset: tuple[int, int]


OPTICS = {
    "wv3": Optics(0.31, 1.0, (2560, 2920, 3680, 3990, 3800, 2790, 2650, 1670, 3400), (1, 3)),
    "wv2": Optics(0.46, 1.0, (2860, 2020, 2540, 2890, 2070, 2800, 2940, 2370, 2280), (1, 3)),
    "qb": Optics(0.61, 1.5, (2930, 3580, 2010, 2070, 2580), (0, 2)),
    "gf2": Optics(0.81, 3.0, (1180, 840, 770, 420, 550), (0, 2)),
}
# Spectrometers: PAN pixels in metres. Those of the two satellites (Hyperion 30 m with ALI's 10 m, PRISMA 30 m with 5 m) are
# simulated several times finer, because the drawn objects would be invisible otherwise.
OPTICS |= {
    key: Optics(pixel, haze, spectrometer.gains(sensors.get(key)), (0, 1))
    for key, pixel, haze in (("wdc", 0.7, 1.0), ("pavia", 0.35, 1.0), ("botswana", 1.5, 1.5), ("fr1", 1.2, 1.5))
}


@dataclass(frozen=True)
class Weather:
    """Light of one scene: solar elevation [rad], solar azimuth in the image [rad], haze factor."""

    elevation: float
    azimuth: float
    haze: float


@lru_cache(maxsize=8)
def responses(sensor: Sensor) -> Spectrum:
    """Responses of the MS bands and, last, of PAN, (bands + 1, wavelengths), weighted by sunlight; rows sum to 1.

    MS bands are flat-topped with their 50 % limits at the vendor's edges. PAN is one broad detector of its own: its response
    rises towards the red, as silicon's does, with slower edges, and leaks a little outside its band.
    Those of imaging spectrometers: `spectrometer.responses`.
    """
    if spectrometer.is_spectrometer(sensor):
        return spectrometer.responses(sensor)
    centres, widths = np.array(sensor.centres)[:, None], np.array(sensor.widths)[:, None]
    bands = np.exp2(-(np.abs(2.0 * (WAVELENGTHS - centres) / widths) ** 6))
    low, high = sensor.pan
    edges = 1.0 / (1.0 + np.exp((low - WAVELENGTHS) / 9.0)) / (1.0 + np.exp((WAVELENGTHS - high) / 14.0))
    rise = 0.55 + 0.45 * np.clip((WAVELENGTHS - low) / 230.0, 0.0, 1.0) - 0.25 * np.clip((WAVELENGTHS - 720.0) / 180.0, 0.0, 1.0)
    pan = edges * rise + 0.015
    weighted = np.vstack([bands, pan]) * sunlight()
    return np.asarray(weighted / weighted.sum(1, keepdims=True))


@lru_cache(maxsize=1)
def sunlight() -> Spectrum:
    """Spectral irradiance at the ground (arbitrary unit): a black body of 5778 K behind oxygen, water vapour and scattering."""
    metre = WAVELENGTHS * 1e-9
    planck = metre**-5 / np.expm1(1.4388e-2 / (metre * 5778.0))
    depth = 0.09 * (550.0 / WAVELENGTHS) ** 3 + 0.08
    for centre, width, strength in (
        (688.0, 4.0, 0.15),
        (720.0, 10.0, 0.15),
        (762.0, 5.0, 0.5),
        (822.0, 10.0, 0.12),
        (940.0, 22.0, 0.6),
    ):
        depth = depth + strength * np.exp(-(((WAVELENGTHS - centre) / width) ** 2))
    irradiance = planck * np.exp(-depth)
    return np.asarray(irradiance / irradiance.max())


def curves(sensor: Sensor) -> tuple[Spectrum, Curves]:
    """The wavelengths of a sensor's responses, and the function that returns reflectance at them."""
    if spectrometer.is_spectrometer(sensor):
        return infrared.GRID, infrared.spectra
    return WAVELENGTHS, materials.spectra


def light(sensor: Sensor, weather: Weather) -> tuple[Spectrum, Spectrum, Spectrum]:
    """Sun, sky and path terms per band (MS bands, then PAN), in units of apparent reflectance.

    The sun is 1 at the zenith; sky light and path radiance are blue, and grow with haze and a low sun.
    """
    blue = 450.0 / curves(sensor)[0]
    slant = 0.6 + 0.4 / np.sin(weather.elevation)
    path = weather.haze * slant * (0.042 * blue**3.6 + 0.012 * blue)
    sky = 0.045 + weather.haze * (0.11 * blue**2.5 + 0.02)
    band = responses(sensor)
    sun = np.full(len(band), np.sin(weather.elevation) * np.exp(-0.06 * weather.haze))
    return sun, band @ sky, band @ path


def expose(signal: Tensor, sensor: Sensor, rng: np.random.Generator | None) -> Tensor:
    """Quantise a signal (1, C, H, W) in digital numbers: shot and read noise, rounding, saturation.

    Without a generator there is no noise.
    """
    if rng is not None:
        noise = torch.from_numpy(rng.standard_normal(tuple(signal.shape), dtype=np.float32))
        signal = signal + noise * (READ_NOISE**2 + SHOT_NOISE * signal.clamp(min=0)).sqrt()
    return signal.round().clamp(0, sensor.scale)


READ_NOISE = 0.8
# Variance per digital number: a signal-to-noise ratio of about 200 at 400 DN.
SHOT_NOISE = 0.01


def native_ms(signal: Tensor, sensor: Sensor, rng: np.random.Generator) -> Tensor:
    """Image MS (1, C, H / r, W / r) from band signals (1, C, H, W) on the PAN grid."""
    return expose(mtf(signal, sensor, step=sensor.ratio), sensor, rng)


def native_pan(signal: Tensor, sensor: Sensor, rng: np.random.Generator) -> Tensor:
    """Image PAN (1, 1, H, W) from its own signal (1, 1, H, W)."""
    return expose(mtf_pan(signal, sensor, ratio=1), sensor, rng)


def true_ms(signal: Tensor, sensor: Sensor) -> Tensor:
    """Image MS at the resolution of PAN, (1, C, H, W): the bands' MTF at ratio 1, without noise."""
    return expose(mtf(signal, sensor, ratio=1), sensor, None)


def degrade_ms(gt: Tensor, sensor: Sensor) -> Tensor:
    """Wald's protocol: MTF blur and decimation of (B, C, H, W), rounded to integers."""
    return mtf(gt, sensor, step=sensor.ratio).round().clamp(0, sensor.scale)


def degrade_pan(pan: Tensor, sensor: Sensor) -> Tensor:
    """Wald's protocol for PAN (1, 1, H, W): almost ideal low-pass, decimation with the phase of `decimate`, rounded."""
    operator = _ideal(pan.shape[-2], sensor.ratio), _ideal(pan.shape[-1], sensor.ratio)
    return decimate(separable(pan, *operator), sensor.ratio).round().clamp(0, sensor.scale)


@lru_cache(maxsize=8)
def _ideal(size: int, ratio: int) -> AxisOperator:
    reach = 6 * ratio
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64)
    taps = torch.sinc(offset / ratio) * torch.kaiser_window(2 * reach + 1, periodic=False, beta=4.0, dtype=torch.float64)
    return AxisOperator(torch.arange(size) - reach, (taps / taps.sum()).expand(size, -1), size, "replicate")
