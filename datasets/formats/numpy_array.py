"""NumPy files of one array; they can stay on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from waldbench.datasets.base import DatasetError
from waldbench.datasets.contents import NUMPY, diagnosis, kind
from waldbench.datasets.raster import Raster

suffixes = (".npy",)
paired = True
preference = 1


def read(path: Path, mapped: bool = False) -> Raster:
    """Read an array; with `mapped` it stays on disk.

    Raises:
        DatasetError: if the file is broken or holds Python objects.
    """
    if not path.is_file() or kind(path) != NUMPY:
        raise DatasetError(f"{path}: {diagnosis(path, NUMPY)}")
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, EOFError) as error:
        if "pickle" in str(error):
            raise DatasetError(f"{path}: it holds Python objects, which are not read; save one array of numbers") from error
        raise DatasetError(f"{path}: {diagnosis(path, NUMPY, error)}") from error
    return Raster(array if mapped else np.asarray(array), (path,))
