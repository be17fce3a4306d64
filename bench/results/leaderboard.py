"""The leaderboard: one row per protocol, dataset and method, derived from the store.

Rows that differ in protocol id, dataset, source or data fingerprint are never averaged or ranked together. The columns are
described in `docs/results.md`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from waldbench.bench.files import write_table
from waldbench.bench.results import cloud_coverage, hierarchy, significance
from waldbench.bench.results.columns import direction
from waldbench.bench.results.record import Record
from waldbench.bench.results.scores import GROUP, LONG, data_of, matrix, samples
from waldbench.bench.results.statistics import SUMMARY, summarise
from waldbench.bench.results.store import Cell, Store
from waldbench.imaging.tracks import SPLITS

LEADING = ["rank", "rank_group", "method", "title", "family", "task", "dataset", "source", "protocol", "status", "reason"]
LEADING += ["seeds", "images_reduced", "images_full"]
COSTS = ("parameters", "macs_256", "flops_256", "cpu_ms_256", "cuda_ms_256", "peak_mib_512")
TRAILING = [*COSTS, "train_s", "device", "torch", "commit", "date", "fingerprint"]
TRAILING += ["sensor", "track", "convention", "recipe", "weights", "zoo", "processor", "cpu_threads", "cuda_device"]
TRAILING += ["code", "valid_share"]
# How steady the latency is, how long the calibration beside it took, and the load of the machine.
QUIET = ("cpu_spread", "calibration_ms", "load")
TRAILING += QUIET
INTEGERS = ("rank", "rank_group", "seeds", "images_reduced", "images_full", "parameters", "macs_256", "flops_256", "cpu_threads")
STATISTICS = tuple(f"_{name}" for name in SUMMARY)
# What a table is ranked by: the first of these that any of its rows has, else its first index.
RANKED_BY = ("reduced_ergas_mean", "full_hqnr_mean")
# What the column `code` says of results that are kept although their code has changed.
STALE = "stale: "
# Letters of the names of tables: endings of all kinds still fit into the 255 of a file system.
LONGEST = 160
Cells = Sequence[tuple[Cell, Record]]


def write(store: Store, frame: pd.DataFrame | None = None) -> list[Path]:
    """Write `leaderboard.csv`, `scores.csv` and `significance.csv` below the store's root and return their paths."""
    found = samples(store)
    frame = build(store, found) if frame is None else frame
    tables = {"leaderboard.csv": frame, "scores.csv": found[list(LONG)], "significance.csv": compare_pairs(frame, found)}
    for name, table in tables.items():
        write_table(store.root / name, table)
    return [*(store.root / name for name in tables), *cloud_coverage.write(store)]


def build(store: Store, found: pd.DataFrame | None = None) -> pd.DataFrame:
    """Build the leaderboard; seeds of a method are pooled, failed methods come last and have no rank.

    Args:
        store: the results.
        found: their `samples`, where they have been read already.

    Returns:
        Rows sorted by protocol, dataset and rank; the fixed columns are there even if the store is empty.
    """
    found = samples(store) if found is None else found
    cells = [(cell, record) for cell, record in store.cells() if store.is_sound(cell)]
    pooled: dict[tuple[str, ...], list[tuple[Cell, Record]]] = {}
    for cell, record in cells:
        key = (cell.protocol, cell.dataset, *data_of(record), cell.method)
        pooled.setdefault(key, []).append((cell, record))
    long: dict[Any, pd.DataFrame] = dict(list(found.groupby([*GROUP, "method"], sort=False)))
    rows = [_row(members, long.get(key)) for key, members in pooled.items()]
    columns = [*LEADING, *_metric_columns(rows, cells), *TRAILING]
    frame = pd.DataFrame(rows, columns=columns)
    numbers = [name for name in columns if name in (*COSTS, *QUIET, "train_s") or name.endswith(STATISTICS)]
    frame[numbers] = frame[numbers].astype("float64")
    return rank(frame, found)


