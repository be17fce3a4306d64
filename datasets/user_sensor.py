"""Which sensor took a user's scene: what the user says, else what the file says, else its name, else only the bands."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from waldbench.catalogue import UnknownNameError
from waldbench.datasets.base import DatasetError
from waldbench.datasets.user_files import UserImages
from waldbench.imaging import Sensor, sensors


def resolve(given: UserImages, asked: str | Sensor | None, ratio: int) -> tuple[Sensor, list[str]]:
    """The sensor of a scene at this ratio, and lines that say how it was found.

    Raises:
        UnknownNameError: if `asked` is no sensor.
        DatasetError: if the sensor asked for, or named in the file, has another number of bands.
    """
    bands = given.images["ms"].shape[1]
    sensor, lines = _named(given, asked, bands)
    if sensor is None:
        lines.append(
            f"sensor unknown: assuming {bands} bands of unknown wavelengths with MTF gains of 0.3 at Nyquist; "
            f"say which it is with --sensor ({', '.join(sensors.names())})"
        )
        sensor = sensors.generic(bands, ratio)
    if sensor.ratio != ratio:
        lines.append(f"ratio {ratio} from the image sizes; {sensor.title} has {sensor.ratio}")
        sensor = sensor.with_ratio(ratio)
    return _with_facts(sensor, given, lines), lines


def _named(given: UserImages, asked: str | Sensor | None, bands: int) -> tuple[Sensor | None, list[str]]:
    if asked is not None:
        return _checked(sensors.get(asked) if isinstance(asked, str) else asked, bands, "--sensor", given), []
    if "sensor" in given.facts:
        said = str(given.facts["sensor"])
        try:
            return _checked(sensors.get(said), bands, "the file", given), []
        except UnknownNameError:
            return None, [f"the file names the sensor '{said}', which is not known here"]
    for token in re.split(r"[^a-z0-9]+", given.name.lower()):
        try:
            guess = sensors.get(token)
        except UnknownNameError:
            continue
        if guess.count == bands:
            return guess, [f"sensor {guess.title} guessed from the name '{given.name}'; --sensor overrides"]
        return None, [f"the name '{given.name}' suggests {guess.title} of {guess.count} bands, but the image has {bands}"]
    return None, []


def _checked(sensor: Sensor, bands: int, who: str, given: UserImages) -> Sensor:
    if sensor.count != bands:
        fitting = [key for key in sensors.names() if sensors.get(key).count == bands]
        raise DatasetError(
            f"{given.files[0]}: the image has {bands} bands, but {who} says {sensor.title} with {sensor.count} "
            f"({', '.join(sensor.bands)}); sensors of {bands} bands: {', '.join(fitting) or 'none'}"
        )
    return sensor


def _with_facts(sensor: Sensor, given: UserImages, lines: list[str]) -> Sensor:
    """The sensor with the bit depth and the display bands of this file."""
    highest = max(float(image.max()) for image in given.images.values())
    if "l" in given.facts:
        bits = int(np.asarray(given.facts["l"]).item())
        sensor = replace(sensor, bits=bits) if 1 <= bits <= 16 else sensor
    if highest > sensor.scale:
        bits = int(highest).bit_length()
        lines.append(f"values reach {highest:g}, more than the {sensor.bits} bits of {sensor.title}; taken as {bits} bits")
        sensor = replace(sensor, bits=bits)
    shown = np.asarray(given.facts.get("rgb_indexes", ())).reshape(-1).astype(int) - 1
    if len(shown) == 3 and shown.min() >= 0 and shown.max() < sensor.count:
        red, green, blue = (int(band) for band in shown)
        sensor = replace(sensor, rgb=(red, green, blue))
    return sensor
