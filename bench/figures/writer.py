"""Figures derived from the store; which there are and what each is drawn from.

Every figure is written as PNG and PDF and names data source and protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from waldbench.bench.figures import (
    boxes,
    curves,
    details,
    gallery,
    ranks,
    scatter,
    sensor_plot,
)
from waldbench.bench.figures.files import Drawing, state
from waldbench.bench.results import leaderboard, reading
from waldbench.bench.results.columns import data_title, headings
from waldbench.bench.results.record import Record
from waldbench.bench.results.scores import GROUP, data_of, samples
from waldbench.bench.results.store import Cell, Store
from waldbench.imaging import sensors, tracks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arrays = dict[str, np.ndarray]
# Reference images, and fused images by title.
Kept = tuple[Arrays, dict[str, Arrays]]


def write(store: Store, frame: pd.DataFrame | None = None, fast: bool = False) -> list[Path]:
    """Write the figures of a store below `<root>/figures` and return their paths.

    For each table of the leaderboard, `<protocol>_<dataset>_` followed by `<split>-<index>` (images kept for figures, side by
    side), `<split>-<index>_detail` (detail and error of the two best), `cost`, `cuda`, `flops`, `parameters` (accuracy against
    cost), `boxes` (every image), `ranks` (critical differences) and `training`; and `sensor_<key>`.

    Args:
        store: the results.
        frame: their leaderboard, where it has been built already.
        fast: draw the first image of each split, `cost` and `boxes` only, and remove the others where they are out of date.
    """
    frame = leaderboard.build(store) if frame is None else frame
    found = samples(store)
    cells = [(cell, record) for cell, record in store.cells() if record.ok]
    paths: list[Path] = []
    for name, part in leaderboard.groups(frame):
        good = part[part["status"] == "ok"]
        if len(good):
            mine = [(cell, record) for cell, record in cells if _belongs(cell, record, good.iloc[0])]
            for drawing in _drawings(store, name, good, found, mine):
                paths += drawing.update(fast)
    for key in sorted(set(frame["sensor"]) & set(sensors.names())):
        sensor = sensors.get(key)
        drawing = Drawing(store.root / "figures" / f"sensor_{key}", state(repr(sensor)), partial(sensor_plot.draw, sensor), False)
        paths += drawing.update(fast)
    return paths


def drawings(store: Store, name: str, part: pd.DataFrame, found: pd.DataFrame) -> Iterator[tuple[str, Drawing]]:
    """What may be drawn of one table, each with the kind of figure as its files are called.

    Args:
        store: the results.
        name: of the table, see `leaderboard.groups`.
        part: its rows of the leaderboard.
        found: `samples` of the store.
    """
    good = part[part["status"] == "ok"]
    if not len(good):
        return
    cells = [(cell, record) for cell, record in store.cells() if record.ok and _belongs(cell, record, good.iloc[0])]
    for drawing in _drawings(store, name, good, found, cells):
        yield drawing.stem.name.removeprefix(f"{name}_"), drawing


def _belongs(cell: Cell, record: Record, row: pd.Series[Any]) -> bool:
    return [cell.protocol, cell.dataset, *data_of(record)] == [row[name] for name in GROUP]


def _drawings(
    store: Store, name: str, part: pd.DataFrame, found: pd.DataFrame, cells: list[tuple[Cell, Record]]
) -> Iterator[Drawing]:
    folder = store.root / "figures"
    yield from _images(store, name, part, cells)
    here = found[(found[GROUP] == part.iloc[0][GROUP]).all(axis=1)]
    for kind in scatter.COSTS:
        yield Drawing(folder / f"{name}_{kind}", state(part, kind), partial(scatter.draw, part, kind), kind == "cost")
    yield Drawing(folder / f"{name}_boxes", state(part, here), partial(boxes.draw, part, here), True)
    yield Drawing(folder / f"{name}_ranks", state(part, here), partial(ranks.draw, part, here), False)
    training = repr([(str(cell), record.training) for cell, record in cells])
    heading = f"{data_title(part)}, protocol {part.iloc[0]['protocol']}"
    yield Drawing(folder / f"{name}_training", state(training), partial(curves.draw, cells, heading), False)


def _images(store: Store, name: str, part: pd.DataFrame, finished: list[tuple[Cell, Record]]) -> Iterator[Drawing]:
    """The images kept for figures; they are read only if a figure is drawn from them."""
    cells = _cells(part, [cell for cell, _ in finished])
    reference = store.root / part.iloc[0]["protocol"] / part.iloc[0]["dataset"] / "reference.npz"
    files = [reference, *(store.folder(cell) / "images.npz" for cell in cells.values())]
    inputs = state(part[["title", "rank"]], *files)

    @lru_cache(maxsize=1)
    def read() -> Kept:
        row = part.iloc[0]
        return store.reference(row["protocol"], row["dataset"]), {title: store.images(cell) for title, cell in cells.items()}

    keys = reading.scenes(store.shapes(reference))
    for key in keys:
        first = key == next(other for other in keys if other.partition("-")[0] == key.partition("-")[0])
        stem = store.root / "figures" / f"{name}_{key}"
        yield Drawing(stem, inputs, partial(_draw, part, key, read), first)
        if first and key.startswith("reduced"):
            yield Drawing(stem.with_name(f"{stem.name}_detail"), inputs, partial(_draw_detail, part, key, read), False)


def _draw(part: pd.DataFrame, key: str, read: Callable[[], Kept]) -> Figure:
    reference, images = read()
    wanted, fused = _choose(key, reference, images)
    shown = gallery.shown_bands(part.iloc[0]["sensor"], len(wanted["lms"]))
    return gallery.draw(wanted, fused, shown, _heading(part, key), tracks.shown(part.iloc[0]["track"]))


def _draw_detail(part: pd.DataFrame, key: str, read: Callable[[], Kept]) -> Figure | None:
    """Draw what the two best methods did; the best is kept last."""
    reference, images = read()
    wanted, fused = _choose(key, reference, images)
    best = dict(list(reversed(fused.items()))[:2])
    if "gt" not in wanted or not best:
        return None
    return details.draw(wanted, best, gallery.shown_bands(part.iloc[0]["sensor"], len(wanted["lms"])), _heading(part, key))


def _choose(key: str, reference: Arrays, images: dict[str, Arrays]) -> tuple[Arrays, Arrays]:
    """What one figure compares with, and the fused images that have its shape."""
    wanted = {label: reference[f"{key}-{label}"] for label in ("gt", "lms", "guide") if f"{key}-{label}" in reference}
    shape = wanted["lms"].shape
    return wanted, {title: kept[key] for title, kept in images.items() if key in kept and kept[key].shape == shape}


def _heading(part: pd.DataFrame, key: str) -> str:
    split, _, index = key.partition("-")
    return f"{data_title(part)}, {headings(part).get(split, split).lower()}, image {index}, protocol {part.iloc[0]['protocol']}"


def _cells(part: pd.DataFrame, cells: list[Cell]) -> dict[str, Cell]:
    """One finished cell a method by title, the best method last, next to the ground truth; without the baselines."""
    wanted = part[~part["method"].isin(gallery.BASELINES)][::-1]
    finished: dict[str, Cell] = {}
    for cell in cells:
        finished.setdefault(cell.method, cell)
    return {_unique(wanted, method): finished[method] for method in wanted["method"] if method in finished}


def _unique(part: pd.DataFrame, method: str) -> str:
    """Title of a method, its key where two methods share a title."""
    title = str(part.loc[part["method"] == method, "title"].iloc[0])
    return title if (part["title"] == title).sum() == 1 else method
