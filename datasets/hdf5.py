"""Images in HDF5 files: lazy, checked, and safe with several loader threads and processes."""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from waldbench.datasets import hdf5_nodes
from waldbench.datasets.base import DatasetError
from waldbench.datasets.contents import AGAIN, HDF5, diagnosis
from waldbench.datasets.file_checks import check_declared, require_file
from waldbench.datasets.hdf5_nodes import one_line

BLOCK = 64 * 1024
BLOCKS = 64
# Every finite value of float32.
EVERYTHING = (float(np.finfo(np.float32).min), float(np.finfo(np.float32).max))


class Range(NamedTuple):
    """Extremes and mean of some images of one array."""

    lowest: float
    highest: float
    mean: float


class ImageFile:
    """The arrays (N, C, H, W) of one HDF5 file, by name in lower case: some collections write GT, MS, PAN.

    The file is opened for reading on the first use in each thread and each process; open files are neither pickled nor
    inherited by forked processes.

    Args:
        path: path of the HDF5 file.

    Attributes:
        shapes: shape of every array, by name in lower case.
        limits: lowest and highest value that `read` accepts, by name; every finite value where nothing is said.
        ranges: what was measured of a sample, by name; see `image_ranges.measure`.

    Raises:
        DatasetError: if it cannot be opened as HDF5 (the message says what the file contains instead), or holds an array that is
            damaged, of other than real numbers, not whole, or in another file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        arrays = hdf5_nodes.arrays(self._file(), path)
        self._names = {name.lower(): name for name in arrays}
        self.shapes = {name.lower(): shape for name, shape in arrays.items()}
        self.limits: dict[str, tuple[float, float]] = {}
        self.ranges: dict[str, Range] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()

    def _file(self) -> h5py.File:
        if getattr(self._local, "process", None) != os.getpid():
            self._local.file = open_hdf5(self.path)
            self._local.process = os.getpid()
        return self._local.file

    def read(self, name: str, indices: Sequence[int]) -> Tensor:
        """Read images as (len(indices), C, H, W) float32, in the order of `indices`.

        Raises:
            DatasetError: if they cannot be read, or have NaN, infinite values or values beyond `limits`.
        """
        order, back = np.unique(np.asarray(indices, dtype=np.int64), return_inverse=True)
        dense = len(order) > 0 and int(order[-1] - order[0]) + 1 == len(order)
        chosen: Any = slice(int(order[0]), int(order[-1]) + 1) if dense else order
        shape = self.shapes[name][1:]
        check_declared(self.path, 4 * len(order) * math.prod(shape), f"'{name}' with {len(order)} images of {shape}")
        try:
            array = self._file()[self._names[name]].astype(np.float32)[chosen]
        except hdf5_nodes.FAILURES as error:
            raise DatasetError(
                f"{self.path}: reading '{name}' failed ({one_line(error)}); the file is damaged: {AGAIN}"
            ) from error
        images = torch.from_numpy(array)
        self._check(name, images, order)
        return images if np.array_equal(back, np.arange(len(order))) else images[torch.from_numpy(back)]

    def _check(self, name: str, images: Tensor, order: NDArray[np.int64]) -> None:
        low, high = self.limits.get(name, EVERYTHING)
        if not images.numel():
            return
        # Extremes find NaN and infinity too, in one pass.
        lowest, highest = (float(value) for value in torch.aminmax(images))
        if low <= lowest and highest <= high:
            return
        bad = ~torch.isfinite(images)
        what = f"expected finite digital numbers: {AGAIN}"
        if bad.any():
            found = f"{int(bad.sum())} NaN or infinite values"
        else:
            bad = (images < low) | (images > high)
            found = f"values from {lowest:g} to {highest:g}"
            what = f"expected {low:g} to {high:g}; use the published file as it is"
        first = order[int(bad.flatten(1).any(1).nonzero()[0])]
        raise DatasetError(f"{self.path}: '{name}' has {found}, first in image {first}; {what}")


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading, without locks (it may lie on a read-only or shared disk).

    Raises:
        DatasetError: if it is missing, no regular file, a saved web page, truncated, or no HDF5 file.
    """
    require_file(path, "an HDF5 file")
    try:
        return h5py.File(path, "r", locking=False)
    except hdf5_nodes.FAILURES as error:
        raise DatasetError(f"{path}: {diagnosis(path, HDF5, error)}") from error


def check_images(file: ImageFile, expected: dict[str, int], ratio: int) -> int:
    """Check that `file` holds aligned images (N, C, H, W) and return N.

    Args:
        file: the opened file.
        expected: number of bands of every array that must be there; "ms" is the low-resolution one.
        ratio: resolution ratio of the sensor: sides of the other arrays divided by those of "ms".

    Raises:
        DatasetError: naming the file, the array, what was expected and what was found.
    """
    missing = [name for name in expected if name not in file.shapes]
    if missing:
        found = ", ".join(f"{name} {shape}" for name, shape in file.shapes.items()) or "no array"
        raise DatasetError(
            f"{file.path}: expected arrays {', '.join(expected)}; missing: {', '.join(missing)}; found: {found}. "
            "Is this the file of another split or data set?"
        )
    shape = file.shapes["ms"]
    if 0 in shape:
        raise DatasetError(f"{file.path}: 'ms' has shape {shape}, no pixel; expected (N, {expected['ms']}, H, W): {AGAIN}")
    count, height, width = (shape[0], *shape[2:]) if len(shape) == 4 else (0, 0, 0)
    for name, bands in expected.items():
        sides = (height, width) if name == "ms" else (ratio * height, ratio * width)
        if not count or file.shapes[name] != (count, bands, *sides):
            times = "the sides of the other arrays over the ratio" if name == "ms" else f"{ratio} times the sides of 'ms' {shape}"
            raise DatasetError(
                f"{file.path}: '{name}' has shape {file.shapes[name]}; expected (N, {bands}, H, W), N as in 'ms' and "
                f"{times}; a file that you converted yourself must keep this order of axes"
            )
    return int(count)


def fingerprint(files: dict[str, Path]) -> str:
    """Sha256 over role, size and 64 evenly spaced blocks of 64 KiB of every file (smaller files entirely).

    Names and folders do not count: the same data under another spelling have the same fingerprint.
    """
    digest = hashlib.sha256()
    for role in sorted(files):
        stat = files[role].stat()
        digest.update(f"{role} {stat.st_size} {_sample(files[role], stat.st_size, stat.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _sample(path: Path, size: int, _modified: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        if size <= BLOCK * BLOCKS:
            digest.update(stream.read())
        else:
            for number in range(BLOCKS):
                stream.seek((size - BLOCK) * number // (BLOCKS - 1))
                digest.update(stream.read(BLOCK))
    return digest.hexdigest()
