"""File formats of images, one module each; the table of them is built from the modules of this folder.

A module has `suffixes` (lower case) and `read(path, mapped)`, which returns a `Raster`, or `Variables` where one file holds a
whole scene. It may have `paired = True` (scenes of several files NAME_ms, NAME_pan are searched with these suffixes),
`preference` (of two files of one name the format of the lower number is read; default 10), `holds_scene = True` (`read` returns
`Variables`) and `recognises(path)` (whether a file with such a suffix is of this format).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from waldbench.datasets.base import DatasetError
from waldbench.datasets.raster import Raster, Variables


@dataclass(frozen=True)
class Format:
    """One file format; the attributes are those of its module."""

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path, bool], Raster | Variables]
    paired: bool
    preference: int
    holds_scene: bool
    recognises: Callable[[Path], bool]


@cache
def table() -> tuple[Format, ...]:
    """All formats, those that are preferred first."""
    modules = {info.name: importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)}
    formats = [
        Format(
            name=name,
            suffixes=module.suffixes,
            read=module.read,
            paired=getattr(module, "paired", False),
            preference=getattr(module, "preference", 10),
            holds_scene=getattr(module, "holds_scene", False),
            recognises=getattr(module, "recognises", _any),
        )
        for name, module in modules.items()
    ]
    return tuple(sorted(formats, key=lambda one: (one.preference, one.name)))


def _any(_path: Path) -> bool:
    return True


def find(path: Path) -> Format | None:
    """The format of a file by its suffix, in any case; None if there is none."""
    suffix = path.suffix.lower()
    return next((one for one in table() if suffix in one.suffixes and one.recognises(path)), None)


def paired_suffixes() -> tuple[str, ...]:
    """Suffixes with which scenes of several files are searched, in the order of preference."""
    return tuple(suffix for one in table() if one.paired for suffix in one.suffixes)


def read_image(path: Path, mapped: bool = False) -> Raster:
    """Read a file that holds one image.

    Args:
        path: the file.
        mapped: leave the pixels on disk until they are used, where the file allows it.

    Raises:
        DatasetError: if the format is not known or the file is broken.
    """
    known = find(path)
    read = known.read(path, mapped) if known is not None and not known.holds_scene else None
    if not isinstance(read, Raster):
        scenes = (suffix for one in table() if one.holds_scene for suffix in one.suffixes)
        raise DatasetError(f"{path}: expected one of {', '.join(paired_suffixes())} or {', '.join(scenes)}")
    return read


def read_scene(path: Path) -> Variables:
    """Read a file that holds a whole scene.

    Raises:
        DatasetError: if it is no such file, or broken.
    """
    known = find(path)
    read = known.read(path, False) if known is not None and known.holds_scene else None
    if not isinstance(read, Variables):
        raise DatasetError(f"{path}: expected a file that holds a whole scene")
    return read


def holds_scene(path: Path) -> bool:
    """Whether a path names a file of a format that holds whole scenes."""
    known = find(path)
    return known is not None and known.holds_scene
