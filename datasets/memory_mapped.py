"""Opens a user's scene with its pixels on disk, for scenes larger than the memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from waldbench.datasets.base import DatasetError
from waldbench.datasets.cube_statistics import detect_values
from waldbench.datasets.placement import Placement, place
from waldbench.datasets.raster import Raster
from waldbench.datasets.scene_files import Asked
from waldbench.datasets.scene_rasters import Opened, open_rasters
from waldbench.datasets.scene_sensor import resolve
from waldbench.datasets.survey import Survey
from waldbench.datasets.user_files import UserImages
from waldbench.imaging import Sensor


@dataclass(frozen=True)
class MappedScene:
    """A scene of MS and PAN, whole, and how MS lies on PAN.

    Attributes:
        name: stem of the files.
        ms: low-resolution image (C, h, w).
        pan: panchromatic image (1, H, W).
        surveys: what was seen of the values of "ms" and "pan".
        placed: how MS lies on PAN and which window of PAN both show.
        sensor: the sensor, as given by the user or found.
        factor: what values are multiplied by to become digital numbers.
        files: the files of MS and PAN.
        notices: warnings that a user must see.
    """

    name: str
    ms: Raster
    pan: Raster
    surveys: dict[str, Survey]
    placed: Placement
    sensor: Sensor
    factor: float
    files: tuple[Path, ...]
    notices: list[str]


def open_mapped(path: str, sensor: str | None = None, asked: Asked | None = None, ratio: int | None = None) -> MappedScene:
    """Open a scene as `scene_rasters.open_rasters` does, with the pixels on disk where the format allows it.

    Args:
        path: the scene as it is given after `scene:`.
        sensor: key of the sensor; None: as the file says, else guessed from the name, else generic.
        asked: what the user says beside the path.
        ratio: resolution ratio; None: from the geotransforms, or the sizes.

    Raises:
        DatasetError: if no such files are found, a file is broken, or the images do not fit each other.
        UnknownNameError: for an unknown sensor.
    """
    opened = open_rasters(path, asked, mapped=True)
    if not {"ms", "pan"} <= set(opened.rasters):
        raise DatasetError(
            f"{path}: expected an image of low resolution and PAN (I_MS and I_PAN, or MS,PAN) to be fused, found one image; "
            f"`run_bench.py --dataset scene:{path}` degrades it and scores what methods make of that"
        )
    ms, pan = opened.rasters["ms"], opened.rasters["pan"]
    placed = place(ms, pan, str(opened.files[0]), ratio)
    factor, values, lines = 1.0, None, []
    if opened.is_cube:
        values = detect_values(float(opened.surveys["ms"].highest.max()))
        factor, lines = values.factor, [values.describe()]
    chosen, found = resolve(_extremes(opened, factor), sensor, placed.ratio, values)
    notices = [*opened.notices, *lines, *found, *_cut(placed, ms, pan), *filter(None, [placed.notice])]
    return MappedScene(opened.name, ms, pan, opened.surveys, placed, chosen, factor, opened.files, notices)


def _extremes(opened: Opened, factor: float) -> UserImages:
    """The highest values of the images in place of the images: all that finding the sensor needs."""
    maxima = {role: factor * torch.from_numpy(opened.surveys[role].highest).view(1, -1, 1, 1) for role in ("ms", "pan")}
    return UserImages(opened.name, opened.files, maxima, opened.facts)


def _cut(placed: Placement, ms: Raster, pan: Raster) -> list[str]:
    high = pan.image.shape[1:]
    if (placed.height, placed.width) == high:
        return []
    how = "by the geotransforms" if placed.georeferenced else "from the top left"
    window = f"{placed.height}x{placed.width} PAN pixels from row {placed.top}, column {placed.left}"
    return [f"cut to the common area {how}: {window}; MS {ms.image.shape[1:]}, PAN {high}"]
