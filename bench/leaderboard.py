"""The leaderboard: one row per protocol, dataset and method, derived from the store.

Rows that differ in protocol id, dataset, source or data fingerprint are never averaged or ranked together. The columns are
described in `docs/results.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench import zoo
from bench.columns import direction
from bench.statistics import SUMMARY, summarise
from bench.store import SCORE_COLUMNS, Cell, Record, Store, write_atomically

GROUP = ["protocol", "dataset", "source", "fingerprint"]
LEADING = ["rank", "method", "title", "family", "task", "dataset", "source", "protocol", "status", "reason"]
LEADING += ["seeds", "images_reduced", "images_full"]
COSTS = ("parameters", "macs_256", "flops_256", "cpu_ms_256", "cuda_ms_256", "peak_mib_512")
TRAILING = [*COSTS, "train_s", "device", "torch", "commit", "date", "fingerprint"]
TRAILING += ["sensor", "track", "convention", "recipe", "weights", "zoo", "processor", "cpu_threads", "cuda_device"]
INTEGERS = ("rank", "seeds", "images_reduced", "images_full", "parameters", "macs_256", "flops_256", "cpu_threads")
LONG = ("protocol", "dataset", "method", "seed", *SCORE_COLUMNS)
# What a table is ranked by: the first of these that any of its rows has, else its first index.
RANKED_BY = ("reduced_ergas_mean", "full_hqnr_mean")
Cells = Sequence[tuple[Cell, Record]]


def write(store: Store, frame: pd.DataFrame | None = None) -> list[Path]:
    """Write `leaderboard.csv` and `scores.csv` below the store's root and return their paths."""
    tables = {"leaderboard.csv": build(store) if frame is None else frame, "scores.csv": scores(store)}
    for name, table in tables.items():
        write_atomically(store.root / name, table.to_csv(index=False, lineterminator="\n").encode())
    return [store.root / name for name in tables]


def scores(store: Store) -> pd.DataFrame:
    """Every score of every finished cell: protocol, dataset, method, seed, split, image, metric, value."""
    return _scores(store, [(cell, record) for cell, record in store.cells() if record["status"] == "ok"])


def build(store: Store) -> pd.DataFrame:
    """Build the leaderboard; seeds of a method are pooled, failed methods come last and have no rank.

    Returns:
        Rows sorted by protocol, dataset and rank; the fixed columns are there even if the store is empty.
    """
    cells = list(store.cells())
    pooled: dict[tuple[str, ...], list[tuple[Cell, Record]]] = {}
    for cell, record in cells:
        data = record["dataset"]
        key = (cell.protocol, cell.dataset, data.get("source", ""), data.get("fingerprint", ""), cell.method)
        pooled.setdefault(key, []).append((cell, record))
    rows = [_row(store, members) for members in pooled.values()]
    columns = [*LEADING, *_metric_columns(rows, cells), *TRAILING]
    frame = pd.DataFrame(rows, columns=columns)
    numbers = [name for name in columns if name in (*COSTS, "train_s") or name.endswith(("_mean", "_std"))]
    frame[numbers] = frame[numbers].astype("float64")
    return _rank(frame).astype(dict.fromkeys(INTEGERS, "Int64"))


