"""Reads the images of a user's scene: one file of a whole scene, or one file an image, in any of the file formats.

Files are never written to. Arrays may have their bands first or last; the size of the guide decides which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from waldbench.datasets import formats
from waldbench.datasets.array_layout import MULTISPECTRAL, bands_first_alone, to_tensors
from waldbench.datasets.base import DatasetError, DatasetNotFoundError
from waldbench.datasets.cube_variables import from_variables
from waldbench.datasets.raster import Array, Raster

ROLES = ("ms", "pan", "gt")
FACTS = ("sensor", "ratio", "l", "rgb_indexes")


@dataclass(frozen=True)
class UserImages:
    """Images of one scene, float32, bands first.

    Attributes:
        name: stem of the files.
        files: the files, for the fingerprint.
        images: "ms" and "pan" at full resolution, or "ms", "pan" and "gt"; also "ms_lr" and "pan_lr" where a file has them;
            (1, C, H, W) each. A hyperspectral image without PAN is the one image "cube".
        facts: what a file contains beside the images: sensor, ratio, l (bits), rgb_indexes; of cubes wavelengths and widths (nm),
            numbers (of the bands that were kept), variable.
        notices: warnings that a user must see.
    """

    name: str
    files: tuple[Path, ...]
    images: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def main(self) -> Tensor:
        """The image to be sharpened, or the cube."""
        return self.images["ms" if "ms" in self.images else "cube"]

    @property
    def is_cube(self) -> bool:
        """Whether it is hyperspectral: more than 16 bands."""
        return self.main.shape[1] > MULTISPECTRAL


def read_user_images(path: str) -> UserImages:
    """Read FILE.mat, a folder with ms and pan, a prefix of PREFIX_ms and PREFIX_pan, MS,PAN[,GT], or a hyperspectral cube.

    Raises:
        DatasetError: if no such files are found, a file is broken, or an image has NaN or infinite values.
    """
    place = Path(path).expanduser()
    if formats.holds_scene(place):
        return _from_variables(place)
    named = {"cube": place} if is_lone(place) else named_files(path)
    rasters = {role: formats.read_image(file) for role, file in named.items()}
    arrays = {role: _lone_cube(raster, place) if role == "cube" else raster.image for role, raster in rasters.items()}
    main = rasters.get("ms") or rasters["cube"]
    images = to_tensors(arrays, {role: str(file) for role, file in named.items()})
    stem = named.get("ms", place)
    name = re.sub(r"[_-]?ms$", "", stem.stem, flags=re.IGNORECASE) or stem.resolve().parent.name
    files = tuple(file for raster in rasters.values() for file in raster.files)
    return UserImages(name, files, images, main.facts, main.notices)


def is_lone(place: Path) -> bool:
    """Whether a path names one image that is no part of a pair."""
    known = formats.find(place)
    if known is None or not known.paired:
        return known is not None
    if not place.is_file():
        return False
    prefix = re.sub(r"_(ms|pan|gt)$", "", place.stem, flags=re.IGNORECASE)
    return not {"ms", "pan"} <= set(_of_prefix(place.parent, f"{prefix}_"))


def _lone_cube(raster: Raster, place: Path) -> Array:
    array = raster.image
    if raster.band_axis is not None:
        return np.moveaxis(array, raster.band_axis, 0)
    # The pages of a TIFF are its bands; for all other arrays the sides decide.
    first = 0 if array.ndim == 3 and place.suffix.lower() != ".npy" and array.shape[0] < min(array.shape[1:]) else None
    if array.ndim == 3 and len(cube := bands_first_alone(array, first)) > MULTISPECTRAL:
        return cube
    raise DatasetNotFoundError(
        f"scene: {place} of shape {array.shape} stands alone and is no hyperspectral cube of more than {MULTISPECTRAL} bands; "
        f"expected a PAN image beside it: {place.stem}_ms{place.suffix} and {place.stem}_pan{place.suffix}, or MS,PAN"
    )


def named_files(path: str) -> dict[str, Path]:
    """Files by role ("ms", "pan" and perhaps "gt") of a folder, a prefix or MS,PAN[,GT]. Raises DatasetNotFoundError."""
    place = Path(path).expanduser()
    if "," in path and not place.exists():
        parts = [Path(part.strip()).expanduser() for part in path.split(",")]
        if len(parts) not in {2, 3}:
            raise DatasetNotFoundError(f"scene: expected MS,PAN or MS,PAN,GT, got {len(parts)} paths")
        missing = [str(part) for part in parts if not part.is_file()]
        if missing:
            raise DatasetNotFoundError(f"scene: no such file: {', '.join(missing)}")
        return dict(zip(ROLES, parts, strict=False))
    if place.is_dir():
        return _files_of_folder(place)
    prefix = re.sub(r"_(ms|pan|gt)$", "", place.stem, flags=re.IGNORECASE) if place.is_file() else place.name
    if not place.parent.is_dir():
        raise DatasetNotFoundError(f"scene: no such folder: {place.parent}")
    found = _of_prefix(place.parent, f"{prefix}_")
    if {"ms", "pan"} <= set(found):
        return found
    near = [name for name in _prefixes(place.parent) if name.startswith(prefix)] or _prefixes(place.parent)
    raise DatasetNotFoundError(
        f"scene: neither a file, a folder nor a prefix of {place}_ms.tif and {place}_pan.tif"
        + (f"; prefixes there: {', '.join(near[:8])}" if near else "")
        + ". Expected FILE.mat, FOLDER, PREFIX or MS.tif,PAN.tif[,GT.tif]"
    )


def _files_of_folder(folder: Path) -> dict[str, Path]:
    found = _of_prefix(folder, "")
    if {"ms", "pan"} <= set(found):
        return found
    names = _prefixes(folder)
    if len(names) == 1:
        return _of_prefix(folder, f"{names[0]}_")
    mats = sorted(folder.glob("*.mat"))
    listed = f"; scenes there: {', '.join([*names, *(mat.name for mat in mats)][:12])}" if names or mats else ""
    raise DatasetNotFoundError(
        f"scene: {folder} holds {len(names) or 'no'} pairs NAME_ms.tif, NAME_pan.tif and no ms.tif, pan.tif; "
        f"expected one pair: name it, scene:{folder}/NAME{listed}"
    )


def _of_prefix(folder: Path, prefix: str) -> dict[str, Path]:
    endings = formats.paired_suffixes()
    files = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.suffix.lower() in endings}
    found = {role: [files[n] for e in endings if (n := f"{prefix}{role}{e}".lower()) in files] for role in ROLES}
    return {role: paths[0] for role, paths in found.items() if paths}


def _prefixes(folder: Path) -> list[str]:
    endings = formats.paired_suffixes()
    names = {path.stem[:-3] for path in folder.iterdir() if path.suffix.lower() in endings and path.stem.lower().endswith("_ms")}
    return sorted(name for name in names if {"ms", "pan"} <= set(_of_prefix(folder, f"{name}_")))


def _from_variables(path: Path) -> UserImages:
    read = formats.read_scene(path)
    content = {re.sub(r"^i_", "", name.lower()): value for name, value in read.values.items()}
    names = {"ms": "ms", "pan": "pan", "gt": "gt", "ms_lr": "ms_lr", "pan_lr": "pan_lr"}
    if "ms_lr" in content and ("gt" in content or "pan_lr" not in content):
        # In files of the MATLAB toolboxes I_MS is the interpolated image and I_MS_LR the low-resolution one.
        names = {"ms": "ms_lr", "pan": "pan", "gt": "gt"}
    facts: dict[str, Any] = {name: content[name] for name in FACTS if name in content}
    arrays = {role: content[name] for role, name in names.items() if name in content}
    cube = from_variables(content)
    if not {"ms", "pan"} <= set(arrays):
        if cube is None:
            raise DatasetError(
                f"{path}: expected variables I_MS and I_PAN (optionally I_GT, or I_MS_LR and I_PAN_LR), or a hyperspectral "
                f"cube of more than {MULTISPECTRAL} bands; found {sorted(content)}"
            )
        arrays = cube[0]
    labels = {role: f"{path} I_{role.upper()}" for role in arrays}
    return UserImages(path.stem, read.files, to_tensors(arrays, labels), facts | (cube[1] if cube else {}))
