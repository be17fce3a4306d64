"""Which spectrometer took a user's cube, and a PAN image made of its bands where there is none.

Wavelengths come from the file, else from the instrument that the user or the file's name says, else they are assumed.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from waldbench.datasets.array_layout import Array
from waldbench.datasets.base import DatasetError
from waldbench.datasets.cube_statistics import Values, detect_values
from waldbench.datasets.user_files import UserImages
from waldbench.imaging import Sensor, sensors
from waldbench.imaging.hyperspectral import KNOWN_AS, SPECTROMETERS, evenly, selected
from waldbench.imaging.sensors import TABLE, hyperspectral_sensor

# Spectral range of PAN in nm by a word in the file's name (ALI flew beside Hyperion), and where nothing is known.
PANS = {"ali": (480.0, 690.0), "prisma": (400.0, 700.0)}
VISIBLE = (400.0, 700.0)
# Share of the highest response at which PAN's range ends.
HALF = 0.5


def to_digital_numbers(given: UserImages) -> tuple[UserImages, Values, list[str]]:
    """Cube and PAN in digital numbers, the range that the cube's values had, and lines that say what was done."""
    main = given.main
    values = detect_values(float(main.max()))
    lines = [values.describe()]
    images = {role: image * values.factor if values.factor != 1 else image for role, image in given.images.items()}
    for role in ("pan", "pan_lr"):
        if role in images and detect_values(float(given.images[role].max())).factor != values.factor:
            images[role] = given.images[role]
            lines.append(f"{role} has another range of values (up to {float(images[role].max()):.4g}); kept as it is")
    flat = int((main.amax((0, 2, 3)) == main.amin((0, 2, 3))).sum())
    if flat:
        lines.append(
            f"{flat} of {main.shape[1]} bands are flat (no signal): leave them out, or indices relative to their means explode"
        )
    return replace(given, images=images), values, lines


def resolve_cube(given: UserImages, asked: str | Sensor | None, ratio: int, values: Values) -> tuple[Sensor, list[str]]:
    """The sensor of a cube at this ratio, with the scale of its values, and lines that say how it was found.

    Raises:
        UnknownNameError: if `asked` is neither a sensor nor a spectrometer.
        DatasetError: if the sensor asked for has another number of bands.
    """
    bands = given.main.shape[1]
    sensor, lines = _asked(asked, bands), []
    if sensor is None:
        (centres, widths), line = _wavelengths(given, asked if isinstance(asked, str) else None, bands)
        words = _words(given.name)
        pan = next((PANS[word] for word in words if word in PANS), VISIBLE)
        sensor = hyperspectral_sensor("", f"cube of {bands} bands", centres, widths, pan=pan)
        # Figures are drawn from the key alone: it names the bands to be shown, counted from 1.
        sensor = replace(sensor, key="-".join([f"cube{bands}", *(str(band + 1) for band in sensor.rgb)]))
        lines.append(line)
    return values.apply(sensor).with_ratio(ratio), lines


def _asked(asked: str | Sensor | None, bands: int) -> Sensor | None:
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


Bands = tuple[tuple[float, ...], tuple[float, ...]]


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


def simulate_pan(cube: Tensor, sensor: Sensor, response: Array | None) -> tuple[Tensor, Sensor, str]:
    """PAN as a weighted mean of the bands of a cube (1, C, H, W).

    Args:
        cube: digital numbers.
        sensor: its centres and widths weight the bands.
        response: rows of nm and PAN response; None: equal response over the sensor's PAN range, else the visible.

    Returns:
        PAN (1, 1, H, W), the sensor with PAN's range, and a line that says how it was made.

    Raises:
        DatasetError: if no band lies in PAN's range.
    """
    centres, widths = np.array(sensor.centres), np.array(sensor.widths)
    if response is None:
        low, high = sensor.pan
        weights = ((centres >= low) & (centres <= high)).astype(float)
        line = f"PAN is SIMULATED: plain mean of the {int(weights.sum())} bands in {low:.0f}-{high:.0f} nm"
    else:
        nm, pan = response[:, 0], np.clip(response[:, 1], 0, None)
        weights = np.interp(centres, nm, pan, left=0, right=0) * widths
        inside = nm[pan >= HALF * pan.max()]
        low, high = float(inside.min()), float(inside.max())
        line = f"PAN is SIMULATED: mean of the bands weighted by the given response ({low:.0f}-{high:.0f} nm at half height)"
    if weights.sum() <= 0:
        raise DatasetError(
            f"no band of {sensor.title} ({centres.min():.0f}-{centres.max():.0f} nm) lies in PAN's range {low:.0f}-{high:.0f} "
            "nm; give a response that reaches them (--response FILE), or the right instrument (--sensor)"
        )
    share = torch.from_numpy(weights / weights.sum()).to(cube)
    return torch.einsum("bchw,c->bhw", cube, share)[:, None], replace(sensor, pan=(low, high)), line
