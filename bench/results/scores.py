"""All single scores of a store, and the values of one index as a matrix of images and methods."""

from __future__ import annotations

from typing import Any

import pandas as pd

from waldbench.bench.results.record import Record
from waldbench.bench.results.statistics import per_image
from waldbench.bench.results.store import SCORE_COLUMNS, Store

# Only rows that agree in all of these may be compared.
GROUP = ["protocol", "dataset", "source", "fingerprint"]
LONG = ("protocol", "dataset", "method", "seed", *SCORE_COLUMNS)
SAMPLES = [*GROUP, "method", "seed", *SCORE_COLUMNS]


def samples(store: Store) -> pd.DataFrame:
    """Every score of every finished cell, with what tells comparable data: the columns `SAMPLES`."""
    parts = []
    for cell, record in store.cells():
        if record.ok:
            values: list[Any] = [cell.protocol, cell.dataset, *data_of(record), cell.method, cell.seed]
            parts.append(store.scores(cell).assign(**dict(zip(SAMPLES, values, strict=False))))
    return pd.concat(parts, ignore_index=True)[SAMPLES] if parts else pd.DataFrame(columns=SAMPLES)


def data_of(record: Record) -> tuple[str, str]:
    """Source and fingerprint of the data of a record, empty where it has none."""
    return record.dataset["source"], record.dataset["fingerprint"]


def matrix(part: pd.DataFrame, found: pd.DataFrame, column: str) -> pd.DataFrame:
    """Values of one index on each image.

    Args:
        part: rows of one table of the leaderboard, in the order that the columns shall have.
        found: `samples` of the store.
        column: of the leaderboard, `<split>_<metric>_mean`.

    Returns:
        One row an image that all have, one column a method (its key), means over seeds; methods without the index, or with a
        value missing, are left out.
    """
    split, _, metric = column.removesuffix("_mean").partition("_")
    chosen = found[(found["split"] == split) & (found["metric"] == metric)]
    for name in GROUP:
        chosen = chosen[chosen[name] == part.iloc[0][name]]
    series = {method: per_image(values).droplevel(["split", "metric"]) for method, values in chosen.groupby("method", sort=False)}
    complete = {method: series[method] for method in part["method"] if method in series and series[method].notna().all()}
    return pd.concat(complete, axis=1).dropna() if complete else pd.DataFrame()