def groups(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The parts of a leaderboard that may be compared, each with a name that is safe in file names and labels."""
    if frame.empty:
        return
    parts = [(key, part) for key, part in frame.groupby(GROUP, sort=False, dropna=False)]
    short = [f"{key[0]}_{key[1]}" for key, _ in parts]
    for name, (key, part) in zip(short, parts, strict=True):
        unique = name if short.count(name) == 1 else f"{name}_{key[2]}-{str(key[3])[:8]}"
        yield re.sub(r"[^\w.-]+", "-", unique, flags=re.ASCII), part


def ranking_column(part: pd.DataFrame) -> str | None:
    """Column by which the rows of one table are ranked; None if it has no index at all."""
    means = [name for name in part.columns if name.endswith("_mean")]
    candidates = [*(name for name in RANKED_BY if name in means), *means]
    return next((name for name in candidates if part[name].notna().any()), None)


def _scores(store: Store, cells: Cells) -> pd.DataFrame:
    parts = [
        store.scores(cell).assign(protocol=cell.protocol, dataset=cell.dataset, method=cell.method, seed=cell.seed)
        for cell, _ in cells
    ]
    return pd.concat(parts)[list(LONG)] if parts else pd.DataFrame(columns=list(LONG))


def _row(store: Store, members: Cells) -> dict[str, Any]:
    good = [(cell, record) for cell, record in members if record["status"] == "ok"]
    shown = [record for _, record in good] or [record for _, record in members]
    cell, last = members[0][0], max(shown, key=lambda record: str(record.get("date", "")))
    row: dict[str, Any] = {
        "method": cell.method,
        "title": _title(cell, last),
        "family": last["method"].get("family", ""),
        "dataset": cell.dataset,
        "protocol": cell.protocol,
        "status": "ok" if good else "failed",
        "reason": _reasons(members),
        "seeds": len(good),
        **{name: last["dataset"].get(name) or "" for name in ("task", "track", "source", "fingerprint", "sensor")},
        **{f"images_{split}": (last.get("counts") or {}).get(split) for split in ("reduced", "full")},
        **_provenance(last, shown),
    }
    row |= {name: _mean(record.get("cost", {}).get(name) for record in shown) for name in COSTS}
    row["train_s"] = _mean(record.get("timings", {}).get("train_s") for record in shown)
    return row | _indices(_scores(store, good), len(good))


def _title(cell: Cell, record: Record) -> str:
    """Printed name; weights that were not trained under the protocol are named behind it."""
    key, _, weights = cell.method.partition("@")
    title = str(record["method"].get("title") or key)
    return f"{title} ({weights})" if weights else title


def _indices(long: pd.DataFrame, seeds: int) -> dict[str, float]:
    if long.empty:
        return {}
    wanted = SUMMARY if seeds > 1 else SUMMARY[:2]
    table = summarise(long)[list(wanted)]
    return {
        f"{split}_{metric}_{name}": float(value)
        for (split, metric), values in zip(table.index.to_list(), table.to_numpy(), strict=True)
        for name, value in zip(wanted, values, strict=True)
    }


def _provenance(last: Record, shown: list[Record]) -> dict[str, Any]:
    places = [record.get("environment") or {} for record in shown]
    costs = [record.get("cost") or {} for record in shown]
    commits = [f"{place['commit']}{'-dirty' if place.get('dirty') else ''}" for place in places if place.get("commit")]
    return {
        "date": last.get("date", ""),
        "convention": _scoring(last).get("convention", ""),
        "commit": _distinct(commits),
        **{name: _distinct(place.get(name) for place in places) for name in ("device", "torch", "processor")},
        **{name: _distinct(record.get(name) for record in shown) for name in ("recipe", "weights")},
        "zoo": _distinct(zoo.summary(record["zoo"]) for record in shown if record.get("zoo")),
        "cpu_threads": costs[-1].get("cpu_threads"),
        "cuda_device": _distinct(cost.get("cuda_device") for cost in costs),
    }


def _scoring(record: Record) -> dict[str, Any]:
    """The rules by which the images of a record were scored."""
    data = record["dataset"]
    rules: dict[str, Any] = record["protocol"].get("content", {}).get("scoring", {})
    return rules.get(data.get("track") or data.get("task"), {})


def _reasons(members: Cells) -> str:
    failed = [(cell.seed, record.get("reason", "")) for cell, record in members if record["status"] != "ok"]
    if len(members) == len(failed) and len({reason for _, reason in failed}) == 1:
        return str(failed[0][1])
    return "; ".join(f"seed {seed}: {reason}" for seed, reason in failed)


def _distinct(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values if value is not None and value != ""))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _metric_columns(rows: list[dict[str, Any]], cells: Cells) -> list[str]:
    """Metric columns that rows have, in the order of the protocols' tables, others behind."""
    wanted = [f"{split}_{key}" for split in ("reduced", "full") for _, record in cells for key in _scoring(record).get(split, ())]
    present = dict.fromkeys(name for row in rows for name in row if name.endswith(("_mean", "_std")))
    stems = dict.fromkeys([*wanted, *(re.sub(r"(_seed)?_(mean|std)$", "", name) for name in present)])
    return [f"{stem}_{name}" for stem in stems for name in SUMMARY if f"{stem}_{name}" in present]


def _rank(frame: pd.DataFrame) -> pd.DataFrame:
    frame["rank"] = frame["rank"].astype("Float64")
    for _, part in frame.groupby(GROUP, sort=False, dropna=False):
        column = ranking_column(part)
        if column is not None:
            key = column.removesuffix("_mean").partition("_")[2]
            order = part[column].rank(method="min", ascending=direction(key) != "higher")
            frame.loc[part.index, "rank"] = order.astype("Float64")
    return frame.sort_values([*GROUP, "rank", "status", "method"], na_position="last", kind="stable", ignore_index=True)
