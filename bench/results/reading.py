"""Scores and images of results folders that anybody may have written: read with a look at every value, or refused in one line."""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

Shape = tuple[int, ...]
NAME = re.compile(r"(reduced|full)-\d{1,6}(-(gt|lms|guide))?")
# Bytes; a million rows have 60 MB.
LARGEST_TABLE = 256 << 20
# Of one array that is kept for figures: 1024 x 1024 pixels of 500 bands in single precision.
LARGEST_ARRAY = 2 << 30
MOST_ARRAYS = 256


class DamagedError(ValueError):
    """A file that does not hold what it should; the message is one line and says what is wrong."""


def scores(path: Path) -> pd.DataFrame:
    """Long scores of one cell; names stay text, whatever they look like ("NA", "001", "1e5").

    Returns:
        split, image, metric (text), value (float, missing where the file has none) and coverage where the file has it.

    Raises:
        DamagedError: naming the column and the value.
    """
    table = _text_table(path)
    missing = [name for name in ("split", "image", "metric", "value") if name not in table]
    if missing:
        raise DamagedError(f"column {missing[0]} is missing")
    for name, form in {"split": re.compile("reduced|full"), "metric": re.compile(r"[\w.-]{1,64}")}.items():
        wrong = [value for value in table[name].unique() if not form.fullmatch(str(value))]
        if wrong:
            raise DamagedError(f"{name}: got {_short(wrong[0])}")
    columns = {name: table[name] for name in ("split", "image", "metric")} | {"value": _numbers(table["value"], "value")}
    if "coverage" in table:
        columns["coverage"] = _numbers(table["coverage"], "coverage", 0, 1)
    return pd.DataFrame(columns)


def _text_table(path: Path) -> pd.DataFrame:
    try:
        if not path.is_file():
            raise DamagedError("expected a file")
        if path.stat().st_size > LARGEST_TABLE:
            raise DamagedError(f"expected at most {LARGEST_TABLE >> 20} MiB")
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8", on_bad_lines="error")
    except DamagedError:
        raise
    except (OSError, ValueError, OverflowError, MemoryError, pd.errors.ParserError) as error:
        raise DamagedError(f"cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error


def _numbers(texts: pd.Series[str], name: str, low: float = -math.inf, high: float = math.inf) -> pd.Series[float]:
    """Texts as finite numbers; empty ones are missing."""
    values = pd.to_numeric(texts.where(texts != ""), errors="coerce").astype("float64")
    wrong = ((texts != "") & ~np.isfinite(values)) | (values < low) | (values > high)
    if wrong.any():
        raise DamagedError(f"{name}: expected a number, got {_short(texts[wrong].iloc[0])}")
    return values


def shapes(path: Path) -> dict[str, Shape]:
    """Shape (C, H, W) of every image in an npz file, from the headers; empty if there is no file.

    Raises:
        DamagedError: if it is anything but such images as `files.save_arrays` writes.
    """
    try:
        if not path.exists():
            return {}
        if not path.is_file():
            raise DamagedError("expected a file")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_ARRAYS:
                raise DamagedError(f"expected at most {MOST_ARRAYS} images, got {len(entries)}")
            return {entry.filename.removesuffix(".npy"): _shape(archive, entry) for entry in entries}
    except DamagedError:
        raise
    except Exception as error:  # zipfile and numpy raise whatever a broken header leads to
        raise DamagedError(_cannot(error)) from error


def _shape(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Shape:
    name = entry.filename.removesuffix(".npy")
    if not NAME.fullmatch(name) or entry.compress_type != zipfile.ZIP_STORED:
        raise DamagedError(f"expected images such as reduced-0, not compressed, got {_short(name)}")
    with archive.open(entry) as stream:
        shape, kind, start = _header(stream)  # type: ignore[arg-type]
    expected = math.prod(shape) * kind.itemsize
    if kind.kind not in "uf" or len(shape) != 3 or min(shape) < 1 or not 0 < expected <= LARGEST_ARRAY:
        raise DamagedError(f"{name}: expected an image (C, H, W) of numbers, got shape {_short(shape)} of {kind}")
    if start + expected != entry.file_size:
        raise DamagedError(f"{name}: {entry.file_size} bytes do not hold shape {shape} of {kind}")
    return shape


def _header(stream: BinaryIO) -> tuple[Shape, np.dtype[Any], int]:
    major, _ = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    return tuple(shape), kind, stream.tell()


def image(path: Path, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    """One image of an npz file whose `shapes` are known to be sound.

    Raises:
        DamagedError: if its bytes are damaged or some are not finite.
    """
    try:
        with np.load(path) as archive:
            found: np.ndarray[Any, np.dtype[Any]] = archive[name]
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedError(f"{name}: {_cannot(error)}") from error
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise DamagedError(f"{name}: NaN or infinite values")
    return found


def scenes(found: dict[str, Shape]) -> list[str]:
    """Test images of which the reference is complete: `lms` and `guide` of one size, `gt` (where there is one) like `lms`."""
    keys = dict.fromkeys(name.rpartition("-")[0] for name in found if name.endswith(("-lms", "-guide", "-gt")))
    return [key for key in keys if _is_complete(*(found.get(f"{key}-{what}", ()) for what in ("lms", "guide", "gt")))]


def _is_complete(lms: Shape, guide: Shape, gt: Shape) -> bool:
    return bool(lms and guide) and lms[1:] == guide[1:] and gt in {(), lms}


def _cannot(error: Exception) -> str:
    return f"cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"[:200]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
