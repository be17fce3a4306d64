"""Opens a user's scene as memory-mapped arrays, for scenes larger than the memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from waldbench.datasets import formats
from waldbench.datasets.array_layout import bands_first, plane
from waldbench.datasets.base import DatasetError
from waldbench.datasets.raster import Array
from waldbench.datasets.scene_sensor import resolve
from waldbench.datasets.user_files import UserImages, is_lone, named_files, read_user_images
from waldbench.imaging import Sensor

# Rows of an image that are read at a time.
ROWS = 256


@dataclass(frozen=True)
class MappedScene:
    """A scene of which MS and PAN are cut to their common area from the top left.

    Attributes:
        ms: low-resolution image (C, h, w).
        pan: panchromatic image (1, H, W).
        sensor: the sensor, as given by the user or found.
        files: the files of MS and PAN.
        notices: warnings that a user must see.
    """

    ms: Array
    pan: Array
    sensor: Sensor
    files: tuple[Path, ...]
    notices: list[str]


def open_mapped(path: str, sensor: str | None = None) -> MappedScene:
    """Open a scene: FILE.mat, a folder with ms and pan, a prefix of PREFIX_ms and PREFIX_pan, or MS,PAN.

    Uncompressed TIFF and NumPy files stay on disk; others are read whole.

    Args:
        path: the scene as it is given after `scene:`.
        sensor: key of the sensor; None: as the file says, else guessed from the name, else generic.

    Raises:
        DatasetError: if no such files are found, a file is broken, or the images do not fit each other.
        UnknownNameError: for an unknown sensor.
    """
    if formats.holds_scene(Path(path)):
        given = read_user_images(path)
        arrays = {role: image[0].numpy() for role, image in given.images.items()}
        name, files, facts = given.name, given.files, given.facts
    elif is_lone(Path(path).expanduser()):
        raise DatasetError(_lonely(path))
    else:
        found = named_files(path)
        pan = plane(formats.read_image(found["pan"], mapped=True).image, str(found["pan"]))
        ms = bands_first(formats.read_image(found["ms"], mapped=True).image, pan.shape, str(found["ms"]))
        arrays = {"ms": ms, "pan": pan[None]}
        name, files, facts = found["ms"].stem, (found["ms"], found["pan"]), {}
    if not {"ms", "pan"} <= set(arrays):
        raise DatasetError(_lonely(path))
    ms, pan, ratio = _common(arrays["ms"], arrays["pan"], str(files[0]))
    maxima = {role: torch.from_numpy(_maxima(image)).view(1, -1, 1, 1) for role, image in (("ms", ms), ("pan", pan))}
    chosen, notices = resolve(UserImages(name, files, maxima, facts), sensor, ratio)
    if ms.shape != arrays["ms"].shape or pan.shape != arrays["pan"].shape:
        notices.append(f"cut to the common area from the top left: MS {ms.shape[1:]}, PAN {pan.shape[1:]}")
    return MappedScene(ms, pan, chosen, files, notices)


def _lonely(path: str) -> str:
    return (
        f"{path}: expected an image of low resolution and PAN (I_MS and I_PAN, or MS,PAN) to be fused, found one image; "
        f"`run_bench.py --dataset scene:{path}` degrades it and scores what methods make of that"
    )


def _common(ms: Array, pan: Array, label: str) -> tuple[Array, Array, int]:
    ratio = round(pan.shape[-1] / ms.shape[-1])
    if ratio < 2:
        raise DatasetError(f"{label}: expected PAN sides at least twice those of MS, got {ms.shape[1:]} and {pan.shape[1:]}")
    height, width = (min(ms.shape[axis], pan.shape[axis] // ratio) for axis in (1, 2))
    return ms[:, :height, :width], pan[:, : height * ratio, : width * ratio], ratio


def _maxima(image: Array) -> Array:
    """Largest value of every band, float32."""
    if image.dtype.kind not in "uif":
        raise DatasetError(f"expected real numbers, found {image.dtype}")
    parts = [image[:, top : top + ROWS].max((1, 2)) for top in range(0, image.shape[1], ROWS)]
    highest: Array = np.max(parts, 0).astype(np.float32)
    if not np.isfinite(highest).all():
        raise DatasetError("the scene has NaN or infinite values; fill or cut them before fusion")
    return highest
