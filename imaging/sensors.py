"""Sensors: bands, bit depth and the MTF gains at Nyquist that the field's reference toolbox uses.

Band edges are the vendors' published 50 % limits; the MTF gains are those of Vivone et al., IEEE GRSM 9(1), 2021
(doi 10.1109/MGRS.2020.3019315): where that toolbox names no gain for a sensor, 0.3 (MS) and 0.15 (PAN) stand in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from waldbench.catalogue import UnknownNameError
from waldbench.imaging import hyperspectral


@dataclass(frozen=True)
class Sensor:
    """A sensor pair (multispectral or hyperspectral bands, and the high-resolution guide).

    Wavelengths and widths are in nm; `mtf` and `pan_mtf` are gains at the Nyquist frequency of the low-resolution grid
    (0 to 1); `rgb` holds the indices of the red, green and blue bands.
    """

    key: str
    title: str
    ratio: int
    bits: int
    bands: tuple[str, ...]
    centres: tuple[float, ...]
    widths: tuple[float, ...]
    pan: tuple[float, float]
    mtf: tuple[float, ...]
    pan_mtf: float
    rgb: tuple[int, int, int]
    # Limits in dB of each guide band where the guide is SAR backscatter; None: the guide is panchromatic, in digital numbers.
    guide_range: tuple[tuple[float, float], ...] | None = None
    # What optical images are divided by inside a network, where it is not the largest digital number.
    reflectance: float | None = None

    @property
    def scale(self) -> float:
        """Largest digital number, 2^bits - 1, or the digital number of reflectance 1 where the sensor names it."""
        return self.reflectance or float(2**self.bits - 1)

    @property
    def guide_bands(self) -> int:
        """Number of guide bands: 1 (panchromatic) or those of the SAR guide."""
        return len(self.guide_range) if self.guide_range else 1

    @property
    def count(self) -> int:
        """Number of spectral bands."""
        return len(self.bands)

    def within_pan(self) -> tuple[bool, ...]:
        """For every band whether its centre lies in the guide's spectral range."""
        low, high = self.pan
        return tuple(low <= centre <= high for centre in self.centres)

    def with_ratio(self, ratio: int) -> Sensor:
        """The same sensor at another resolution ratio."""
        return replace(self, ratio=ratio)


def _sensor(
    key: str,
    title: str,
    edges: dict[str, tuple[float, float]],
    pan: tuple[float, float],
    mtf: tuple[float, ...],
    pan_mtf: float,
    bits: int = 11,
) -> Sensor:
    names = tuple(edges)
    return Sensor(
        key=key,
        title=title,
        ratio=4,
        bits=bits,
        bands=names,
        centres=tuple((low + high) / 2 for low, high in edges.values()),
        widths=tuple(high - low for low, high in edges.values()),
        pan=pan,
        mtf=mtf,
        pan_mtf=pan_mtf,
        rgb=(names.index("red"), names.index("green"), names.index("blue")),
    )


def hyperspectral_sensor(
    key: str,
    title: str,
    centres: Sequence[float],
    widths: Sequence[float],
    *,
    ratio: int = 4,
    bits: int = 13,
    pan: tuple[float, float] = (400.0, 700.0),
    pan_mtf: float = 0.15,
) -> Sensor:
    """A sensor of many narrow bands: MTF gain 0.3 for all of them, bands named by their centres, shown near 650, 550, 460 nm.

    Args:
        key: registry key.
        title: name for the reader.
        centres: centre wavelength of every band in nm.
        widths: width of every band in nm.
        ratio: resolution ratio, sides of the guide over sides of the cube.
        bits: bit depth of the digital numbers.
        pan: spectral range of the guide in nm.
        pan_mtf: gain of the guide at Nyquist; the hyperspectral toolbox takes 0.2 for PRISMA and else 0.15.
    """
    return Sensor(
        key=key,
        title=title,
        ratio=ratio,
        bits=bits,
        bands=tuple(f"{centre:.0f} nm" for centre in centres),
        centres=tuple(map(float, centres)),
        widths=tuple(map(float, widths)),
        pan=pan,
        mtf=(0.3,) * len(centres),
        pan_mtf=pan_mtf,
        rgb=nearest_bands(centres, (650.0, 550.0, 460.0)),
    )


