"""MATLAB files of version 5 (scipy) and 7.3 (HDF5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from waldbench.datasets.base import DatasetError, DatasetNotFoundError
from waldbench.datasets.contents import HDF5, MATLAB, diagnosis, kind
from waldbench.datasets.raster import Variables

suffixes = (".mat",)
holds_scene = True
# Where MATLAB's header ends and HDF5 begins in a file of version 7.3.
USER_BLOCK = 512


def read(path: Path, mapped: bool = False) -> Variables:
    """Read the variables of a MATLAB file, always whole: `mapped` has no effect.

    Raises:
        DatasetError: if it cannot be read.
    """
    return Variables(read_mat(path), (path,))


def read_mat(path: Path) -> dict[str, Any]:
    """Variables of a MATLAB file of version 5 or 7.3: arrays with MATLAB's axes (rows, columns, bands), and strings.

    The fields of a struct are variables too: "scene.ms", and "ms" alone where no other variable has that name.

    Raises:
        DatasetError: if it cannot be read.
    """
    import scipy.io

    if not path.is_file():
        raise DatasetNotFoundError(f"scene: no such file: {path}")
    if is_hdf5(path):
        return _short_names(dict(_read_mat73(path)))
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # scipy raises many different exceptions for broken files
        raise DatasetError(f"{path}: cannot be read as a MATLAB file; {diagnosis(path, MATLAB, error)}") from error
    named = ((name, value) for name, value in content.items() if not name.startswith("__"))
    return _short_names({full: leaf for name, value in named for full, leaf in _leaves(name, value)})


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5 by its signature, whatever its header says."""
    with path.open("rb") as stream:
        stream.seek(USER_BLOCK)
        return kind(path) == HDF5 or stream.read(8) == b"\x89HDF\r\n\x1a\n"


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Arrays and texts of a variable of version 5; of structs and cells of one element all that is in them."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names:
        if value.size == 1:
            inside = value.reshape(-1)[0]
            for field in value.dtype.names:
                yield from _leaves(f"{name}.{field}", inside[field])
    elif value.dtype.kind == "O":
        if value.size == 1:
            yield from _leaves(name, value.reshape(-1)[0])
    elif value.dtype.kind == "U":
        # MATLAB's strings come as one-element arrays.
        if value.size == 1:
            yield name, str(value.reshape(-1)[0])
    else:
        yield name, value


def _read_mat73(path: Path) -> Iterator[tuple[str, Any]]:
    import h5py

    from waldbench.datasets.hdf5 import open_hdf5

    def visit(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
        for name, node in group.items():
            if name.startswith("#"):  # what cells and objects refer to
                continue
            if isinstance(node, h5py.Group):
                yield from visit(f"{prefix}{name}.", node)
            elif node.dtype.kind in "uifb" and node.attrs.get("MATLAB_empty", 0) == 0:
                # HDF5 lists MATLAB's axes in reverse.
                value = np.asarray(node).T
                is_text = node.attrs.get("MATLAB_class") == b"char"
                yield prefix + name, "".join(map(chr, value.reshape(-1).tolist())) if is_text else value

    with open_hdf5(path) as file:
        try:
            yield from visit("", file)
        except OSError as error:
            raise DatasetError(f"{path}: {diagnosis(path, HDF5, error)}") from error


def _short_names(found: dict[str, Any]) -> dict[str, Any]:
    """Fields of structs under their last name too, where it is the only one."""
    short = [name.rpartition(".")[2] for name in found]
    return found | {last: found[name] for name, last in zip(found, short, strict=True) if "." in name and short.count(last) == 1}
