"""MATLAB files of version 5 (scipy) and 7.3 (HDF5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from waldbench.datasets.base import DatasetError, DatasetNotFoundError
from waldbench.datasets.raster import Variables

suffixes = (".mat",)
holds_scene = True


def read(path: Path, mapped: bool = False) -> Variables:
    """Read the variables of a MATLAB file, always whole: `mapped` has no effect.

    Raises:
        DatasetError: if it cannot be read.
    """
    return Variables(read_mat(path), (path,))


def read_mat(path: Path) -> dict[str, Any]:
    """Variables of a MATLAB file of version 5 or 7.3: arrays with MATLAB's axes (rows, columns, bands), and strings.

    Raises:
        DatasetError: if it cannot be read.
    """
    import scipy.io

    if not path.is_file():
        raise DatasetNotFoundError(f"scene: no such file: {path}")
    try:
        try:
            content = scipy.io.loadmat(path)
        except NotImplementedError:
            return _read_mat73(path)
    except DatasetError:
        raise
    except Exception as error:  # scipy raises many different exceptions for broken files
        raise DatasetError(f"{path}: cannot be read as a MATLAB file ({error}); is it complete?") from error
    # MATLAB's strings come as one-element arrays.
    return {
        name: str(value.reshape(-1)[0]) if value.dtype.kind == "U" and value.size == 1 else value
        for name, value in content.items()
        if not name.startswith("__") and isinstance(value, np.ndarray)
    }


def _read_mat73(path: Path) -> dict[str, Any]:
    import h5py

    from waldbench.datasets.hdf5 import open_hdf5

    with open_hdf5(path) as file:
        found: dict[str, Any] = {}
        for name, node in file.items():
            if isinstance(node, h5py.Dataset):
                # HDF5 lists MATLAB's axes in reverse.
                value = np.asarray(node).T
                is_text = node.attrs.get("MATLAB_class") == b"char"
                found[name] = "".join(map(chr, value.reshape(-1).tolist())) if is_text else value
        return found
