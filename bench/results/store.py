"""The store: one folder a cell, written once, atomically; every table, figure and page is derived from it.

Layout: `<root>/<protocol id>/<dataset label>/<method>/seed-<n>/` (`seed-<n>@<code>/`: what other code gave earlier) with

- `record.json`: status, configuration, environment, data fingerprint, cost, timings (see `docs/results.md`),
- `scores.csv`: split, image, metric, value; one row per image and index,
- `images.npz`: fused images kept for figures (uint16 digital numbers, or float32), keys `<split>-<index>` (C, H, W),
- `weights.safetensors`, `tensorboard/`: of trained methods.

Beside the methods, `<dataset label>/reference.npz` keeps what the figures compare with (`<split>-<index>-gt|lms|guide`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from waldbench.bench.errors import UsageError
from waldbench.bench.files import write_atomically
from waldbench.bench.results import locks, reading
from waldbench.bench.results.record import Record, RecordError
from waldbench.catalogue import check_name

SCORE_COLUMNS = ("split", "image", "metric", "value")
# One column more where the images have a cloud mask: the share that clouds and shadows hide.
COVERAGE = "coverage"
WEIGHTS = "weights.safetensors"
# Between a cell's folder and the code that made it, in the names of what is kept as history.
HISTORY = "@"


@dataclass(frozen=True)
class Cell:
    """One method on one dataset with one seed under one protocol.

    Raises:
        UsageError: if a name is not safe as the name of a folder.
    """

    protocol: str
    dataset: str
    method: str
    seed: int

    def __post_init__(self) -> None:
        try:
            for what in ("protocol", "dataset", "method"):
                check_name(what, getattr(self, what))
        except ValueError as error:
            raise UsageError(str(error)) from error

    @property
    def path(self) -> Path:
        """Folder, relative to the store's root."""
        return Path(self.protocol) / self.dataset / self.method / f"seed-{self.seed}"

    def __str__(self) -> str:
        return f"{self.method} on {self.dataset}, seed {self.seed}"


