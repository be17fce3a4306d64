"""How well clouds are removed from images with few and with many: means of every index over bins of cloud coverage."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pandas as pd

from waldbench.bench.files import write_table
from waldbench.bench.results.store import COVERAGE, Store

# Limits of the bins: shares of an image that clouds and shadows hide.
BINS = (0.0, 0.1, 0.3, 0.5, 0.8, 1.0)
COLUMNS = ["protocol", "dataset", "fingerprint", "method", "split", "metric", "coverage", "images", "mean"]


def write(store: Store) -> list[Path]:
    """Write `coverage.csv` below the store's root and return its path; nothing where no image has a cloud mask."""
    table = build(store)
    path = store.root / "coverage.csv"
    if table.empty:
        return []
    write_table(path, table)
    return [path]


def build(store: Store) -> pd.DataFrame:
    """Means over the images of each bin (of means over seeds); a bin without an image has no row.

    Returns:
        Columns protocol, dataset, fingerprint, method, split, metric, coverage ("0.1-0.3"), images and mean.
    """
    parts = []
    for cell, record in store.cells():
        scores = store.scores(cell) if record.ok else pd.DataFrame()
        if COVERAGE in scores:
            facts = {"protocol": cell.protocol, "dataset": cell.dataset, "method": cell.method}
            parts.append(scores.assign(**facts, fingerprint=record.dataset["fingerprint"]))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    return _bins(pd.concat(parts, ignore_index=True))


def _bins(scores: pd.DataFrame) -> pd.DataFrame:
    labels = [f"{low:g}-{high:g}" for low, high in pairwise(BINS)]
    # An image without any cloud belongs to the first bin.
    scores = scores.assign(coverage=pd.cut(scores[COVERAGE], list(BINS), labels=labels, include_lowest=True).astype(str))
    keys = COLUMNS[:7]
    images = scores.groupby([*keys, "image"], sort=False)["value"].mean().reset_index()
    found = images.groupby(keys, sort=False)["value"].agg(["count", "mean"]).reset_index()
    order = found[COVERAGE].map(labels.index)
    return found.assign(order=order).sort_values([*keys[:6], "order"], kind="stable").rename(columns={"count": "images"})[COLUMNS]
