"""Figures derived from the store: fused images side by side, and accuracy against cost.

Every figure is written as PNG and PDF and names data source and protocol. A figure whose inputs did not change is left alone:
the PNG carries a hash of them.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench import gallery, leaderboard, scatter, style
from bench.columns import SPLITS, data_title
from bench.store import Cell, Store, write_atomically
from catalogue import UnknownNameError
from imaging import sensors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HASH = "Inputs"
DRAWN_BY = [Path(__file__).with_name(name) for name in ("figures.py", "gallery.py", "scatter.py", "style.py", "columns.py")]


def write(store: Store, frame: pd.DataFrame | None = None, fast: bool = False) -> list[Path]:
    """Write all figures of a store below `<root>/figures` and return their paths.

    `<protocol>_<dataset>_<split>-<index>` shows the images kept for figures, `<protocol>_<dataset>_cost` accuracy against cost.
    """
    frame = leaderboard.build(store) if frame is None else frame
    paths: list[Path] = []
    for name, part in leaderboard.groups(frame):
        good = part[part["status"] == "ok"]
        if len(good):
            paths += _write_images(store, name, good) + _write_cost(store, name, good)
    return paths


def _write_images(store: Store, name: str, part: pd.DataFrame) -> list[Path]:
    protocol, dataset = part.iloc[0]["protocol"], part.iloc[0]["dataset"]
    cells = _cells(store, part)
    files = [store.root / protocol / dataset / "reference.npz", *(store.folder(cell) / "images.npz" for cell in cells.values())]
    state = _state(part[["title", "rank"]], files)
    stems = {key: store.root / "figures" / f"{name}_{key}" for key in _keys(files[0])}
    if all(_is_current(stem, state) for stem in stems.values()):
        return [path for stem in stems.values() for path in _outputs(stem)]
    reference = store.reference(protocol, dataset)
    images = {title: store.images(cell) for title, cell in cells.items()}
    paths: list[Path] = []
    for key, stem in stems.items():
        paths += _save(_draw(part, key, reference, images), stem, state)
    return paths


def _write_cost(store: Store, name: str, part: pd.DataFrame) -> list[Path]:
    state = _state(part, [])
    stem = store.root / "figures" / f"{name}_cost"
    if _is_current(stem, state):
        return _outputs(stem)
    with style.settings():
        figure = scatter.draw(part)
    return [] if figure is None else _save(figure, stem, state)


def _draw(part: pd.DataFrame, key: str, reference: dict[str, np.ndarray], images: dict[str, dict[str, np.ndarray]]) -> Figure:
    wanted = {label: reference[f"{key}-{label}"] for label in ("gt", "lms", "guide") if f"{key}-{label}" in reference}
    shape = wanted["lms"].shape
    fused = {title: kept[key] for title, kept in images.items() if key in kept and kept[key].shape == shape}
    split, _, index = key.partition("-")
    heading = f"{data_title(part)}, {SPLITS.get(split, split).lower()}, image {index}, protocol {part.iloc[0]['protocol']}"
    with style.settings():
        return gallery.draw(wanted, fused, shown_bands(part.iloc[0]["sensor"], shape[0]), heading)


def _cells(store: Store, part: pd.DataFrame) -> dict[str, Cell]:
    """One finished cell a method by title, the best method last, next to the ground truth; EXP is drawn from the reference."""
    wanted = part[part["method"] != "exp"][::-1]
    row = part.iloc[0]
    finished: dict[str, Cell] = {}
    for cell, record in store.cells():
        here = (cell.protocol, cell.dataset) == (row["protocol"], row["dataset"])
        if here and record["status"] == "ok" and record["dataset"].get("fingerprint", "") == row["fingerprint"]:
            finished.setdefault(cell.method, cell)
    return {_unique(wanted, method): finished[method] for method in wanted["method"] if method in finished}


def _unique(part: pd.DataFrame, method: str) -> str:
    """Title of a method, its key where two methods share a title."""
    title = str(part.loc[part["method"] == method, "title"].iloc[0])
    return title if (part["title"] == title).sum() == 1 else method


def shown_bands(key: str, bands: int) -> tuple[int, int, int]:
    """Bands shown as red, green and blue for the key of a sensor; of unnamed sensors, spread over the spectrum.

    The keys of users' cubes end in their own three bands, counted from 1.
    """
    if own := re.fullmatch(rf"cube{bands}-(\d+)-(\d+)-(\d+)", key):
        red, green, blue = (int(number) - 1 for number in own.groups())
        return red, green, blue
    try:
        sensor = sensors.get(key)
    except UnknownNameError:
        sensor = sensors.generic(bands)
    return sensor.rgb if sensor.count == bands else sensors.generic(bands).rgb


def _state(part: pd.DataFrame, files: list[Path]) -> str:
    """Hash of everything that a figure is drawn from: rows, image files, the drawing code."""
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()]
    content = json.dumps([part.to_csv(), stats, [path.read_text(encoding="utf-8") for path in DRAWN_BY]])
    return hashlib.sha256(content.encode()).hexdigest()


def _keys(path: Path) -> list[str]:
    """Images of which a reference is kept, `<split>-<index>`; the arrays themselves stay on disk."""
    if not path.is_file():
        return []
    with np.load(path) as archive:
        return list(dict.fromkeys(label.rpartition("-")[0] for label in archive.files))


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
