"""Model of an imaging spectrometer: narrow bands from 400 to 2500 nm, irradiance and gains.

A band is a Gaussian of its published width; the guide is a box with soft edges over the sensor's PAN range. A gain a band follows
the solar irradiance there (to the power 0.6: instruments amplify the dim shortwave infrared), so that spectra have the shape of
uncorrected radiances.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from waldbench.datasets.simulated.infrared import GRID
from waldbench.imaging.sensors import Sensor

Spectrum = NDArray[np.float64]
# Largest number of bands of a multispectral sensor; sensors of more bands are spectrometers.
MULTISPECTRAL = 16
# Digital numbers per unit of apparent reflectance where sunlight is strongest.
PEAK = 6500.0
# Oxygen and water vapour: centre and width in nm, optical depth at the centre.
ABSORPTION = (
    *((688.0, 4.0, 0.15), (720.0, 10.0, 0.15), (762.0, 5.0, 0.5), (822.0, 10.0, 0.12), (940.0, 22.0, 0.6)),
    *((1130.0, 28.0, 0.7), (1385.0, 38.0, 3.5), (1870.0, 45.0, 4.0), (2010.0, 14.0, 0.35), (2060.0, 12.0, 0.2)),
)


def is_spectrometer(sensor: Sensor) -> bool:
    """Whether the sensor has narrow bands instead of a few broad ones."""
    return sensor.count > MULTISPECTRAL


@lru_cache(maxsize=8)
def responses(sensor: Sensor) -> Spectrum:
    """Responses of the bands and, last, of the guide, (bands + 1, wavelengths) on `GRID`, weighted by sunlight; rows sum to 1."""
    centres, widths = np.array(sensor.centres)[:, None], np.array(sensor.widths)[:, None]
    bands = np.exp2(-((2.0 * (GRID - centres) / np.maximum(widths, 4.0)) ** 2))
    low, high = sensor.pan
    pan = 1.0 / (1.0 + np.exp((low - GRID) / 9.0)) / (1.0 + np.exp((GRID - high) / 14.0))
    weighted = np.vstack([bands, pan]) * sunlight()
    return np.asarray(weighted / weighted.sum(1, keepdims=True))


@lru_cache(maxsize=1)
def sunlight() -> Spectrum:
    """Spectral irradiance at the ground (arbitrary unit) on `GRID`: a black body of 5778 K behind gases and scattering."""
    metre = GRID * 1e-9
    planck = metre**-5 / np.expm1(1.4388e-2 / (metre * 5778.0))
    depth = 0.09 * (550.0 / GRID) ** 3 + 0.08
    for centre, width, strength in ABSORPTION:
        depth = depth + strength * np.exp(-(((GRID - centre) / width) ** 2))
    irradiance = planck * np.exp(-depth)
    return np.asarray(irradiance / irradiance.max())


def gains(sensor: Sensor) -> tuple[float, ...]:
    """Digital numbers per unit of apparent reflectance, bands then guide."""
    return tuple((PEAK * (responses(sensor) @ sunlight()) ** 0.6).tolist())
