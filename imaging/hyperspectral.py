"""Imaging spectrometers: where their bands lie, as far as it is publicly known.

Centres are nm. Exact calibration files are not freely at hand for every instrument: `EVEN` says where the bands of a table are
spaced evenly over the published range instead. Numbers of bands count from 1, as the instruments' users do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spectrometer:
    """All bands of one instrument, before noisy and opaque ones are taken out.

    Attributes:
        title: name for the reader.
        centres: centre of every band in nm, in the instrument's numbering.
        note: where the centres come from.
    """

    title: str
    centres: tuple[float, ...]
    note: str


def evenly(first: float, last: float, count: int) -> tuple[float, ...]:
    """`count` centres from `first` to `last` nm."""
    step = (last - first) / max(count - 1, 1)
    return tuple(first + step * band for band in range(count))


def numbers(*ranges: tuple[int, int]) -> tuple[int, ...]:
    """Band numbers of ranges, both ends included."""
    return tuple(number for first, last in ranges for number in range(first, last + 1))


EVEN = "evenly spaced over the published range (inferred)"

# Hyperion: USGS, EO-1 user guide: bands 1-70 (visible and near infrared) and 71-242 (shortwave infrared) on two focal planes.
_HYPERION = (*evenly(355.59, 1057.68, 70), *evenly(851.92, 2577.08, 172))

SPECTROMETERS = {
    "hyperion": Spectrometer("EO-1 Hyperion", _HYPERION, "two evenly spaced focal planes, USGS user guide"),
    "hydice": Spectrometer("HYDICE", evenly(400.0, 2400.0, 210), f"210 bands, 400-2400 nm, {EVEN}"),
    "rosis": Spectrometer("ROSIS-3", evenly(430.0, 860.0, 115), f"115 bands, 430-860 nm, {EVEN}"),
    "aviris": Spectrometer("AVIRIS", evenly(380.0, 2500.0, 224), f"224 bands, 380-2500 nm, {EVEN}"),
    "prisma": Spectrometer("PRISMA", evenly(400.0, 2505.0, 230), f"230 bands, 400-2505 nm, {EVEN}"),
    "samson": Spectrometer("SAMSON", evenly(401.0, 889.0, 156), f"156 bands, 401-889 nm, {EVEN}"),
}
# Parts of the names of well-known cubes, and the instrument that took them.
KNOWN_AS = {"jasper": "aviris", "cuprite": "aviris", "pines": "aviris", "salinas": "aviris", "urban": "hydice", "wdc": "hydice"}
KNOWN_AS |= {"dc": "hydice", "pavia": "rosis", "paviau": "rosis", "botswana": "hyperion"}

# Botswana: University of the Basque Country, list of hyperspectral scenes: bands 10-55, 82-97, 102-119, 134-164, 187-220.
BOTSWANA = numbers((10, 55), (82, 97), (102, 119), (134, 164), (187, 220))
# Washington DC Mall: Purdue, MultiSpec: 191 of 210 bands, opaque ones left out. Which 19 is inferred: the water-vapour bands.
WDC = tuple(n for n, nm in enumerate(SPECTROMETERS["hydice"].centres, 1) if not (1340 < nm < 1437 or 1818 < nm < 1904))
# Pavia: 13 noisy bands left out; which ones is not published with the data: the ends, inferred.
PAVIA = numbers((8, 109))
# FR1: 69 PRISMA bands; which ones is not published with the data: every third outside the water-vapour bands, inferred.
_OPEN = tuple(
    n for n, nm in enumerate(SPECTROMETERS["prisma"].centres, 1) if not (1335 < nm < 1475 or 1775 < nm < 2000 or nm > 2400)
)
FR1 = tuple(_OPEN[round(band * (len(_OPEN) - 1) / 68)] for band in range(69))


def selected(key: str, kept: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Centres and widths (the distance of neighbours) in nm of the bands `kept`, numbers from 1, of a spectrometer.

    Raises:
        KeyError: for an unknown instrument.
        IndexError: for a number that it does not have.
    """
    centres = SPECTROMETERS[key].centres
    if min(kept) < 1 or max(kept) > len(centres):
        raise IndexError(f"{SPECTROMETERS[key].title} has bands 1 to {len(centres)}, got {min(kept)} to {max(kept)}")
    step = [abs(centres[min(n, len(centres) - 1)] - centres[min(n, len(centres) - 1) - 1]) for n in kept]
    return tuple(centres[n - 1] for n in kept), tuple(step)
