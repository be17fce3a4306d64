"""Finds the sensor of a user's scene: from the option, else from the file, else from its name, else from the number of bands.

The wavelengths of a hyperspectral cube come from the file, else from the instrument that the user or the file's name says, else
they are assumed.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from waldbench.catalogue import UnknownNameError
from waldbench.datasets.base import DatasetError
from waldbench.datasets.cube_statistics import Values
from waldbench.datasets.user_files import UserImages
from waldbench.imaging import Sensor, sensors
from waldbench.imaging.hyperspectral import KNOWN_AS, SPECTROMETERS, evenly, selected
from waldbench.imaging.sensors import TABLE, hyperspectral_sensor

# Spectral range of PAN in nm by a word in the file's name (ALI flew beside Hyperion), and where nothing is known.
PANS = {"ali": (480.0, 690.0), "prisma": (400.0, 700.0)}
VISIBLE = (400.0, 700.0)
Bands = tuple[tuple[float, ...], tuple[float, ...]]


def resolve(given: UserImages, asked: str | Sensor | None, ratio: int, values: Values | None = None) -> tuple[Sensor, list[str]]:
    """The sensor of a scene, and warnings that say how it was found.

    Args:
        given: images of the scene and what its files say.
        asked: the sensor, its key, or the key of a spectrometer; None: not given by the user.
        ratio: resolution ratio of the images.
        values: range of the values of a hyperspectral cube, whose sensor has their scale; None for other images.

    Raises:
        UnknownNameError: if `asked` is neither a sensor nor, for a cube, a spectrometer.
        DatasetError: if the sensor asked for, or named in the file, has another number of bands.
    """
    return _multispectral(given, asked, ratio) if values is None else _cube(given, asked, ratio, values)


def _multispectral(given: UserImages, asked: str | Sensor | None, ratio: int) -> tuple[Sensor, list[str]]:
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
    for token in _words(given.name):
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


def _cube(given: UserImages, asked: str | Sensor | None, ratio: int, values: Values) -> tuple[Sensor, list[str]]:
    bands = given.main.shape[1]
    sensor, lines = _asked_of_cube(asked, bands), []
    if sensor is None:
        (centres, widths), line = _wavelengths(given, asked if isinstance(asked, str) else None, bands)
        words = _words(given.name)
        pan = next((PANS[word] for word in words if word in PANS), VISIBLE)
        sensor = hyperspectral_sensor("", f"cube of {bands} bands", centres, widths, pan=pan)
        # Figures know only the key of the sensor, so it contains the numbers of the bands to be shown, counted from 1.
        sensor = replace(sensor, key="-".join([f"cube{bands}", *(str(band + 1) for band in sensor.rgb)]))
        lines.append(line)
    return values.apply(sensor).with_ratio(ratio), lines


def _asked_of_cube(asked: str | Sensor | None, bands: int) -> Sensor | None:
    if asked is None or (isinstance(asked, str) and asked.lower() in SPECTROMETERS and asked.lower() not in TABLE):
        return None
    sensor = sensors.get(asked) if isinstance(asked, str) else asked
    if sensor.count != bands:
        fitting = [key for key in sensors.names() if sensors.get(key).count == bands]
        raise DatasetError(
            f"the cube has {bands} bands, but --sensor says {sensor.title} with {sensor.count}; sensors of {bands} bands: "
            f"{', '.join(fitting) or 'none'}; instruments, for any selection of their bands: {', '.join(SPECTROMETERS)}"
        )
    return sensor


def _words(name: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", name.lower())


def _wavelengths(given: UserImages, asked: str | None, bands: int) -> tuple[Bands, str]:
    if "wavelengths" in given.facts:
        centres = _to_nm(given.facts["wavelengths"])
        widths = given.facts.get("widths") or tuple(np.abs(np.gradient(np.array(centres))).tolist())
        return (centres, tuple(widths)), f"wavelengths from the file, {min(centres):.0f}-{max(centres):.0f} nm"
    key = asked.lower() if asked else next((_instrument(word) for word in _words(given.name) if _instrument(word)), "")
    if not key:
        last = 2500.0 if bands > 100 else 1000.0
        line = (
            f"wavelengths unknown: assumed evenly spaced over 400-{last:.0f} nm; say the instrument with --sensor "
            f"({', '.join(SPECTROMETERS)})"
        )
        return _even(400.0, last, bands), line
    instrument, numbers = SPECTROMETERS[key], given.facts.get("numbers")
    said = "--sensor" if asked else f"the name '{given.name}'"
    if numbers and min(numbers) >= 1 and max(numbers) <= len(instrument.centres):
        line = f"wavelengths of {instrument.title} ({said}), bands by their numbers in the file; {instrument.note}"
        return selected(key, [int(number) for number in numbers]), line
    if bands == len(instrument.centres):
        return selected(key, range(1, bands + 1)), f"wavelengths of {instrument.title} ({said}); {instrument.note}"
    line = (
        f"{bands} of {len(instrument.centres)} bands of {instrument.title} ({said}), which ones is not said: assumed evenly "
        "spaced over its range"
    )
    return _even(min(instrument.centres), max(instrument.centres), bands), line


def _instrument(word: str) -> str:
    return word if word in SPECTROMETERS else KNOWN_AS.get(word, "")


def _even(first: float, last: float, bands: int) -> Bands:
    return evenly(first, last, bands), ((last - first) / max(bands - 1, 1),) * bands


def _to_nm(values: tuple[float, ...]) -> tuple[float, ...]:
    # No optical wavelength is below 100 nm: smaller numbers are micrometres.
    return tuple(1000.0 * value for value in values) if max(values) < 100 else tuple(values)
