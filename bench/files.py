"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# First characters of a cell that spreadsheets take for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name, then rename, so that no reader sees a half-written file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV atomically.

    Text that a spreadsheet would run as a formula (it begins with = + - @ or a control character) gets an apostrophe in front,
    as OWASP advises; numbers stay numbers.
    """
    texts = table.select_dtypes(include=["object", "string", "category"])
    safe = table.assign(**{str(name): texts[name].map(_harmless, na_action="ignore") for name in texts})
    write_atomically(path, safe.to_csv(index=False, lineterminator="\n").encode("utf-8", errors="replace"))


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in FORMULAS and value else value


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz file atomically; not compressed, since digital numbers shrink little and slowly."""
    import numpy as np

    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file; empty if there is none."""
    import numpy as np

    if not path.is_file():
        return {}
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}
