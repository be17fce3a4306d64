"""Prepares hyperspectral cubes of users: conversion to digital numbers, and a simulated PAN image where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from waldbench.datasets.base import DatasetError
from waldbench.datasets.cube_statistics import Values, detect_values
from waldbench.datasets.raster import Array
from waldbench.datasets.user_files import UserImages
from waldbench.imaging import Sensor

# PAN's spectral range ends where its response falls below this share of the maximum.
HALF = 0.5


def to_digital_numbers(given: UserImages) -> tuple[UserImages, Values, list[str]]:
    """Return cube and PAN in digital numbers, the range of the cube's values before, and warnings that say what was done."""
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


def simulate_pan(cube: Tensor, sensor: Sensor, response: Array | None) -> tuple[Tensor, Sensor, str]:
    """PAN as a weighted mean of the bands of a cube (1, C, H, W).

    Args:
        cube: the image in digital numbers.
        sensor: sensor of the cube, whose centres and widths give the weights of the bands.
        response: rows of wavelength in nm and PAN response; None: equal response over the PAN range of the sensor.

    Returns:
        PAN (1, 1, H, W), the sensor with PAN's range, and a warning that says how it was made.

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


def read_response(path: Path) -> Array:
    """Read a table of spectral responses (rows, columns >= 2): wavelength in nm in the first column, PAN in the second.

    Args:
        path: a file .mat, .csv, .txt or .npy.

    Raises:
        DatasetError: if there is no such table.
    """
    from waldbench.datasets.formats.matlab import read_mat

    try:
        if path.suffix.lower() == ".mat":
            table = next((value for value in read_mat(path).values() if _is_table(value)), None)
        elif path.suffix.lower() == ".npy":
            table = np.load(path, allow_pickle=False)
        else:
            text = path.read_text(encoding="utf-8").replace(",", " ").replace(";", " ").splitlines()
            table = np.array([list(map(float, line.split())) for line in text if line[:1].isdigit()])
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as a table of spectral responses ({error})") from error
    if not _is_table(table):
        raise DatasetError(
            f"{path}: expected rows of nm (rising) and PAN response, in .mat, .csv, .txt or .npy; found no such table"
        )
    return np.asarray(table, dtype=np.float64)


def _is_table(value: Any) -> bool:
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in "uif" or min(value.shape) < 2:
        return False
    return bool((np.diff(value[:, 0].astype(float)) > 0).all())
