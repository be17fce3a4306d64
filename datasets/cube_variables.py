"""Hyperspectral cubes in MATLAB files: which variable is the cube, which is its PAN, and what the others say about the bands."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np

from waldbench.datasets.array_layout import MULTISPECTRAL, bands_first_alone
from waldbench.datasets.raster import Array

# Names of variables in the public files, in lower case and without the toolboxes' prefix I_.
CUBES = ("hsim", "hsi", "hs", "cube", "ms", "y", "x", "data", "img", "image")
PANS = ("pcim", "pan", "p")
WAVELENGTHS = ("wavelengths", "wavelength", "wl", "lambda", "wave")
NUMBERS = ("non_del_bands", "slectbands", "selectbands", "selected_bands", "bands", "band_numbers")


def from_variables(content: dict[str, Any]) -> tuple[dict[str, Array], dict[str, Any], list[str]] | None:
    """Find a cube, and perhaps its PAN, among the variables of a MATLAB file (names in lower case, without I_).

    Returns:
        Arrays by role ("ms" and "pan", or "cube" alone), bands first, facts (wavelengths, numbers, ratio), and the names of
        the other variables that were used; None where there is no cube of more than 16 bands.
    """
    named = _cube(content)
    if named is None:
        return None
    name, cube = named
    facts = {"variable": name} | _facts(content, len(cube))
    pan = next((key for key in PANS if key in content and _is_plane(content[key])), None)
    used = [*WAVELENGTHS, *NUMBERS, *([pan] if pan else [])]
    return ({"cube": cube} if pan is None else {"ms": cube, "pan": np.squeeze(content[pan])}), facts, used


def _cube(content: dict[str, Any]) -> tuple[str, Array] | None:
    found = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "uif":
            cube = bands_first_alone(value) if value.ndim == 3 else _unfold(value, content) if value.ndim == 2 else None
            if cube is not None and len(cube) > MULTISPECTRAL:
                found[name] = cube
    if not found:
        return None
    known = [name for name in CUBES if name in found]
    best = known[0] if known else max(found, key=lambda name: found[name].size)
    return best, found[best]


def _unfold(matrix: Array, content: dict[str, Any]) -> Array | None:
    """A cube (C, H, W) from its pixels (C, H * W) in MATLAB's order of columns; None for any other matrix."""
    bands, pixels = matrix.shape
    if not MULTISPECTRAL < bands < pixels:
        return None
    rows, columns = (_whole(content.get(name)) for name in ("nrow", "ncol"))
    if not rows or not columns:
        rows = columns = isqrt(pixels)
    if rows * columns != pixels:
        return None
    return matrix.reshape(bands, columns, rows).transpose(0, 2, 1)


def _whole(value: Any) -> int:
    return int(np.asarray(value).reshape(-1)[0]) if isinstance(value, np.ndarray) and value.size == 1 else 0


def _is_plane(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "uif" and np.squeeze(value).ndim == 2


def _facts(content: dict[str, Any], bands: int) -> dict[str, Any]:
    facts: dict[str, Any] = {name: content[name] for name in ("ratio",) if name in content}
    for fact, names in (("wavelengths", WAVELENGTHS), ("numbers", NUMBERS)):
        for name in names:
            value = content.get(name)
            if isinstance(value, np.ndarray) and value.dtype.kind in "uif" and value.size == bands and bands > 1:
                facts[fact] = tuple(value.reshape(-1).astype(float).tolist())
                break
    return facts
