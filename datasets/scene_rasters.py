"""The one opener of users' scenes: `run`, `data` and `sharpen` read the same files with the same checks through it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from waldbench.datasets import formats
from waldbench.datasets.array_layout import MULTISPECTRAL, bands_first, bands_first_alone, plane
from waldbench.datasets.band_files import stack
from waldbench.datasets.base import DatasetError, DatasetNotFoundError
from waldbench.datasets.cube_variables import from_variables
from waldbench.datasets.raster import Raster
from waldbench.datasets.scene_files import Asked, Files, files_of
from waldbench.datasets.survey import Survey, survey
from waldbench.datasets.warping import aligned

FACTS = ("sensor", "ratio", "l", "rgb_indexes")


@dataclass(frozen=True)
class Opened:
    """Images of one scene, (C, H, W) each, checked.

    Attributes:
        name: stem of the files.
        files: the files, for the fingerprint.
        rasters: "ms" and "pan", perhaps "gt", or "ms_lr" and "pan_lr"; a hyperspectral image without PAN is the one "cube".
        surveys: what was seen of each image's values.
        labels: what to call each image in an error.
        facts: what a file contains beside the images.
        notices: warnings that a user must see.
    """

    name: str
    files: tuple[Path, ...]
    rasters: dict[str, Raster]
    surveys: dict[str, Survey]
    labels: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    @property
    def is_cube(self) -> bool:
        """Whether it is hyperspectral: more than 16 bands."""
        return len(self.rasters["ms" if "ms" in self.rasters else "cube"].image) > MULTISPECTRAL


def open_rasters(path: str, asked: Asked | None = None, mapped: bool = False) -> Opened:
    """Open FILE.mat, a folder, a prefix of PREFIX_ms and PREFIX_pan, MS,PAN[,GT], a hyperspectral cube, or the files asked for.

    Args:
        path: the scene as it is given after `scene:`.
        asked: what the user says beside it.
        mapped: leave pixels on disk where the format allows it.

    Raises:
        DatasetError: if no such files are found, a file is broken, or values or shapes are not those of a scene.
    """
    asked = asked or Asked()
    place = Path(path).expanduser()
    holds_all = not (asked.ms or asked.pan) and formats.holds_scene(place)
    opened = _from_variables(place, asked) if holds_all else _from_files(path, asked, mapped)
    if asked.bands:
        opened.rasters.update({role: _chosen(opened, role, asked) for role in ("ms", "gt", "cube") if role in opened.rasters})
    main = opened.rasters.get("ms") or opened.rasters["cube"]
    # Cubes are often stored as reflectance; `cube_preparation.to_digital_numbers` converts them.
    fractions = len(main.image) > MULTISPECTRAL
    for role, raster in opened.rasters.items():
        seen = survey(raster, opened.labels[role], fractions)
        opened.surveys[role] = seen
        opened.notices.extend(seen.notices(opened.labels[role]))
    return opened


def _from_files(path: str, asked: Asked, mapped: bool) -> Opened:
    named, notices = files_of(path, asked)
    read = {role: stack([formats.read_image(file, mapped) for file in files]) for role, files in named.items()}
    labels = {role: ", ".join(map(str, files)) for role, files in named.items()}
    if asked.align and "ms" in read:
        read["ms"], lines = aligned(read["ms"], read["pan"], named["ms"], mapped)
        notices += lines
    rasters = {"cube": _lone_cube(read["cube"], named["cube"][0])} if "cube" in read else _oriented(read, labels)
    notices += [notice for raster in rasters.values() for notice in raster.notices]
    files = tuple(file for raster in rasters.values() for file in raster.files)
    main = rasters.get("ms") or rasters["cube"]
    return Opened(_name(named), files, rasters, {}, labels, dict(main.facts), notices)


def _name(named: Files) -> str:
    first = named.get("ms", next(iter(named.values())))[0]
    return re.sub(r"[_-]?ms$", "", first.stem, flags=re.IGNORECASE) or first.resolve().parent.name


def _oriented(read: dict[str, Raster], labels: dict[str, str]) -> dict[str, Raster]:
    """Images as (C, H, W), the bands found by the size of PAN where the files do not say which axis they are."""
    rasters: dict[str, Raster] = {}
    for role in ("pan", "pan_lr"):
        if role in read:
            rasters[role] = _guide(read[role], labels[role])
    for role, guide in (("ms", "pan"), ("gt", "pan"), ("ms_lr", "pan_lr")):
        if role in read and guide in rasters:
            raster, size = read[role], rasters[guide].image.shape[-2:]
            known = raster.band_axis is not None
            rasters[role] = (
                raster.stacked(raster.band_axis or 0)
                if known
                else replace(raster, image=bands_first(raster.image, size, labels[role]), band_axis=0)
            )
    return {role: rasters[role] for role in read if role in rasters}


def _guide(raster: Raster, label: str) -> Raster:
    if raster.band_axis is None or raster.image.ndim == 2:
        return replace(raster, image=plane(np.asarray(raster.image), label)[None], band_axis=0)
    stacked = raster.stacked(raster.band_axis)
    if len(stacked.image) != 1:
        raise DatasetError(
            f"{label}: expected one panchromatic band (H, W), found shape {raster.image.shape}; give PAN second, after MS"
        )
    return stacked


def _chosen(opened: Opened, role: str, asked: Asked) -> Raster:
    raster = opened.rasters[role].with_alpha()
    count = len(raster.image)
    if min(asked.bands) < 1 or max(asked.bands) > count:
        raise DatasetError(
            f"{opened.labels[role]}: --bands {','.join(map(str, asked.bands))}; expected numbers from 1 to {count}"
        )
    if opened.rasters[role].alpha is not None:
        opened.notices[:] = [line for line in opened.notices if line not in opened.rasters[role].notices]
    return raster.choose(tuple(band - 1 for band in asked.bands))


def _lone_cube(raster: Raster, place: Path) -> Raster:
    image = raster.image
    if raster.band_axis is not None and image.ndim == 3 and min(image.shape) > 0:
        cube = raster.stacked(raster.band_axis)
        if len(cube.image) > MULTISPECTRAL or place.suffix.lower() not in formats.paired_suffixes():
            return cube
    # The pages of a TIFF are its bands; for all other arrays the sides decide.
    elif image.ndim == 3:
        first = 0 if place.suffix.lower() != ".npy" and image.shape[0] < min(image.shape[1:]) else None
        if len(turned := bands_first_alone(image, first)) > MULTISPECTRAL:
            return replace(raster, image=turned, band_axis=0)
    raise DatasetNotFoundError(
        f"scene: {place} of shape {image.shape} stands alone and is no hyperspectral cube of more than {MULTISPECTRAL} bands; "
        f"expected a PAN image beside it: {place.stem}_ms{place.suffix} and {place.stem}_pan{place.suffix}, or MS,PAN"
    )


def _from_variables(path: Path, asked: Asked) -> Opened:
    read = formats.read_scene(path)
    content = {re.sub(r"^i_", "", name.lower()): value for name, value in read.values.items()}
    arrays, facts, notices = _taken(path, content, asked)
    labels = {role: f"{path} I_{role.upper()}" for role in arrays}
    rasters = {role: Raster(array, read.files, 0 if role == "cube" else None) for role, array in arrays.items()}
    for role, raster in rasters.items():
        if not isinstance(raster.image, np.ndarray):
            raise DatasetError(f"{labels[role]}: expected an array of numbers, found {type(raster.image).__name__}")
    oriented = rasters if "cube" in rasters else _oriented(rasters, labels)
    return Opened(path.stem, read.files, oriented, {}, labels, facts, notices)


def _taken(path: Path, content: dict[str, Any], asked: Asked) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Arrays by role, facts, and a line that names what was taken and what was left where there is more."""
    facts: dict[str, Any] = {name: content[name] for name in FACTS if name in content}
    images = [name for name, value in content.items() if isinstance(value, np.ndarray) and min(value.shape, default=0) > 1]
    if asked.keys:
        names = {role: re.sub(r"^i_", "", name.lower()) for role, name in asked.keys.items()}
        unknown = [asked.keys[role] for role, name in names.items() if name not in content]
        if unknown:
            raise DatasetError(f"{path}: no variable '{unknown[0]}'; --key takes ROLE=NAME of {', '.join(sorted(images))}")
        if set(names) == {"cube"}:
            names = {"cube": names["cube"]}
            return {"cube": bands_first_alone(content[names["cube"]])}, facts, _left(names, images)
        return {role: content[name] for role, name in names.items()}, facts, _left(names, images)
    names = {"ms": "ms", "pan": "pan", "gt": "gt", "ms_lr": "ms_lr", "pan_lr": "pan_lr"}
    if "ms_lr" in content and ("gt" in content or "pan_lr" not in content):
        # In files of the MATLAB toolboxes I_MS is the interpolated image and I_MS_LR the low-resolution one.
        names = {"ms": "ms_lr", "pan": "pan", "gt": "gt"}
    names = {role: name for role, name in names.items() if name in content}
    if {"ms", "pan"} <= set(names):
        cube = from_variables(content)
        known = [*names.values(), "lms", "ms"]
        return {role: content[n] for role, n in names.items()}, facts | (cube[1] if cube else {}), _left(names, images, known)
    cube = from_variables(content)
    if cube is None:
        raise DatasetError(
            f"{path}: expected variables I_MS and I_PAN (optionally I_GT, or I_MS_LR and I_PAN_LR), or a hyperspectral "
            f"cube of more than {MULTISPECTRAL} bands; found {sorted(content)}; name them with --key ms=NAME pan=NAME"
        )
    return cube[0], facts | cube[1], _left({"cube": cube[1]["variable"]}, images, [cube[1]["variable"], *cube[2]])


def _left(names: dict[str, str], images: list[str], known: list[str] | None = None) -> list[str]:
    left = sorted(set(images) - set(known or names.values()))
    if not left:
        return []
    taken = ", ".join(f"{name} as {role}" for role, name in names.items())
    return [f"several arrays: took {taken}; left {', '.join(left)} (--key ROLE=NAME chooses others)"]
