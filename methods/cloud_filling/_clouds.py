"""Where the clouds are: the band-ratio cloud score of Schmitt, Hughes, Qiu, Zhu (ISPRS Annals IV-2/W7, 2019)."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.filters import box
from waldbench.imaging.statistics import divide
from waldbench.methods.base import nothing_to_fill

# Centres in nm and how far a sensor's band may lie from them.
BANDS = {
    "coastal": (443.0, 20.0),
    "blue": (490.0, 30.0),
    "green": (560.0, 30.0),
    "red": (665.0, 30.0),
    "nir": (842.0, 40.0),
    "cirrus": (1375.0, 30.0),
    "swir": (1610.0, 60.0),
}
# Limits in reflectance, or of an index, between which each term of the score rises from 0 to 1.
BLUE, COASTAL, COASTAL_CIRRUS, VISIBLE = (0.1, 0.5), (0.1, 0.3), (0.15, 0.2), (0.2, 0.8)
MOISTURE, SNOW = (-0.1, 0.1), (0.8, 0.6)
SMOOTHING = 7
# A score above this is cloud (as in DSen2-CR); fewer clear pixels than this share say nothing of the image.
THRESHOLD, FEWEST = 0.2, 0.01


def unfit(key: str, sensor: Sensor) -> str | None:
    """None if a sensor's images are clouded and it has blue, green and red bands, else what is missing."""
    lacking = [name for name in ("blue", "green", "red") if _find(sensor, name) is None]
    if lacking:
        return f"{key}: clouds are found by their brightness: {sensor.title} has no {', '.join(lacking)} band"
    return nothing_to_fill(key, sensor)


def clear_pixels(image: Tensor, sensor: Sensor) -> Tensor:
    """1 where image (B, C, H, W), in digital numbers, is clear, 0 where it is cloudy: (B, 1, H, W).

    The score is the smallest of its terms, smoothed; terms whose bands the sensor lacks are left out. Shadows count as clear.
    Of an image without clear pixels all are called clear: nothing could fill it.
    """
    clear = (box(_score(image / sensor.scale, sensor), SMOOTHING) <= THRESHOLD).to(image.dtype)
    share = clear.mean((1, 2, 3), keepdim=True)
    return torch.where(share < FEWEST, torch.ones_like(clear), clear)


def _score(image: Tensor, sensor: Sensor) -> Tensor:
    places = {name: _find(sensor, name) for name in BANDS}
    found = {name: image[:, place : place + 1] for name, place in places.items() if place is not None}
    blue, green, red = (found[name] for name in ("blue", "green", "red"))
    terms = [_rise(blue, BLUE), _rise(blue + green + red, VISIBLE)]
    if "coastal" in found:
        terms.append(_rise(found["coastal"], COASTAL))
    if found.keys() >= {"coastal", "cirrus"}:
        terms.append(_rise(found["coastal"] + found["cirrus"], COASTAL_CIRRUS))
    if found.keys() >= {"nir", "swir"}:
        terms.append(_rise(_index(found["nir"], found["swir"]), MOISTURE))
    if "swir" in found:
        terms.append(_rise(_index(green, found["swir"]), SNOW))
    return reduce(torch.minimum, terms)


def _rise(x: Tensor, limits: tuple[float, float]) -> Tensor:
    low, high = limits
    return ((x - low) / (high - low)).clamp(0, 1)


def _index(x: Tensor, y: Tensor) -> Tensor:
    return divide(x - y, x + y)


def _find(sensor: Sensor, name: str) -> int | None:
    centre, reach = BANDS[name]
    nearest = min(range(sensor.count), key=lambda band: abs(sensor.centres[band] - centre))
    return nearest if abs(sensor.centres[nearest] - centre) <= reach else None
