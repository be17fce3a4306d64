"""Reads the images of a user's scene whole: one file of a whole scene, or one file an image, in any of the file formats.

Files are never written to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from waldbench.datasets.array_layout import MULTISPECTRAL
from waldbench.datasets.filling import agreed, fill
from waldbench.datasets.placement import VISIBLE, Placement, blocks, place
from waldbench.datasets.raster import Array
from waldbench.datasets.scene_files import Asked
from waldbench.datasets.scene_rasters import Opened, open_rasters

# Low-resolution pixels up to which the nearest valid pixel stands for one without data: the reach of the widest filters.
REACH = 8
Window = tuple[slice, slice]


@dataclass(frozen=True)
class UserImages:
    """Images of one scene, float32, bands first, without gaps.

    Attributes:
        name: stem of the files.
        files: the files, for the fingerprint.
        images: "ms" and "pan" at full resolution, or "ms", "pan" and "gt"; also "ms_lr" and "pan_lr" where a file has them;
            (1, C, H, W) each. A hyperspectral image without PAN is the one image "cube".
        facts: what a file contains beside the images: sensor, ratio, l (bits), rgb_indexes; of cubes wavelengths and widths (nm),
            numbers (of the bands that were kept), variable.
        notices: warnings that a user must see.
        valid: which pixels of PAN (or the cube) have data in all images, (1, 1, H, W); None: all.
    """

    name: str
    files: tuple[Path, ...]
    images: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    valid: Tensor | None = None

    @property
    def main(self) -> Tensor:
        """The image to be sharpened, or the cube."""
        return self.images["ms" if "ms" in self.images else "cube"]

    @property
    def is_cube(self) -> bool:
        """Whether it is hyperspectral: more than 16 bands."""
        return self.main.shape[1] > MULTISPECTRAL


def read_user_images(path: str, asked: Asked | None = None) -> UserImages:
    """Read a scene; `scene_rasters.open_rasters` says what is one.

    Georeferenced images are cut to the blocks of whole PAN pixels that both show.

    Raises:
        DatasetError: if no such files are found, a file is broken, or values or shapes are not those of a scene.
    """
    opened = open_rasters(path, asked)
    windows, lines = _windows(opened)
    arrays, masks = {}, {}
    for role, raster in opened.rasters.items():
        rows, columns = windows.get(role, (slice(0, raster.image.shape[1]), slice(0, raster.image.shape[2])))
        arrays[role], masks[role] = raster.window(rows, columns)
    valid = _fill(opened, arrays, masks)
    tensors = {role: torch.from_numpy(np.ascontiguousarray(array, np.float32))[None] for role, array in arrays.items()}
    known = None if valid is None else torch.from_numpy(valid)[None, None]
    return UserImages(opened.name, opened.files, tensors, opened.facts, (*opened.notices, *lines), known)


def _windows(opened: Opened) -> tuple[dict[str, Window], list[str]]:
    """What is to be read of georeferenced images, and lines that say so."""
    rasters, label = opened.rasters, str(opened.files[0])
    if "gt" in rasters or "ms" not in rasters or rasters["ms"].grid is None or rasters["pan"].grid is None:
        return {}, []
    low, high = rasters["ms"].image.shape[1:], rasters["pan"].image.shape[1:]
    placed: Placement = place(rasters["ms"], rasters["pan"], label)
    if not placed.georeferenced:
        return {}, [placed.notice]
    found = blocks(placed, low, high, label)
    r = placed.ratio
    ms = tuple(slice(one.low, one.low + one.count) for one in found)
    pan = tuple(slice(one.high, one.high + one.count * r) for one in found)
    lines = []
    kept = tuple(one.count for one in found)
    if kept != low or tuple(r * n for n in kept) != high:
        large = tuple(r * n for n in kept)
        lines.append(f"cut to the common area by the geotransforms: MS {low} -> {kept}, PAN {high} -> {large}")
    rest = tuple(round(one.rest, 2) for one in found)
    if max(map(abs, rest)) > VISIBLE:
        lines.append(f"MS lies {rest} PAN pixels (down, right) off whole PAN pixels; only `sharpen` resamples")
    return {"ms": (ms[0], ms[1]), "pan": (pan[0], pan[1])}, lines


def _fill(opened: Opened, arrays: dict[str, Array], masks: dict[str, Array | None]) -> Array | None:
    """Fill pixels without data in place; returns which pixels of PAN or the cube have data, None for all."""
    if all(mask is None for mask in masks.values()):
        return None
    joint = {"cube": masks["cube"]} if "cube" in arrays else _joint(arrays, masks)
    guide = arrays["pan" if "pan" in arrays else "cube"].shape[1:]
    for role, mask in joint.items():
        if mask is not None:
            reach = REACH * (max(1, round(guide[1] / arrays["ms"].shape[2])) if role != "ms" and "ms" in arrays else 1)
            arrays[role] = fill(arrays[role], mask, opened.surveys[role].mean, reach)
    return joint["pan" if "pan" in joint else "cube"]


def _joint(arrays: dict[str, Array], masks: dict[str, Array | None]) -> dict[str, Array | None]:
    (h, w), (height, width) = arrays["ms"].shape[1:], arrays["pan"].shape[1:]
    ratio = max(1, round(width / w))
    of_rows, of_columns = (np.minimum(np.arange(large) // ratio, small - 1) for large, small in ((height, h), (width, w)))
    pan = masks["pan"]
    if "gt" in masks and masks["gt"] is not None and masks["gt"].shape == (height, width):
        pan = masks["gt"] if pan is None else pan & masks["gt"]
    low, high = agreed(masks["ms"], pan, of_rows, of_columns, (h, w))
    joint: dict[str, Array | None] = {"ms": low, "pan": high}
    for role in ("gt", "ms_lr", "pan_lr"):
        if role in masks:
            joint[role] = high if role == "gt" and arrays["gt"].shape[1:] == high.shape else masks[role]
    return joint
