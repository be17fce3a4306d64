"""Which arrays an HDF5 file holds, without trusting it: damaged links and heaps, links to other files, arrays never written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from waldbench.datasets.base import DatasetError
from waldbench.datasets.file_checks import check_declared, size_text

# What h5py raises for damaged files, besides a plain OSError.
FAILURES = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, SystemError, MemoryError, IndexError)
REAL = "uif"
# Names of images, which must be arrays wherever they occur.
IMAGES = ("ms", "lms", "pan", "gt")


def one_line(error: Exception) -> str:
    """The first 160 characters of an error's text, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."


def arrays(group: h5py.Group, path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays in a group by name, after `check_array`; groups in it that are not called as images are left out.

    Args:
        group: of an open file.
        path: the file, for messages.

    Raises:
        DatasetError: if the group or a link in it is damaged, or leads into another file.
    """
    found = {}
    for name, node in nodes(group, path):
        if isinstance(node, h5py.Dataset):
            found[name] = check_array(node, path, name)
        elif name.lower() in IMAGES:
            raise DatasetError(f"{path}: '{name}' is a {type(node).__name__.lower()}; expected an array of real numbers")
    return found


def nodes(group: h5py.Group, path: Path) -> Iterator[tuple[str, Any]]:
    """Names and nodes of a group.

    Raises:
        DatasetError: if the group or a link in it is damaged, or leads into another file.
    """
    try:
        names = list(group)
    except FAILURES as error:
        raise DatasetError(f"{path}: its list of arrays cannot be read ({one_line(error)}); the file is damaged") from error
    for name in names:
        try:
            link = group.get(name, getlink=True)
            # A file that someone else made must not make us read others of ours.
            if isinstance(link, h5py.ExternalLink):
                raise DatasetError(f"{path}: '{name}' is a link into another file ({link.filename[:80]!r}); copy its values here")
            node = group[name]
        except FAILURES as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(f"{path}: '{name}' cannot be opened ({one_line(error)}); the file is damaged") from error
        yield name, node


def check_array(node: h5py.Dataset, path: Path, name: str) -> tuple[int, ...]:
    """Check that an array has real numbers, that all of it was written, in this file, and return its shape.

    Raises:
        DatasetError: if not.
    """
    try:
        kind, shape = node.dtype, node.shape
        outside = bool(node.external) or node.is_virtual
        stored, whole = node.id.get_storage_size(), _is_whole(node)
    except FAILURES as error:
        raise DatasetError(f"{path}: '{name}' cannot be opened ({one_line(error)}); the file is damaged") from error
    if kind.kind not in REAL or shape is None:
        raise DatasetError(f"{path}: '{name}' holds {'nothing' if shape is None else kind}; expected an array of real numbers")
    if outside:
        raise DatasetError(f"{path}: the values of '{name}' lie in other files; copy them into this one (h5repack)")
    if not whole:
        raise DatasetError(
            f"{path}: '{name}' declares shape {shape}, {size_text(math.prod(shape) * kind.itemsize)}, of which "
            f"{size_text(stored)} were written; the file is damaged or was never finished"
        )
    return tuple(int(side) for side in shape)


def _is_whole(node: h5py.Dataset) -> bool:
    """Whether there are values for all elements; HDF5 returns zeros where there are none."""
    size = math.prod(node.shape or ())
    if not size:
        return True
    if node.chunks is None:
        return bool(node.id.get_storage_size() >= size * node.dtype.itemsize)
    expected = math.prod(-(-side // chunk) for side, chunk in zip(node.shape, node.chunks, strict=True))
    check_declared(Path(node.file.filename), math.prod(node.chunks) * node.dtype.itemsize, f"blocks of {node.chunks} values")
    return bool(node.id.get_num_chunks() >= expected)
