"""Figures derived from the store: fused images side by side, and accuracy against cost.

Every figure is written as PNG and PDF and names data source and protocol. A figure whose inputs did not change is left alone.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench import gallery, leaderboard, scatter, style
from bench.store import Cell, Store, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOURCES = ("figures.py", "gallery.py", "scatter.py", "style.py", "columns.py")
Draw = Callable[[], "Figure | None"]


def write(store: Store, frame: pd.DataFrame | None = None) -> list[Path]:
    """Write all figures of a store below `<root>/figures` and return their paths.

    `<protocol>_<dataset>_<split>-<index>` shows the images kept for figures, `<protocol>_<dataset>_cost` accuracy against cost.
    """
    frame = leaderboard.build(store) if frame is None else frame
    paths: list[Path] = []
    for name, part in leaderboard.groups(frame):
        good = part[part["status"] == "ok"]
        cells = _cells(store, good)
        inputs = [store.folder(cell) / "images.npz" for cell in cells.values()]
        row = part.iloc[0]
        folder = store.root / row["protocol"] / row["dataset"]
        for key in _keys([folder / "reference.npz"]):
            state = _state(good, key, [folder / "reference.npz", *inputs])
            paths += _save(store, f"{name}_{key}", state, lambda: _images(store, good, cells, key))  # noqa: B023
        state = _state(good, "cost", [])
        paths += _save(store, f"{name}_cost", state, lambda: scatter.draw(good))  # noqa: B023
    return paths