def nearest_bands(centres: Sequence[float], wanted: tuple[float, float, float]) -> tuple[int, int, int]:
    """Indices of the bands whose centres are nearest to three wavelengths."""
    red, green, blue = (min(range(len(centres)), key=lambda band: abs(centres[band] - nm)) for nm in wanted)
    return red, green, blue


def _published_cube(key: str, title: str, instrument: str, kept: tuple[int, ...], ratio: int, pan_mtf: float) -> Sensor:
    centres, widths = hyperspectral.selected(instrument, kept)
    # The collections do not document their guides; readers replace the range where the files say more.
    return hyperspectral_sensor(key, title, centres, widths, ratio=ratio, pan=(400.0, 700.0), pan_mtf=pan_mtf)


_EIGHT = {
    "coastal": (400.0, 450.0),
    "blue": (450.0, 510.0),
    "green": (510.0, 580.0),
    "yellow": (585.0, 625.0),
    "red": (630.0, 690.0),
    "red edge": (705.0, 745.0),
    "nir1": (770.0, 895.0),
    "nir2": (860.0, 1040.0),
}
_QB = {"blue": (450.0, 520.0), "green": (520.0, 600.0), "red": (630.0, 690.0), "nir": (760.0, 900.0)}
_GE1 = {"blue": (450.0, 510.0), "green": (510.0, 580.0), "red": (655.0, 690.0), "nir": (780.0, 920.0)}
_IKONOS = {"blue": (445.0, 516.0), "green": (506.0, 595.0), "red": (632.0, 698.0), "nir": (757.0, 853.0)}
_GF2 = {"blue": (450.0, 520.0), "green": (520.0, 590.0), "red": (630.0, 690.0), "nir": (770.0, 890.0)}
_SPOT6 = {"blue": (455.0, 525.0), "green": (530.0, 590.0), "red": (625.0, 695.0), "nir": (760.0, 890.0)}
_WV3_MTF = (0.325, 0.355, 0.360, 0.350, 0.365, 0.360, 0.335, 0.315)

# Sentinel-2 User Handbook, ESA, 2015 (Issue 1.2), table 1: central wavelength and bandwidth in nm of every band.
_SENTINEL2 = {
    "B1": (443.0, 20.0),
    "B2": (490.0, 65.0),
    "B3": (560.0, 35.0),
    "B4": (665.0, 30.0),
    "B5": (705.0, 15.0),
    "B6": (740.0, 15.0),
    "B7": (783.0, 20.0),
    "B8": (842.0, 115.0),
    "B8A": (865.0, 20.0),
    "B9": (945.0, 20.0),
    "B10": (1375.0, 30.0),
    "B11": (1610.0, 90.0),
    "B12": (2190.0, 180.0),
}


def _sentinel2(key: str, title: str, bands: tuple[str, ...], ratio: int) -> Sensor:
    """Sentinel-2 with Sentinel-1 as its guide: Level-1C reflectance times 10000, backscatter in dB (VV, VH).

    There is no panchromatic band: `pan` is an empty interval, in which no band lies, and `pan_mtf` the generic gain 0.3. The
    limits of the backscatter are those of Meraner et al., ISPRS JPRS 166, 2020 (doi 10.1016/j.isprsjprs.2020.05.013).
    """
    return Sensor(
        key=key,
        title=title,
        ratio=ratio,
        bits=16,
        bands=bands,
        centres=tuple(_SENTINEL2[band][0] for band in bands),
        widths=tuple(_SENTINEL2[band][1] for band in bands),
        pan=(0.0, 0.0),
        mtf=(0.3,) * len(bands),
        pan_mtf=0.3,
        rgb=(bands.index("B4"), bands.index("B3"), bands.index("B2")),
        guide_range=((-25.0, 0.0), (-32.5, 0.0)),
        reflectance=10000.0,
    )


