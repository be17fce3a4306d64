"""The materials beyond 1050 nm: reflectance from 400 to 2500 nm for imaging spectrometers.

Up to 1050 nm the spectra are those of the multispectral twins. Beyond, each material follows the curve of its family, relative to
its reflectance at 1050 nm, set by hand after the characteristic shapes of public spectral libraries: leaf water at 1450 and
1930 nm, cellulose at 2100 and 2300 nm of dry plants, clay's hydroxyl at 2200 nm, carbonate at 2330 nm, the C-H overtones of paint
and plastic at 1200, 1730 and 2310 nm, and liquid water that absorbs nearly everything. No library's measurements are copied.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from waldbench.datasets.simulated.materials import NAMES, WAVELENGTHS, all_spectra

GRID = np.arange(400.0, 2500.1, 2.0)
KNOTS = (1050, 1100, 1150, 1200, 1270, 1350, 1450, 1550, 1650, 1730, 1800, 1930, 2030, 2100, 2200, 2260, 2310, 2400, 2500)
EDGE = 1050.0

# Reflectance at KNOTS in percent of that at 1050 nm.
FAMILIES: dict[str, tuple[int, ...]] = {
    "leaf": (100, 99, 95, 91, 95, 82, 34, 50, 62, 59, 53, 13, 20, 29, 34, 31, 26, 17, 10),
    "dry plant": (100, 102, 103, 102, 105, 101, 85, 98, 104, 99, 97, 71, 76, 77, 90, 86, 77, 68, 56),
    "soil": (100, 103, 105, 107, 110, 112, 107, 116, 120, 121, 119, 101, 111, 115, 106, 112, 110, 102, 94),
    "wet ground": (100, 101, 100, 98, 101, 95, 66, 82, 91, 88, 84, 46, 57, 66, 63, 65, 62, 53, 44),
    "mineral": (100, 101, 102, 102, 103, 103, 100, 104, 106, 106, 105, 95, 99, 101, 98, 99, 91, 87, 80),
    "fired clay": (100, 103, 105, 107, 110, 112, 113, 117, 120, 121, 120, 112, 118, 120, 115, 118, 116, 110, 101),
    "bitumen": (100, 102, 104, 105, 108, 110, 112, 115, 118, 118, 120, 118, 121, 123, 122, 120, 112, 116, 114),
    "metal": (100, 101, 102, 102, 103, 104, 105, 106, 107, 108, 108, 109, 110, 110, 111, 111, 112, 112, 113),
    "coating": (100, 100, 98, 91, 97, 94, 88, 91, 90, 70, 79, 73, 75, 73, 68, 60, 47, 46, 40),
    "glass": (100, 100, 99, 98, 98, 97, 95, 95, 94, 93, 92, 90, 89, 87, 82, 80, 80, 78, 75),
    "water": (100, 88, 62, 55, 58, 42, 22, 24, 26, 25, 22, 18, 18, 18, 18, 18, 18, 18, 18),
    "foam": (100, 97, 80, 70, 72, 45, 12, 18, 24, 22, 18, 6, 8, 10, 11, 10, 8, 6, 5),
}
MEMBERS: dict[str, tuple[str, ...]] = {
    "leaf": ("lawn", "meadow", "crop", "young crop", "rapeseed", "broadleaf", "dark leaf", "conifer"),
    "dry plant": ("dry grass", "ripe crop", "stubble", "autumn leaf", "bare twigs"),
    "soil": ("dry soil", "red soil", "sand", "gravel"),
    "wet ground": ("wet soil", "wet sand"),
    "mineral": ("concrete", "old concrete", "paving"),
    "fired clay": ("clay tile", "old tile"),
    "bitumen": ("asphalt", "old asphalt", "shingle", "bitumen", "roof gravel", "slate", "coal"),
    "metal": ("zinc", "rust", "solar panel"),
    "coating": (
        *("road paint", "membrane", "blue metal", "green metal", "red metal", "greenhouse", "turf"),
        *("white paint", "silver paint", "red paint", "blue paint", "dark paint"),
    ),
    "glass": ("glass",),
    "water": ("deep water", "green water", "turbid water", "pool"),
    "foam": ("foam",),
}


@lru_cache(maxsize=1)
def wide_spectra() -> NDArray[np.float64]:
    """Reflectance of every material, (materials, wavelengths), 0 to 1, in the order of `NAMES` and `GRID`."""
    family = {name: key for key, names in MEMBERS.items() for name in names}
    known = PchipInterpolator(WAVELENGTHS, all_spectra(), axis=1)
    near = known(np.minimum(GRID, EDGE))
    curves = {key: PchipInterpolator(KNOTS, np.array(percent) / 100.0) for key, percent in FAMILIES.items()}
    beyond = np.array([curves[family[name]](np.maximum(GRID, EDGE)) for name in NAMES])
    return np.asarray(near * beyond, dtype=np.float64)


def spectra(material: NDArray[np.int64], brightness: NDArray[np.float64], tilt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reflectance of instances, (instances, wavelengths) on `GRID`; as `materials.spectra`, the tilt ending at 1050 nm."""
    colour = (np.minimum(GRID, EDGE) / 650.0) ** tilt[:, None]
    return np.asarray(np.clip(wide_spectra()[material] * brightness[:, None] * colour, 0.003, 0.95))
