"""Backscatter of the materials for Sentinel-1: C band, VV and VH.

Values are set by hand within the usual ranges over land cover: smooth water and asphalt dark, crops and forest by volume
scattering, roofs and metal bright. No measurements are copied.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from waldbench.datasets.simulated.materials import NAMES

# Backscatter in dB, VV and VH, at about 39 degrees of incidence.
TABLE: dict[str, tuple[float, float]] = {
    "asphalt": (-16, -25),
    "old asphalt": (-15, -24),
    "concrete": (-13, -22),
    "old concrete": (-12, -21),
    "paving": (-13, -22),
    "gravel": (-12, -21),
    "road paint": (-15, -24),
    "clay tile": (-5, -13),
    "old tile": (-6, -14),
    "slate": (-6, -14),
    "shingle": (-6, -14),
    "bitumen": (-5, -13),
    "roof gravel": (-5, -13),
    "membrane": (-4, -13),
    "zinc": (-2, -11),
    "rust": (-2, -11),
    "blue metal": (-2, -11),
    "green metal": (-2, -11),
    "red metal": (-2, -11),
    "solar panel": (-4, -14),
    "glass": (-3, -13),
    "greenhouse": (-6, -14),
    "white paint": (-3, -13),
    "silver paint": (-3, -13),
    "red paint": (-3, -13),
    "blue paint": (-3, -13),
    "dark paint": (-3, -13),
    "dry soil": (-13, -21.5),
    "wet soil": (-9.5, -18.5),
    "red soil": (-12, -20.5),
    "sand": (-17, -26),
    "wet sand": (-14, -24),
    "coal": (-12, -21),
    "lawn": (-12.5, -19.5),
    "dry grass": (-13, -20.5),
    "meadow": (-11.5, -18.5),
    "crop": (-10.5, -16.5),
    "young crop": (-11.5, -19),
    "ripe crop": (-12, -18),
    "rapeseed": (-8.5, -14),
    "stubble": (-12.5, -20.5),
    "broadleaf": (-8.5, -14),
    "dark leaf": (-8.5, -14),
    "conifer": (-9, -14.5),
    "autumn leaf": (-9, -14.5),
    "bare twigs": (-9.5, -15.5),
    "turf": (-13, -22),
    "deep water": (-21, -30),
    "green water": (-20, -29.5),
    "turbid water": (-19.5, -29),
    "pool": (-20, -29),
    "foam": (-14, -25),
}


@lru_cache(maxsize=1)
def backscatter() -> NDArray[np.float64]:
    """Backscatter of every material as a power ratio (not dB), VV and VH, (materials, 2)."""
    return np.asarray(10.0 ** (np.array([TABLE[name] for name in NAMES]) / 10.0))