TABLE = {
    sensor.key: sensor
    for sensor in (
        _sensor("wv2", "WorldView-2", _EIGHT, (450.0, 800.0), (0.35,) * 7 + (0.27,), 0.11),
        _sensor("wv3", "WorldView-3", _EIGHT, (450.0, 800.0), _WV3_MTF, 0.14),
        _sensor("wv4", "WorldView-4", _GE1, (450.0, 800.0), (0.23,) * 4, 0.16),
        _sensor("qb", "QuickBird", _QB, (450.0, 900.0), (0.34, 0.32, 0.30, 0.22), 0.15),
        _sensor("ikonos", "IKONOS", _IKONOS, (526.0, 929.0), (0.26, 0.28, 0.29, 0.28), 0.17),
        _sensor("ge1", "GeoEye-1", _GE1, (450.0, 800.0), (0.23,) * 4, 0.16),
        _sensor("gf2", "GaoFen-2", _GF2, (450.0, 900.0), (0.3,) * 4, 0.15, bits=10),
        _sensor("spot6", "SPOT-6", _SPOT6, (450.0, 745.0), (0.3,) * 4, 0.15, bits=12),
        _published_cube("wdc", "HYDICE, Washington DC Mall", "hydice", hyperspectral.WDC, 4, 0.15),
        _published_cube("pavia", "ROSIS-3, Pavia Center", "rosis", hyperspectral.PAVIA, 4, 0.15),
        _published_cube("botswana", "EO-1 Hyperion, Botswana", "hyperion", hyperspectral.BOTSWANA, 4, 0.15),
        _published_cube("fr1", "PRISMA, FR1", "prisma", hyperspectral.FR1, 6, 0.2),
        _sentinel2("sentinel2", "Sentinel-2 with Sentinel-1", tuple(_SENTINEL2), 1),
        _sentinel2("sentinel2-10m", "Sentinel-2 (10 m bands) with Sentinel-1", ("B2", "B3", "B4", "B8"), 4),
    )
}
_ALIASES = {"geoeye1": "ge1", "geoeye-1": "ge1", "ik": "ikonos", "quickbird": "qb", "gaofen-2": "gf2", "gaofen2": "gf2"}
_ALIASES |= {"worldview-2": "wv2", "worldview-3": "wv3", "worldview-4": "wv4", "spot-6": "spot6", "gf-2": "gf2"}


def names() -> list[str]:
    """Keys of all sensors, sorted."""
    return sorted(TABLE)


def get(key: str) -> Sensor:
    """Return the sensor named `key` (case and the usual aliases do not matter).

    Raises:
        UnknownNameError: if there is none; the message names the nearest.
    """
    lower = key.strip().lower()
    lower = _ALIASES.get(lower, lower)
    if lower not in TABLE:
        raise UnknownNameError("sensor", key, names())
    return TABLE[lower]


def generic(count: int, ratio: int = 4, bits: int = 11) -> Sensor:
    """A sensor of which only the band count is known: gains 0.3 and 0.15, wavelengths evenly over 430-950 nm."""
    step = 520.0 / max(count - 1, 1)
    centres = tuple(430.0 + step * band for band in range(count))
    return Sensor(
        key=f"generic{count}",
        title=f"unnamed sensor, {count} bands",
        ratio=ratio,
        bits=bits,
        bands=tuple(f"band {band + 1}" for band in range(count)),
        centres=centres,
        widths=(step,) * count,
        pan=(450.0, 800.0),
        mtf=(0.3,) * count,
        pan_mtf=0.15,
        rgb=nearest_bands(centres, (660.0, 550.0, 480.0)),
    )
