"""Figures on disk, as PNG and PDF: a figure whose inputs did not change is left alone, since the PNG carries a hash of them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from waldbench.bench.figures import style
from waldbench.bench.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HASH = "Inputs"
# Code outside this folder that decides what a figure shows.
OUTSIDE = ("results/columns.py", "results/significance.py")


@dataclass(frozen=True)
class Drawing:
    """A figure that may be drawn.

    Attributes:
        stem: path of its files without the endings.
        state: hash of everything it is drawn from.
        draw: draws it; None as result: there is nothing to show.
        fast: whether it is drawn by every run; the others by `report`.
    """

    stem: Path
    state: str
    draw: Callable[[], Figure | None]
    fast: bool

    def update(self, only_fast: bool) -> list[Path]:
        """Draw what is not up to date; what is left out is removed where it is out of date. Returns the files that are there."""
        if _is_current(self.stem, self.state):
            return _outputs(self.stem)
        if self.fast or not only_fast:
            with style.settings():
                figure = self.draw()
            if figure is not None:
                return _save(figure, self.stem, self.state)
        for path in _outputs(self.stem):
            path.unlink(missing_ok=True)
        return []


def state(*inputs: pd.DataFrame | Path | str) -> str:
    """Hash of tables, of files by their size and time, of texts, and of the drawing code."""
    content = [_code(), *(_content(value) for value in inputs)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _content(value: pd.DataFrame | Path | str) -> Any:
    if isinstance(value, pd.DataFrame):
        return hashlib.sha256(pd.util.hash_pandas_object(value.astype("string")).to_numpy().tobytes()).hexdigest()
    if isinstance(value, Path):
        return [str(value), value.stat().st_size, value.stat().st_mtime_ns] if value.is_file() else str(value)
    return value


@lru_cache(maxsize=1)
def _code() -> str:
    folder = Path(__file__).parent
    files = sorted(folder.glob("*.py")) + [folder.parent / name for name in OUTSIDE]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _outputs(stem: Path) -> list[Path]:
    # No with_suffix: names of protocols and datasets may hold dots.
    return [stem.with_name(f"{stem.name}.{suffix}") for suffix in style.DPI]


def _is_current(stem: Path, state: str) -> bool:
    """Whether the files of a figure are there and were drawn from this state."""
    from PIL import Image, UnidentifiedImageError

    if not all(path.is_file() for path in _outputs(stem)):
        return False
    try:
        with Image.open(stem.with_name(f"{stem.name}.png")) as image:
            return image.info.get(HASH) == state
    except UnidentifiedImageError:
        return False


def _save(figure: Figure, stem: Path, state: str) -> list[Path]:
    metadata = {"pdf": {"CreationDate": None}, "png": {HASH: state, "Software": None}}
    # Photographs hardly shrink at higher levels, and most of the time went there.
    options: dict[str, dict[str, Any]] = {"pdf": {}, "png": {"pil_kwargs": {"compress_level": 2}}}
    for path, (suffix, dpi) in zip(_outputs(stem), style.DPI.items(), strict=True):
        stream = io.BytesIO()
        with style.settings():
            figure.savefig(stream, format=suffix, metadata=metadata[suffix], dpi=dpi, **options[suffix])
        write_atomically(path, stream.getvalue())
    return _outputs(stem)
