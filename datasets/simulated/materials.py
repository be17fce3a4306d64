"""Surface materials of the simulated scenes: reflectance from 400 to 1050 nm, and its variation within a scene.

Each spectrum is a smooth monotone-preserving curve through hand-set knots that follow the characteristic shapes of public
spectral libraries (chlorophyll absorption at 450 and 680 nm and the red edge of vegetation, iron oxide's slope below 600 nm
of soil and fired clay, the flat spectra of bitumen and concrete, water's absorption in the near infrared). No library's
measurements are copied.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

WAVELENGTHS = np.arange(400.0, 1050.1, 5.0)
KNOTS = (400, 450, 500, 550, 600, 650, 680, 700, 720, 750, 800, 900, 950, 1000, 1050)


class Material(NamedTuple):
    """One surface material.

    Attributes:
        percent: reflectance at `KNOTS` in percent.
        partner: the material it grades into (dry patches, wear, shade), chosen per pixel by a smooth field.
        grain: relative deviation of its fine brightness texture.
        mottle: relative deviation of its slow brightness texture.
        patch: deviation of the share of `partner` (0 to 1).
        spread: relative deviation of brightness between two instances.
        tilt: deviation of the exponent of wavelength between two instances (a change of colour).
    """

    percent: tuple[float, ...]
    partner: str
    grain: float
    mottle: float
    patch: float
    spread: float
    tilt: float


MATERIALS: dict[str, Material] = {
    # Roads and paved ground.
    "asphalt": Material(
        (6, 6.6, 7.3, 8, 8.6, 9.1, 9.4, 9.5, 9.7, 10, 10.4, 11, 11.2, 11.4, 11.6), "old asphalt", 0.05, 0.05, 0.25, 0.1, 0.1
    ),
    "old asphalt": Material(
        (10, 11, 12.2, 13.4, 14.4, 15.2, 15.6, 15.8, 16, 16.4, 17, 17.8, 18, 18.3, 18.5), "asphalt", 0.05, 0.05, 0.25, 0.12, 0.12
    ),
    "concrete": Material(
        (16, 18.5, 21.5, 24.5, 27, 28.5, 29, 29.3, 29.6, 30, 30.5, 31, 31, 31.4, 31.8),
        "old concrete",
        0.04,
        0.05,
        0.3,
        0.14,
        0.12,
    ),
    "old concrete": Material(
        (12, 13.5, 15.5, 17.5, 19.3, 20.5, 21, 21.3, 21.6, 22, 22.5, 23, 23, 23.4, 23.8), "asphalt", 0.05, 0.06, 0.25, 0.12, 0.12
    ),
    "paving": Material(
        (11, 12.5, 15, 18.5, 23, 25.5, 26.5, 27, 27.5, 28, 29, 30, 30.5, 31, 31.5), "old concrete", 0.06, 0.05, 0.25, 0.12, 0.2
    ),
    "gravel": Material(
        (13, 15.5, 18.5, 21.5, 24, 26, 27, 27.5, 28, 28.5, 29.5, 31, 31.5, 32, 32.5), "dry soil", 0.1, 0.08, 0.35, 0.12, 0.15
    ),
    "road paint": Material(
        (34, 44, 48, 50, 51, 51.5, 52, 52, 52, 52, 52, 52, 52, 52, 52), "asphalt", 0.05, 0.05, 0.1, 0.15, 0.05
    ),
    # Roofs.
    "clay tile": Material((5, 6, 8, 12, 21, 27, 29, 30, 31, 32.5, 34, 36, 37, 39, 40), "old tile", 0.09, 0.06, 0.3, 0.15, 0.25),
    "old tile": Material(
        (6, 6.8, 8.2, 10.5, 15, 18, 19, 19.5, 20.2, 21, 22, 24, 25, 26, 27), "slate", 0.09, 0.07, 0.3, 0.15, 0.25
    ),
    "slate": Material(
        (8, 8.6, 9.2, 9.8, 10.2, 10.5, 10.7, 10.8, 10.9, 11, 11.3, 11.8, 12, 12.2, 12.4), "old tile", 0.06, 0.05, 0.2, 0.18, 0.2
    ),
    "shingle": Material(
        (8, 9, 10.3, 11.8, 13.4, 14.6, 15.1, 15.4, 15.7, 16.2, 17, 18.5, 19.2, 20, 20.6), "slate", 0.06, 0.05, 0.25, 0.2, 0.25
    ),
    "bitumen": Material(
        (5, 5.3, 5.6, 6, 6.3, 6.6, 6.7, 6.8, 6.9, 7, 7.3, 7.8, 8, 8.2, 8.4), "roof gravel", 0.06, 0.07, 0.3, 0.15, 0.1
    ),
    "roof gravel": Material(
        (13, 14.6, 16.5, 18.6, 20.3, 21.6, 22.1, 22.4, 22.7, 23, 23.7, 24.6, 25, 25.4, 25.8),
        "bitumen",
        0.06,
        0.06,
        0.25,
        0.18,
        0.15,
    ),
    "membrane": Material(
        (38, 53, 60, 63, 64.5, 65, 65.2, 65.3, 65.3, 65.2, 65, 64, 62.5, 62.5, 63), "old concrete", 0.025, 0.04, 0.15, 0.12, 0.06
    ),
    "zinc": Material(
        (22, 25, 27, 28.2, 28.8, 29.2, 29.3, 29.3, 29.3, 29.2, 28.8, 28.5, 28.8, 29.6, 30.4), "rust", 0.03, 0.05, 0.12, 0.2, 0.12
    ),
    "rust": Material(
        (5.5, 6.6, 8.2, 10.8, 15, 18, 19.2, 22.3, 23, 23.8, 24, 23, 23.6, 25, 27), "zinc", 0.07, 0.08, 0.3, 0.15, 0.2
    ),
    "blue metal": Material(
        (19, 31, 31, 22, 14, 12.5, 14, 18, 24, 32, 38, 42, 43, 43.5, 44), "zinc", 0.025, 0.04, 0.15, 0.12, 0.12
    ),
    "green metal": Material(
        (7, 10, 17, 21, 15, 11.5, 11.8, 13, 16, 21, 26, 31, 32.5, 34, 35), "zinc", 0.025, 0.04, 0.15, 0.14, 0.12
    ),
    "red metal": Material(
        (6, 6.8, 7.4, 8.5, 17, 26, 28.5, 30.5, 33, 41, 43.5, 46, 47, 48, 48.5), "rust", 0.025, 0.04, 0.2, 0.14, 0.12
    ),
    "solar panel": Material(
        (6.4, 6.8, 5.6, 4.8, 4.4, 4.3, 4.3, 4.3, 4.4, 4.5, 4.9, 5.8, 6.6, 8.6, 11.5), "slate", 0.02, 0.02, 0.05, 0.1, 0.1
    ),
    "glass": Material(
        (11, 11.5, 11.8, 12, 11.8, 11.3, 11, 10.8, 10.6, 10.4, 10.2, 10, 10, 10, 10), "zinc", 0.03, 0.05, 0.15, 0.3, 0.2
    ),
    "greenhouse": Material(
        (24, 30, 33, 35.5, 37, 38, 38.5, 39, 39.8, 41, 43, 45, 45.5, 46, 46.5), "lawn", 0.03, 0.05, 0.2, 0.1, 0.1
    ),
    # Cars.
    "white paint": Material(
        (30, 47, 54, 55.5, 56, 56, 56, 56, 56, 55.5, 55, 54, 53.5, 53, 53), "zinc", 0.02, 0, 0.05, 0.15, 0.04
    ),
    "silver paint": Material(
        (19, 21, 22, 22.5, 22.5, 22.5, 22.5, 22.5, 22.5, 22.5, 22.5, 22.5, 22.5, 22.5, 22.5), "slate", 0.02, 0, 0.05, 0.25, 0.1
    ),
    "red paint": Material((3.5, 3.8, 4, 4.6, 16, 37, 42, 44, 45.5, 47, 49, 51, 52, 52.5, 53), "rust", 0.02, 0, 0.05, 0.2, 0.1),
    "blue paint": Material((10, 16, 12, 7, 5, 5.2, 6, 8, 11, 16, 20, 24, 26, 27, 28), "slate", 0.02, 0, 0.05, 0.25, 0.1),
    "dark paint": Material(
        (3.6, 3.8, 4, 4.1, 4.2, 4.3, 4.4, 4.4, 4.5, 4.6, 4.8, 5.2, 5.5, 5.8, 6), "slate", 0.02, 0, 0.05, 0.3, 0.1
    ),
    # Bare ground.
    "dry soil": Material(
        (7.5, 9.5, 12.5, 16.5, 21, 24.5, 26, 27, 28, 29.5, 31.5, 35, 36, 37.5, 38.5), "wet soil", 0.06, 0.06, 0.3, 0.1, 0.15
    ),
    "wet soil": Material(
        (4.2, 5, 6.3, 8.2, 10.6, 12.6, 13.5, 14.1, 14.8, 15.8, 17.3, 19.8, 20.3, 21.5, 22.5),
        "dry soil",
        0.06,
        0.06,
        0.3,
        0.1,
        0.15,
    ),
    "red soil": Material(
        (5.2, 6.5, 8.6, 12.2, 18.2, 22, 23.5, 24.5, 27.2, 28.5, 29.8, 30, 31, 33.5, 35.5), "wet soil", 0.06, 0.06, 0.3, 0.1, 0.15
    ),
    "sand": Material(
        (16, 20, 25, 30.5, 35.5, 38.5, 39.8, 40.5, 41.3, 42.3, 43.8, 45.8, 46.3, 47.3, 48),
        "wet sand",
        0.03,
        0.05,
        0.15,
        0.08,
        0.08,
    ),
    "wet sand": Material(
        (8, 10, 12.8, 16, 18.6, 20.2, 20.8, 21.2, 21.5, 21.8, 22.3, 22.4, 21, 20.6, 20.8), "sand", 0.03, 0.05, 0.2, 0.1, 0.1
    ),
    "coal": Material(
        (3.2, 3.3, 3.4, 3.5, 3.6, 3.7, 3.8, 3.8, 3.9, 4, 4.2, 4.6, 4.8, 5, 5.2), "wet soil", 0.1, 0.1, 0.15, 0.15, 0.1
    ),
    # Vegetation.
    "lawn": Material(
        (3.2, 4, 5.6, 10, 8.2, 6.4, 5.8, 10.5, 20, 34, 39, 42, 41, 42, 43), "dry grass", 0.06, 0.06, 0.25, 0.1, 0.15
    ),
    "dry grass": Material(
        (5, 6.6, 9, 13, 16.5, 18, 18, 20, 22.5, 26, 29, 33, 34, 35.5, 36.5), "dry soil", 0.09, 0.07, 0.25, 0.1, 0.15
    ),
    "meadow": Material(
        (3.4, 4.2, 5.8, 10.5, 9, 7.6, 7, 11.5, 19.5, 30.5, 35.5, 39, 38.5, 39.5, 40.5), "dry grass", 0.1, 0.08, 0.3, 0.12, 0.15
    ),
    "crop": Material(
        (2.6, 3, 3.9, 8.6, 5.6, 3.9, 3.4, 8.2, 21.5, 42, 49, 52, 50.5, 51.5, 52.5), "wet soil", 0.06, 0.06, 0.2, 0.1, 0.12
    ),
    "young crop": Material(
        (4, 5, 6.6, 11, 10.6, 10, 9.8, 13.5, 20, 28.5, 33, 36.5, 36.5, 37.8, 38.8), "dry soil", 0.07, 0.06, 0.25, 0.1, 0.15
    ),
    "ripe crop": Material(
        (5.5, 8, 12, 18, 23.5, 26.5, 27.5, 29.5, 31.5, 34, 37, 41, 42, 43.5, 44.5), "stubble", 0.06, 0.06, 0.2, 0.1, 0.12
    ),
    "rapeseed": Material((3.4, 4, 8, 20, 20, 16.5, 14, 19, 30, 42, 47, 50, 49, 50, 51), "crop", 0.06, 0.05, 0.2, 0.08, 0.1),
    "stubble": Material(
        (6.5, 8.6, 11.5, 15.5, 19.5, 22.5, 23.5, 24.8, 26, 28, 30.5, 34.5, 36, 38, 39.5), "dry soil", 0.07, 0.06, 0.3, 0.1, 0.12
    ),
    "broadleaf": Material(
        (2.6, 3, 4, 8.6, 6.4, 4.5, 4, 8.4, 18, 35, 42, 46, 45, 46, 47), "dark leaf", 0.22, 0.08, 0.3, 0.18, 0.2
    ),
    "dark leaf": Material(
        (1.8, 2, 2.5, 5, 3.7, 2.8, 2.5, 5, 12, 24, 30, 33.5, 33, 34, 34.5), "broadleaf", 0.22, 0.08, 0.3, 0.18, 0.2
    ),
    "conifer": Material(
        (1.8, 2, 2.5, 4.2, 3.2, 2.5, 2.3, 4.2, 10, 19.5, 24.5, 27.5, 27, 27.5, 28), "dark leaf", 0.24, 0.08, 0.25, 0.18, 0.15
    ),
    "autumn leaf": Material(
        (2.6, 3.2, 4.4, 8, 12.5, 13, 12.5, 16, 22, 31, 37, 41, 40.5, 41.5, 42.5), "broadleaf", 0.22, 0.08, 0.35, 0.18, 0.25
    ),
    "bare twigs": Material(
        (4, 4.8, 6, 7.8, 9.8, 11.3, 12, 13, 14.2, 16, 18.5, 22.5, 24, 26, 27.5), "dark leaf", 0.2, 0.08, 0.25, 0.15, 0.15
    ),
    "turf": Material((2.6, 3, 4.6, 9.5, 5.6, 4.2, 4.4, 6.5, 11, 20, 30, 36, 37, 38, 39), "lawn", 0.03, 0.03, 0.1, 0.08, 0.1),
    # Water.
    "deep water": Material(
        (5.2, 5, 4.2, 3.2, 1.7, 1.1, 0.9, 0.8, 0.7, 0.5, 0.45, 0.4, 0.4, 0.4, 0.4), "green water", 0.04, 0.04, 0.06, 0.08, 0.1
    ),
    "green water": Material(
        (3.4, 4, 5.2, 6.6, 4.4, 3, 2.5, 2.3, 1.8, 1.2, 1, 0.8, 0.6, 0.6, 0.6), "turbid water", 0.04, 0.04, 0.08, 0.12, 0.15
    ),
    "turbid water": Material(
        (5, 6.4, 8.6, 11.5, 11.6, 10.4, 9.4, 8.6, 6.6, 4.6, 4, 2.6, 1.6, 1.6, 1.4), "green water", 0.03, 0.04, 0.08, 0.12, 0.15
    ),
    "pool": Material((28, 36, 40, 36, 17, 9, 7.4, 6, 4.6, 3.4, 3, 2.2, 1.5, 1.4, 1.4), "pool", 0.05, 0.03, 0, 0.12, 0.05),
    "foam": Material(
        (38, 43, 45, 46, 45.5, 44.5, 44, 43, 41, 38.5, 35.5, 30, 25, 24.5, 24), "green water", 0.15, 0.1, 0.3, 0.15, 0.05
    ),
}
NAMES = tuple(MATERIALS)


@lru_cache(maxsize=1)
def all_spectra() -> NDArray[np.float64]:
    """Reflectance of every material, (materials, wavelengths), 0 to 1, in the order of `NAMES` and `WAVELENGTHS`."""
    percent = np.array([material.percent for material in MATERIALS.values()], dtype=np.float64)
    return np.asarray(PchipInterpolator(KNOTS, percent / 100.0, axis=1)(WAVELENGTHS), dtype=np.float64)


def spectra(material: NDArray[np.int64], brightness: NDArray[np.float64], tilt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reflectance of instances, (instances, wavelengths): a material made brighter and bluer or redder, kept in [0.003, 0.95].

    Args:
        material: index into `NAMES`, (instances,).
        brightness: factor, (instances,).
        tilt: exponent of wavelength / 650 nm, (instances,).
    """
    colour = (WAVELENGTHS / 650.0) ** tilt[:, None]
    return np.clip(all_spectra()[material] * brightness[:, None] * colour, 0.003, 0.95)