class Store:
    """Results on disk below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.problems: list[str] = []
        # Why a file is left out, by its path below the root.
        self.damaged: dict[str, str] = {}

    def folder(self, cell: Cell) -> Path:
        """Final folder of a cell."""
        return self.root / cell.path

    def scratch(self, cell: Cell) -> Path:
        """Folder of an unfinished cell (checkpoints, logs); renamed to `folder(cell)` by `commit`."""
        folder = self.folder(cell)
        return folder.with_name(f".{folder.name}.partial")

    def lock(self, cell: Cell, wait: Callable[[locks.Owner], None]) -> AbstractContextManager[bool]:
        """Hold a cell alone; see `locks.held`."""
        return locks.held(self._lock_file(cell), wait)

    def holder(self, cell: Cell) -> locks.Owner | None:
        """Who holds a cell; None if nobody does."""
        return locks.holder(self._lock_file(cell))

    def _lock_file(self, cell: Cell) -> Path:
        folder = self.folder(cell)
        return folder.with_name(f".{folder.name}.lock")

    def read(self, cell: Cell) -> Record | None:
        """The record of a cell, or None if there is none or it cannot be read."""
        try:
            return _read(self.folder(cell) / "record.json")
        except RecordError:
            return None

    def weights(self, cell: Cell) -> Path:
        """File of the trained weights of a cell."""
        return self.folder(cell) / WEIGHTS

    def commit(self, cell: Cell, record: Record, scores: list[dict[str, Any]] | None = None) -> None:
        """Complete the scratch folder with record and scores and rename it into place.

        It replaces an earlier result of the same code; one of other code is kept as history.

        Raises:
            FileNotFoundError: for a trained cell whose weights are not in the scratch folder.
        """
        scratch, folder = self.scratch(cell), self.folder(cell)
        scratch.mkdir(parents=True, exist_ok=True)
        if record.ok and record.weights == "trained" and not (scratch / WEIGHTS).is_file():
            raise FileNotFoundError(f"{cell} was trained, but {scratch / WEIGHTS} is gone; run the same command again")
        if scores is not None:
            pd.DataFrame(scores, columns=_columns(scores)).to_csv(scratch / "scores.csv", index=False)
        write_atomically(scratch / "record.json", _encoded(record))
        self.retire(cell, record)
        if folder.exists():
            old = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            os.replace(folder, old)
            os.replace(scratch, folder)
            shutil.rmtree(old)
        else:
            os.replace(scratch, folder)
        if record.weights is None and cell.seed == 0:
            self._forget_failures(cell)

    def fail(self, cell: Cell, record: Record) -> None:
        """Write a failed record beside what the scratch folder keeps for a later resume; a success of the same code stays."""
        self.retire(cell, record)
        earlier = self.read(cell)
        if earlier is not None and earlier.ok:
            return
        folder = self.folder(cell)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "record.json", _encoded(record))

    def retire(self, cell: Cell, new: Record) -> None:
        """Keep a finished cell as history, `seed-<n>@<code>`, where `new` is made by other code."""
        earlier = self.read(cell)
        if earlier is None or not earlier.ok or new.made_with == "unknown" or earlier.made_with == new.made_with:
            return
        folder = self.folder(cell)
        history = folder.with_name(f"{folder.name}{HISTORY}{earlier.made_with}")
        shutil.rmtree(history, ignore_errors=True)
        os.replace(folder, history)

    def history(self, cell: Cell) -> Iterator[tuple[Path, Record]]:
        """Folder and record of what other code gave for a cell."""
        folder = self.folder(cell)
        for path in sorted(folder.parent.glob(f"{folder.name}{HISTORY}*")):
            try:
                record = _read(path / "record.json")
            except RecordError:
                continue
            if record is not None and record.ok:
                yield path, record

    def restore(self, cell: Cell, history: Path, record: Record) -> None:
        """Put an earlier result back, whose code is today's again."""
        self.retire(cell, record)
        folder = self.folder(cell)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(history, folder)

    def mark(self, cell: Cell, stale: str) -> None:
        """Note in a record what of its code has changed since; empty: nothing."""
        record = self.read(cell)
        if record is not None and record.code.get("stale", "") != stale:
            record.code = record.code | {"stale": stale}
            write_atomically(self.folder(cell) / "record.json", _encoded(record))

    def forget(self, cell: Cell) -> None:
        """Remove a failed record; a success stays."""
        record = self.read(cell)
        if record is not None and not record.ok:
            shutil.rmtree(self.folder(cell), ignore_errors=True)

    def _forget_failures(self, cell: Cell) -> None:
        """A method without weights has one cell; failures under other seeds tell of a time when it could not be built."""
        for path in self.folder(cell).parent.glob("seed-*"):
            seed = path.name.removeprefix("seed-")
            if seed.isdecimal() and int(seed) != cell.seed:
                self.forget(Cell(cell.protocol, cell.dataset, cell.method, int(seed)))

    def cells(self) -> Iterator[tuple[Cell, Record]]:
        """Every cell with a sound record, in path order; of any other, `problems` tells in one line why it is left out."""
        self.problems = []
        for path in sorted(self.root.glob("*/*/*/seed-*/record.json")):
            folder = path.parent.relative_to(self.root)
            protocol, dataset, method, seed = folder.parts
            number, mark, _ = seed.removeprefix("seed-").partition(HISTORY)
            if mark:
                continue
            try:
                if not number.isdecimal():
                    raise RecordError("expected a folder seed-<number>")
                cell, record = Cell(protocol, dataset, method, int(number)), _read(path)
            except (RecordError, UsageError) as error:
                self.problems.append(f"cell {folder.as_posix()}: record.json: {error}; left out")
                continue
            if record is not None:
                yield cell, record

    def scores(self, cell: Cell) -> pd.DataFrame:
        """Long scores of a cell: split, image, metric, value; empty where the cell failed."""
        path = self.folder(cell) / "scores.csv"
        if not path.exists():
            return pd.DataFrame(columns=list(SCORE_COLUMNS))
        try:
            return reading.scores(path)
        except reading.DamagedError as error:
            self.leave_out(path, error)
            return pd.DataFrame(columns=list(SCORE_COLUMNS))

    def images(self, cell: Cell) -> dict[str, np.ndarray]:
        """Fused images kept for figures, by `<split>-<index>`."""
        return self._images(self.folder(cell) / "images.npz")

    def reference(self, protocol: str, dataset: str) -> dict[str, np.ndarray]:
        """Ground truth, lms and guide kept for figures, by `<split>-<index>-<image>`."""
        path = self.root / protocol / dataset / "reference.npz"
        found = self._images(path)
        complete = set(reading.scenes({name: image.shape for name, image in found.items()}))
        return {name: image for name, image in found.items() if name.rpartition("-")[0] in complete}

    def shapes(self, path: Path) -> dict[str, tuple[int, ...]]:
        """Shapes of the images in a file, which are not read; of a damaged file `damaged` tells why there are none."""
        try:
            return reading.shapes(path)
        except reading.DamagedError as error:
            self.leave_out(path, error)
            return {}

    def _images(self, path: Path) -> dict[str, np.ndarray]:
        found = {}
        for name in self.shapes(path):
            try:
                found[name] = reading.image(path, name)
            except reading.DamagedError as error:
                self.leave_out(path, error)
        return found

    def leave_out(self, path: Path, error: Exception) -> None:
        """Note that a file is left out, in one line."""
        place = path.relative_to(self.root)
        self.damaged[place.as_posix()] = f"{place.parent.as_posix()}: {place.name}: {error}; left out"

    def is_sound(self, cell: Cell) -> bool:
        """Whether the scores of a cell could be read, where they have been asked for."""
        return (cell.path / "scores.csv").as_posix() not in self.damaged


def _columns(scores: list[dict[str, Any]]) -> list[str]:
    return [*SCORE_COLUMNS, *([COVERAGE] if any(COVERAGE in row for row in scores) else [])]


def _encoded(record: Record) -> bytes:
    return json.dumps(record.to_json(), indent=1, sort_keys=True, allow_nan=False).encode()


def _read(path: Path) -> Record | None:
    """The record of a file; None where there is none. Raises RecordError for anything else."""
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"cannot be read: {error}") from error
    return Record.from_json(content)
