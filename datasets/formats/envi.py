"""ENVI raster files: a text header (.hdr) and a binary file beside it, in three interleaves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from waldbench.datasets import gdal_files
from waldbench.datasets.base import DatasetError, DatasetNotFoundError
from waldbench.datasets.grid import Grid
from waldbench.datasets.raster import Array, Raster

HEADER = ".hdr"
ENDINGS = (".img", ".dat", ".raw", ".bin", ".bsq", ".bil", ".bip")
suffixes = (HEADER, *ENDINGS)
# Codes of the data types; 6 and 9 are complex and not read.
TYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
# For every interleave the order of the axes in the file, and the transposition to (bands, lines, samples).
ORDERS = {
    "bsq": (("bands", "lines", "samples"), (0, 1, 2)),
    "bil": (("lines", "bands", "samples"), (1, 0, 2)),
    "bip": (("lines", "samples", "bands"), (2, 0, 1)),
}
# Factors that turn a unit of wavelength into nm.
UNITS = {"micrometers": 1000.0, "micrometer": 1000.0, "um": 1000.0, "nanometers": 1.0, "nanometer": 1.0, "nm": 1.0}


def recognises(path: Path) -> bool:
    """Whether a path names an ENVI header, or data beside a header."""
    return path.suffix.lower() == HEADER or (path.suffix.lower() in ENDINGS and _header_of(path) is not None)


def read(path: Path, mapped: bool = False) -> Raster:
    """Read an image by the path of its header or of its data, without the bands that the header lists as bad.

    The image is (bands, lines, samples). Pixels that hold the header's data ignore value are marked as without data.

    Args:
        path: the header, or the data.
        mapped: leave the pixels on disk.

    Raises:
        DatasetError: if the header lacks or contradicts something, or the data are missing or shorter than it says.
    """
    header = path if path.suffix.lower() == HEADER else _header_of(path)
    if header is None or not header.is_file():
        raise DatasetNotFoundError(f"{path}: expected an ENVI header NAME.hdr beside the data, found none")
    facts = parse_header(header)
    data = _data_of(header)
    whole = _map_data(data, facts, header)
    keep = _good_bands(facts, len(whole))
    kept = whole if keep is None else whole[keep]
    image = kept if mapped else kept.astype(kept.dtype.newbyteorder("="))
    notices = [] if keep is None else [f"{len(whole) - len(keep)} of {len(whole)} bands are bad by the header's list: left out"]
    unit = UNITS.get(str(facts.get("wavelength units", "")).lower())
    centres, widths = (_numbers(facts, name, len(whole), keep, unit) for name in ("wavelength", "fwhm"))
    names = _texts(facts, "band names", len(whole), keep)
    ignored = (float(facts["data ignore value"]),) * len(image) if "data ignore value" in facts else ()
    grid = grid_of(data, facts)
    return Raster(image, (header, data), 0, centres, widths, tuple(notices), grid, ignored, names=names)


def grid_of(data: Path, facts: dict[str, Any]) -> Grid | None:
    """Where the pixels lie, as GDAL reads it from the header; None where the header or rasterio is missing."""
    if "map info" not in facts or not gdal_files.available():
        return None
    with gdal_files.opened(data) as source:
        transform, crs = tuple(source.transform)[:6], gdal_files.crs_text(source.crs)
    return Grid(transform, crs)


def parse_header(path: Path) -> dict[str, Any]:
    """Fields of a header by lower-case name: text, or a list of texts for values in braces.

    Raises:
        DatasetError: if the file is not an ENVI header.
    """
    text = path.read_text(encoding="latin-1")
    if not text.lstrip().upper().startswith("ENVI"):
        raise DatasetError(f"{path}: expected an ENVI header (first line ENVI), found '{text[:20].strip()}'")
    # Comments start with a semicolon; values in braces may extend over several lines.
    text = re.sub(r"(?m)^\s*;.*$", "", text)
    fields: dict[str, Any] = {}
    for match in re.finditer(r"(?m)^[ \t]*([^=\n]+?)[ \t]*=[ \t]*(\{[^}]*\}|[^\n]*)", text):
        value = match[2].strip()
        listed = [item.strip() for item in value[1:-1].split(",") if item.strip()] if value.startswith("{") else value
        fields[match[1].strip().lower()] = listed
    return fields


def _header_of(path: Path) -> Path | None:
    places = [path.with_suffix(HEADER), path.with_name(path.name + HEADER)]
    return next((place for place in places if place.is_file()), None)


def _data_of(header: Path) -> Path:
    stem = header.with_suffix("")
    places = [stem, *(stem.with_suffix(stem.suffix + ending) for ending in ENDINGS)]
    places += [place.with_suffix(place.suffix.upper()) for place in places[1:]]
    for place in places:
        if place.is_file():
            return place
    raise DatasetNotFoundError(
        f"{header}: no data beside it; expected {stem.name} with one of {', '.join(ENDINGS)}, or without ending"
    )


def _map_data(data: Path, facts: dict[str, Any], header: Path) -> Array:
    sizes = {name: _integer(facts, name, header) for name in ("samples", "lines", "bands")}
    code, interleave = _integer(facts, "data type", header), str(facts.get("interleave", "bsq")).lower()
    if code not in TYPES or interleave not in ORDERS or min(sizes.values()) < 1:
        raise DatasetError(
            f"{header}: data type {code}, interleave '{interleave}', sizes {sizes}; expected one of {sorted(TYPES)} (real "
            f"numbers), {', '.join(ORDERS)}, and positive sizes"
        )
    if str(facts.get("file compression", "0")) != "0":
        raise DatasetError(f"{header}: the data are compressed; save them uncompressed")
    order = ">" if str(facts.get("byte order", "0")) == "1" else "<"
    kind = np.dtype(order + TYPES[code])
    offset, count = int(facts.get("header offset", 0)), sizes["samples"] * sizes["lines"] * sizes["bands"]
    size = data.stat().st_size
    if size < offset + count * kind.itemsize:
        raise DatasetError(
            f"{data}: {size} bytes; the header says {sizes} of {kind.itemsize} bytes each after {offset}, "
            f"{offset + count * kind.itemsize} in all; is it complete, and is this its header?"
        )
    axes, turn = ORDERS[interleave]
    shape = tuple(sizes[axis] for axis in axes)
    return np.memmap(data, dtype=kind, mode="r", offset=offset, shape=shape).transpose(turn)


def _integer(facts: dict[str, Any], name: str, header: Path) -> int:
    try:
        return int(facts[name])
    except (KeyError, ValueError, TypeError) as error:
        raise DatasetError(f"{header}: expected an integer '{name}', found {facts.get(name, 'none')}") from error


def _good_bands(facts: dict[str, Any], count: int) -> list[int] | None:
    listed = facts.get("bbl")
    if not isinstance(listed, list) or len(listed) != count:
        return None
    good = [band for band, mark in enumerate(listed) if float(mark) != 0]
    return good if 0 < len(good) < count else None


def _texts(facts: dict[str, Any], name: str, count: int, keep: list[int] | None) -> tuple[str, ...]:
    listed = facts.get(name)
    if not isinstance(listed, list) or len(listed) != count:
        return ()
    return tuple(listed[band] for band in (range(count) if keep is None else keep))


def _numbers(
    facts: dict[str, Any], name: str, count: int, keep: list[int] | None, unit: float | None
) -> tuple[float, ...] | None:
    listed = facts.get(name)
    if not isinstance(listed, list) or len(listed) != count:
        return None
    values = [float(value) for value in listed]
    # Without a unit, numbers below 100 cannot be nm.
    factor = unit or (1000.0 if max(values) < 100 else 1.0)
    return tuple(factor * values[band] for band in (range(count) if keep is None else keep))