def groups(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The parts of a leaderboard that may be compared, each with a name that is safe in file names and labels."""
    if frame.empty:
        return
    parts = [(key, part) for key, part in frame.groupby(GROUP, sort=False, dropna=False)]
    short = [f"{key[0]}_{key[1]}" for key, _ in parts]
    for name, (key, part) in zip(short, parts, strict=True):
        unique = name if short.count(name) == 1 else f"{name}_{key[2]}-{str(key[3])[:8]}"
        yield file_name(unique), part


def file_name(text: str) -> str:
    """A text as the beginning of a file name: letters, digits and . - _, and at most `LONGEST` of them."""
    safe = re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII)
    if len(safe) <= LONGEST:
        return safe
    return f"{safe[: LONGEST - 9]}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def ranking_column(part: pd.DataFrame) -> str | None:
    """Column by which the rows of one table are ranked; None if it has no index at all."""
    means = [name for name in part.columns if name.endswith("_mean")]
    return _first(part, means)


def ranking_columns(part: pd.DataFrame) -> dict[str, str]:
    """The column that stands for each split in figures and tests: the ranking index where it has one, else its first."""
    found = {}
    for split in SPLITS:
        means = [name for name in part.columns if name.startswith(f"{split}_") and name.endswith("_mean")]
        first = _first(part, means)
        if first is not None:
            found[split] = first
    return found


def _first(part: pd.DataFrame, means: list[str]) -> str | None:
    candidates = [*(name for name in RANKED_BY if name in means), *means]
    return next((name for name in candidates if part[name].notna().any()), None)


def compare_pairs(frame: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Every pair of methods of every table, compared by one index a split; see `significance.pairs` and `hierarchy.compare`."""
    tables = []
    for _, part in groups(frame):
        for column in ranking_columns(part).values():
            split, _, metric = column.removesuffix("_mean").partition("_")
            images = matrix(part, found, column)
            table = hierarchy.compare(significance.pairs(images), hierarchy.runs(part, found, column, images))
            facts = dict(part.iloc[0][GROUP]) | {"split": split, "metric": metric}
            tables.append(table.assign(**facts)[[*facts, *table.columns]])
    empty = hierarchy.compare(significance.pairs(pd.DataFrame()), {})
    filled = [table for table in tables if len(table)]
    return pd.concat(filled) if filled else pd.DataFrame(columns=[*GROUP, "split", "metric", *empty.columns])


def _row(members: Cells, long: pd.DataFrame | None) -> dict[str, Any]:
    good = [(cell, record) for cell, record in members if record.ok]
    shown = [record for _, record in good] or [record for _, record in members]
    cell, last = members[0][0], max(shown, key=lambda record: record.date)
    row: dict[str, Any] = {
        "method": cell.method,
        "title": _title(cell, last),
        "family": last.method["family"],
        "dataset": cell.dataset,
        "protocol": cell.protocol,
        "status": "ok" if good else "failed",
        "reason": _reasons(members),
        "seeds": len(good),
        **{name: last.dataset[name] for name in ("task", "track", "source", "fingerprint", "sensor")},
        **{f"images_{split}": last.counts[split] for split in ("reduced", "full")},
        "valid_share": last.counts["valid_share"],
        **_provenance(last, shown),
    }
    row |= {name: _mean(record.cost.get(name) for record in shown) for name in COSTS}
    row |= {name: _mean(record.cost.get(name) for record in shown) for name in QUIET}
    row["train_s"] = _mean(record.timings["train_s"] for record in shown)
    return row if long is None else row | _indices(long, len(good))


def _title(cell: Cell, record: Record) -> str:
    """Printed name; weights that were not trained under the protocol are named behind it."""
    key, _, weights = cell.method.partition("@")
    title = record.method["title"] or key
    return f"{title} ({weights})" if weights else title


def _indices(long: pd.DataFrame, seeds: int) -> dict[str, float]:
    wanted = [name for name in SUMMARY if seeds > 1 or name != "seed_std"]
    table = summarise(long)[wanted]
    return {
        f"{split}_{metric}_{name}": float(value)
        for (split, metric), values in zip(table.index.to_list(), table.to_numpy(), strict=True)
        for name, value in zip(wanted, values, strict=True)
    }


def _provenance(last: Record, shown: list[Record]) -> dict[str, Any]:
    places = [record.environment for record in shown]
    costs = [record.cost for record in shown]
    commits = [f"{place['commit']}{'-dirty' if place['dirty'] else ''}" for place in places if place["commit"]]
    return {
        "date": last.date,
        "convention": last.scoring.get("convention", ""),
        "commit": _distinct(commits),
        **{name: _distinct(place[name] for place in places) for name in ("device", "torch", "processor")},
        **{name: _distinct(getattr(record, name) for record in shown) for name in ("recipe", "weights")},
        "zoo": _distinct(zoo_summary(record.zoo) for record in shown if record.zoo),
        "cpu_threads": costs[-1]["cpu_threads"],
        "code": _distinct(_code(record) for record in shown if record.ok),
        "cuda_device": _distinct(cost["cuda_device"] for cost in costs),
    }


def _code(record: Record) -> str:
    """Which code made a row: its short fingerprint, "unknown", or what has changed since."""
    stale = record.code.get("stale")
    return f"{STALE}{stale}" if stale else record.made_with


def zoo_summary(card: dict[str, Any]) -> str:
    """How weights of the model zoo were trained, in one line for tables."""
    data, budget = card["dataset"], card.get("budget")
    length = f"{card['steps']} steps of protocol {card['protocol']['name']}"
    if budget:
        clock = "CPU time, one thread," if budget["clock"] == "cpu" else f"time on {card['environment'].get('device', 'a GPU')}"
        length = f"an equal budget of {budget['seconds']:g} s of {clock} for every network"
    return f"trained on {data['key']} ({data['source']}), recipe {card['recipe']}, {length}"


def _reasons(members: Cells) -> str:
    failed = [(cell.seed, record.reason) for cell, record in members if not record.ok]
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
    wanted = [f"{split}_{key}" for split in ("reduced", "full") for _, record in cells for key in record.scoring.get(split, ())]
    present = dict.fromkeys(name for row in rows for name in row if name.endswith(STATISTICS))
    stems = dict.fromkeys([*wanted, *(re.sub(r"_(mean|std|ci_low|ci_high|seed_std)$", "", name) for name in present)])
    return [f"{stem}_{name}" for stem in stems for name in SUMMARY if f"{stem}_{name}" in present]


def rank(frame: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Rank and group the rows of each table and sort them.

    Args:
        frame: rows with the columns of the leaderboard.
        found: `samples` with the same names of protocols and methods.
    """
    frame[["rank", "rank_group"]] = frame[["rank", "rank_group"]].astype("Float64")
    for _, part in frame.groupby(GROUP, sort=False, dropna=False):
        column = ranking_column(part)
        if column is None:
            continue
        key = column.removesuffix("_mean").partition("_")[2]
        order = part[column].rank(method="min", ascending=direction(key) != "higher")
        frame.loc[part.index, "rank"] = order.astype("Float64")
        ranked = part.assign(rank=order).dropna(subset=["rank"]).sort_values("rank", kind="stable")
        if len(ranked) > 1:
            separated = significance.groups(matrix(ranked, found, column)) or {}
            frame.loc[part.index, "rank_group"] = part["method"].map(separated).astype("Float64")
    by = [*GROUP, "rank", "status", "method"]
    frame = frame.sort_values(by, na_position="last", kind="stable", ignore_index=True)
    return frame.astype(dict.fromkeys(INTEGERS, "Int64"))
