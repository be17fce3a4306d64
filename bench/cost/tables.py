"""`costs.csv` and `speed.csv`: every stored row of the command `cost`, and of pytest-benchmark files in `benchmarks`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from waldbench.bench.cost import grid, timings
from waldbench.bench.files import write_table
from waldbench.bench.results.store import Store


def write(store: Store, frame: pd.DataFrame | None = None) -> list[Path]:
    """Derive both files; where nothing was measured there is none."""
    tables = {"costs.csv": table(store.root), "speed.csv": timings.table(store.root / "benchmarks")}
    paths = []
    for name, rows in tables.items():
        if len(rows):
            write_table(store.root / name, rows)
            paths.append(store.root / name)
    return paths


def table(root: Path) -> pd.DataFrame:
    """All rows of the command `cost`, one a measurement."""
    return pd.DataFrame([row for file in sorted((root / "costs").glob("*/*.json")) for row in grid.read(file)])
