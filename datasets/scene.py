"""A user's own scene: tested as it is and by Wald's protocol; where it is large enough, networks train on a part of it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
from torch import Tensor

from waldbench.datasets.alignment import shifts
from waldbench.datasets.array_layout import SLACK
from waldbench.datasets.base import Dataset, DatasetError, Split, register
from waldbench.datasets.cube_preparation import read_response, simulate_pan, to_digital_numbers
from waldbench.datasets.scene_files import Asked
from waldbench.datasets.scene_parts import Window, divide, stride
from waldbench.datasets.scene_sensor import resolve
from waldbench.datasets.splits import EmptySplit, PatchSplit, SceneSplit
from waldbench.datasets.user_files import UserImages, read_user_images
from waldbench.imaging import Scene, Sensor, interp23
from waldbench.imaging.filters import mtf
from waldbench.imaging.wald import degrade

# MS images with sides below this (pixels) are too small after degradation to be evaluated inside the border of the indices.
REDUCED_SIDE = 64
LAYOUT = "scene-1"
# Ratio at which a cube without PAN is degraded where neither user nor file gives one.
CUBE_RATIO = 4


@register("scene", task="ms", sensor="any", title="a user's own scene")
class UserScene(Dataset):
    """One scene of the user's: .mat, TIFF or NumPy files; full resolution, and reduced by Wald's protocol or as given.

    With `holdout` > 0 the right-hand part of that width (in pixels of the ground truth) is tested, at both resolutions. The
    left part, 16 pixels away, gives overlapping training patches, and its lowest 15 % of rows, again 16 pixels away, the
    validation patches. Each part is degraded and interpolated on its own: no pixel of the test part reaches the training.
    A scene too small for this is tested as a whole and nothing is trained on it; a warning says so.

    An image of more than 16 bands is hyperspectral. Its values may be fractions. Without PAN it is the ground truth: PAN is made
    of its bands, and the low-resolution cube by Wald's protocol; there is no full split.

    Args:
        path: FILE.mat, a folder, PREFIX of PREFIX_ms.tif and PREFIX_pan.tif, MS,PAN[,GT], or a cube in one file (.mat, ENVI,
            TIFF, .npy). With a ground truth MS is the low-resolution image, and there is no full split.
        sensor: the sensor or its key; None: as the file says, else guessed from the name, else generic.
        holdout: share of the width that is used for testing only, 0 to 0.8.
        ratio: resolution ratio, PAN sides divided by MS sides; None: from the sizes, and 4 for a cube without PAN.
        patch: side of a training patch in pixels of the ground truth.
        task: "ms" or "hs"; None: hs for more than 16 bands.
        response: file with wavelengths in nm and the PAN response, for a cube without PAN; None: the mean of the visible bands.
        asked: files by role, variables, bands and alignment, where the path does not say them (`scene_files.Asked`).

    Raises:
        DatasetError: for missing or broken files, and for images, sensor or options that do not fit together.
        UnknownNameError: for an unknown sensor.
    """

    source = "user"

    def __init__(
        self,
        path: str,
        sensor: str | Sensor | None = None,
        holdout: float = 0.0,
        ratio: int | None = None,
        patch: int = 32,
        task: str | None = None,
        response: str | Path | None = None,
        asked: Asked | None = None,
    ) -> None:
        if not 0 <= holdout <= 0.8 or patch < 8:
            raise DatasetError(f"scene: expected holdout 0 to 0.8 and patch 8 or more, got {holdout} and {patch}")
        given = read_user_images(str(path), asked)
        self.task = task or ("hs" if given.is_cube else "ms")
        self.notices = list(given.notices)
        given = self._prepare(given, sensor, ratio, response)
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", given.name).strip("-.") or "unnamed"
        self.key, self._name = f"scene-{stem}", stem
        self.fingerprint = _fingerprint(given, f"{LAYOUT} {self.sensor} {holdout} {patch} {asked or ''}".rstrip())
        images = self._aligned(given.images)
        if given.valid is not None:
            rows, columns = images["pan"].shape[-2:]
            images["valid"] = given.valid[..., :rows, :columns]
        self.notices += _shift_notice(images, self.sensor)
        self._splits = self._build(images, holdout, patch)

    def _prepare(
        self, given: UserImages, asked: str | Sensor | None, ratio: int | None, response: str | Path | None
    ) -> UserImages:
        """Find the sensor; convert cubes to digital numbers and, where they have no PAN, simulate it from their bands."""
        if response is not None and "cube" not in given.images:
            raise DatasetError("scene: a spectral response makes a PAN image for a cube that has none; this scene has one")
        found = _ratio(given, ratio)
        values = None
        if given.is_cube:
            given, values, lines = to_digital_numbers(given)
            self.notices += lines
        self.sensor, lines = resolve(given, asked, found, values)
        self.notices += lines
        if "cube" not in given.images:
            return given
        table = None if response is None else read_response(Path(response))
        pan, self.sensor, line = simulate_pan(given.images["cube"], self.sensor, table)
        self.notices += [line, f"the cube is the ground truth; it is degraded at ratio {found} (--ratio)"]
        files = given.files if response is None else (*given.files, Path(response))
        return replace(given, files=files, images=given.images | {"pan": pan})

    @property
    def label(self) -> str:
        """Folder name of its results: key and the start of the fingerprint, which tells scenes of the same name apart."""
        return f"{self.key}-{self.fingerprint[:6]}"

    def split(self, name: str) -> Split:
        """Return a split; an empty one where the scene is too small or its files do not have it."""
        self.check_split(name)
        return self._splits[name]

    def _aligned(self, images: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cut images to their common area: ms with pan (and gt), and ms_lr with pan_lr and their ground truth ms."""
        r = self.sensor.ratio
        cut = dict(images)
        if "cube" in cut:
            self._crop(cut, {"cube": r, "pan": r})
            return cut
        self._crop(cut, {"ms": 1, "pan": r} | ({"gt": r} if "gt" in cut else {}))
        if "gt" in cut or not {"ms_lr", "pan_lr"} <= set(cut):
            return {role: image for role, image in cut.items() if role in {"ms", "pan", "gt"}}
        cut["truth"] = cut["ms"]
        self._crop(cut, {"ms_lr": 1, "pan_lr": r, "truth": r})
        return cut

    def _crop(self, images: dict[str, Tensor], scales: dict[str, int]) -> None:
        """Cut images to their common area from the top left; `scales` has their resolution relative to the lowest, by role."""
        before = {role: tuple(images[role].shape[-2:]) for role in scales}
        height, width = (min(before[role][axis] // scale for role, scale in scales.items()) for axis in (0, 1))
        for role, scale in scales.items():
            if any(side - scale * low > SLACK * scale for side, low in zip(before[role], (height, width), strict=True)):
                raise DatasetError(
                    f"scene: {role} of {_size(before[role])} does not fit {_describe(before)} at ratio {self.sensor.ratio}; "
                    "all images must show the same area"
                )
            images[role] = images[role][..., : height * scale, : width * scale]
        after = {role: tuple(images[role].shape[-2:]) for role in scales}
        if after != before:
            self.notices.append(f"cut to the common area from the top left: {_describe(before)} -> {_describe(after)}")

    def _build(self, images: dict[str, Tensor], holdout: float, patch: int) -> dict[str, Split]:
        r = self.sensor.ratio
        low = self._low_size(images)
        if min(low) * r < REDUCED_SIDE and not {"gt", "ms_lr", "cube"} & set(images):
            reason = (
                f"MS of {_size(tuple(images['ms'].shape[-2:]))} is too small to be degraded; needs {REDUCED_SIDE} pixels a side"
            )
            self.notices.append(f"no reduced split: {reason}")
            nothing = EmptySplit(reason)
            whole = SceneSplit(partial(full_scene, images, 0, r, self._name))
            return {"train": nothing, "valid": nothing, "reduced": nothing, "full": whole}
        parts = divide(*low, r, holdout, patch)
        self.notices += [parts.reason] if parts.reason else []
        side = ceil(patch / r)
        reduced = partial(reduced_scene, images, self.sensor, name=self._name)
        splits: dict[str, Split] = {"train": EmptySplit(parts.reason), "valid": EmptySplit(parts.reason)}
        for name, window, step in (("train", parts.train, stride(side)), ("valid", parts.valid, side)):
            if window is not None:
                splits[name] = PatchSplit(partial(reduced, window), (window.height, window.width), side, step)
        splits["reduced"] = SceneSplit(partial(reduced, parts.test))
        splits["full"] = EmptySplit("the files have a ground truth: MS is the degraded image")
        if not {"gt", "cube"} & set(images):
            splits["full"] = SceneSplit(partial(full_scene, images, parts.test.left * r, r, self._name))
        return splits

    def _low_size(self, images: dict[str, Tensor]) -> tuple[int, int]:
        """Sides of the low-resolution image of the reduced pair."""
        if "gt" in images or "ms_lr" in images:
            height, width = images["ms_lr" if "ms_lr" in images else "ms"].shape[-2:]
            return height, width
        r = self.sensor.ratio
        if "cube" in images:
            return images["cube"].shape[-2] // r, images["cube"].shape[-1] // r
        height, width = images["ms"].shape[-2:]
        if height % r or width % r:
            kept = (height // r * r, width // r * r)
            self.notices.append(f"reduced: MS cut from {_size((height, width))} to {_size(kept)}, multiples of the ratio {r}")
        return height // r, width // r


def reduced_scene(images: dict[str, Tensor], sensor: Sensor, window: Window, name: str) -> Scene:
    """A window of the reduced pair: as given, or degraded by Wald's protocol with the original MS as ground truth."""
    r, valid = sensor.ratio, images.get("valid")
    if "cube" in images:
        gt, pan = window.cut(images["cube"], r), window.cut(images["pan"], r)
        ms = mtf(gt, sensor, step=r)
    elif "gt" in images:
        ms, pan, gt = window.cut(images["ms"], 1), window.cut(images["pan"], r), window.cut(images["gt"], r)
    elif "ms_lr" in images:
        ms, pan, gt = window.cut(images["ms_lr"], 1), window.cut(images["pan_lr"], r), window.cut(images["truth"], r)
        # What the degraded pair was made of is not known: its pixels count as those of the original blocks do.
        valid = None if valid is None else _whole_blocks(valid, r)
    else:
        gt = window.cut(images["ms"], r)
        ms, pan = degrade(gt, window.cut(images["pan"], r * r), sensor)
        valid = None if valid is None else _whole_blocks(valid, r)
    return Scene(ms, interp23(ms, r), pan, gt, (name,), valid=None if valid is None else window.cut(valid, r))


def _whole_blocks(valid: Tensor, ratio: int) -> Tensor:
    """Which blocks of ratio x ratio pixels are wholly valid."""
    height, width = (side // ratio for side in valid.shape[-2:])
    cut = valid[..., : height * ratio, : width * ratio]
    return cut.reshape(*cut.shape[:-2], height, ratio, width, ratio).all(-1).all(-2)


def full_scene(images: dict[str, Tensor], left: int, ratio: int, name: str) -> Scene:
    """The scene as it is, from column `left` of MS on."""
    ms, pan, valid = images["ms"][..., left:], images["pan"][..., left * ratio :], images.get("valid")
    known = None if valid is None else valid[..., left * ratio :]
    return Scene(ms, interp23(ms, ratio), pan, None, (name,), valid=known)


def _shift_notice(images: dict[str, Tensor], sensor: Sensor) -> list[str]:
    ms, gt = (images["ms"], images["gt"]) if "gt" in images else (images.get("ms_lr"), images.get("truth"))
    if ms is None or gt is None:
        return []
    (shift,) = shifts(ms, gt, sensor)
    if shift == (0, 0):
        return []
    return [
        f"the degraded MS lies {shift} PAN pixels (down, right) off the phase of the field's protocol (it was made another way): "
        "methods that rely on that phase, interpolation among them, score worse than they are"
    ]


def _ratio(given: UserImages, asked: int | None) -> int:
    named = asked or int(np.asarray(given.facts.get("ratio", 0)).item())
    if "cube" in given.images:
        return named or CUBE_RATIO
    seen = round(given.images["pan"].shape[-1] / given.images["ms"].shape[-1])
    if (named or seen) < 2:
        raise DatasetError(
            f"{given.files[0]}: expected PAN sides at least twice those of MS, found ratio {named or seen}; "
            "is MS already interpolated?"
        )
    return named or seen


def _fingerprint(given: UserImages, options: str) -> str:
    digest = hashlib.sha256(options.encode())
    for path in given.files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _size(sides: tuple[int, ...]) -> str:
    return "x".join(map(str, sides))


def _describe(sizes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{role} {_size(sides)}" for role, sides in sizes.items())
