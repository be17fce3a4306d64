"""HDF5 files that hold a whole scene as arrays; their axes are taken as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from waldbench.datasets.base import DatasetNotFoundError
from waldbench.datasets.raster import Variables

suffixes = (".h5", ".hdf5", ".he5")
holds_scene = True


def read(path: Path, mapped: bool = False) -> Variables:
    """Read all arrays of a file, those of groups as "group.name"; always whole: `mapped` has no effect.

    Raises:
        DatasetError: if it cannot be read.
    """
    import h5py

    from waldbench.datasets.hdf5 import open_hdf5

    if not path.is_file():
        raise DatasetNotFoundError(f"scene: no such file: {path}")
    found: dict[str, Any] = {}

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "uif":
            found[name.replace("/", ".")] = np.asarray(node)

    with open_hdf5(path) as file:
        file.visititems(visit)
    return Variables(found, (path,))
