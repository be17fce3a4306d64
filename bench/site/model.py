"""What the page shows of one table of the leaderboard, as plain dicts and lists: heading, table, chart, scores per image."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from waldbench.bench.figures import style
from waldbench.bench.results import leaderboard
from waldbench.bench.results.cautions import cautions, letters
from waldbench.bench.results.columns import (
    Column,
    cost_columns,
    counts,
    headings,
    index_columns,
    machines,
    marks,
    origins,
    sensor_title,
    spread,
    suffixes,
)
from waldbench.bench.results.record import Record
from waldbench.bench.results.scores import GROUP, data_of
from waldbench.bench.results.statistics import per_image
from waldbench.bench.results.store import Cell
from waldbench.imaging.tracks import SPLITS

# Columns that wait in the column menu until they are asked for.
TUCKED_AWAY = ("macs_256", "peak_mib_512", "train_s")
COST = "Cost"
Context = dict[str, Any]


def members(part: pd.DataFrame, cells: leaderboard.Cells) -> dict[str, list[tuple[Cell, Record]]]:
    """Cells of each method of one table, in the table's order; same protocol, dataset, source and fingerprint."""
    row = part.iloc[0]
    found: dict[str, list[tuple[Cell, Record]]] = {method: [] for method in part["method"]}
    for cell, record in cells:
        here = (cell.protocol, cell.dataset, *data_of(record))
        if here == tuple(row[name] for name in GROUP) and cell.method in found:
            found[cell.method].append((cell, record))
    return found


def heading(part: pd.DataFrame) -> Context:
    """Names of the table: dataset, source, protocol, data, number of images and seeds, machines of the costs."""
    row = part.iloc[0]
    label = str(row["dataset"])
    source = str(row["source"])
    return {
        "title": sensor_title(str(row["sensor"])).removesuffix(", ") or label,
        "label": label.removesuffix(f"-{source}") if source else label,
        "source": source,
        "protocol": str(row["protocol"]),
        "fingerprint": str(row["fingerprint"]),
        "task": str(row["task"]),
        "track": str(row["track"]),
        "counts": counts(part),
        "machines": machines(part),
        "cautions": [*cautions(part), *origins(part)],
        "newest": str(part["date"].astype(str).max())[:10],
    }


def table(part: pd.DataFrame) -> Context:
    """The leaderboard: groups of columns, and one row a method with printed text, sorting value and mark of every cell."""
    groups = [(title, index_columns(part, split)) for split, title in headings(part).items()] + [(COST, cost_columns(part))]
    groups = [(title, columns) for title, columns in groups if columns]
    good = part["status"] == "ok"
    cells = {column.name: _cells(part, column, good) for _, columns in groups for column in columns}
    spreads = ["seeds", "std"] if spread(part).name == "seed_std" else ["std"]
    looks = style.families(part["family"])
    rows = [
        {
            "group": letter,
            "rank": None if pd.isna(row["rank"]) else int(row["rank"]),
            "method": row["method"],
            "title": row["title"],
            "family": str(row["family"]).replace("_", " ") or "other",
            "colour": looks[row["family"]][0],
            "trainable": is_trainable(row),
            "failed": row["status"] != "ok",
            "reason": row["reason"],
            "cells": [cells[column.name][position] for _, columns in groups for column in columns],
        }
        for position, ((_, row), letter) in enumerate(zip(part.iterrows(), letters(part), strict=True))
    ]
    described = [
        {"title": title, "size": len(columns), "columns": [_described(column) for column in columns]} for title, columns in groups
    ]
    return {"groups": described, "rows": rows, "families": list(dict.fromkeys(row["family"] for row in rows)), "spreads": spreads}


def is_trainable(row: pd.Series) -> bool:
    """Whether a method has weights: it was trained, its weights were read, or it counts parameters."""
    return bool(row["recipe"] or row["weights"]) or (pd.notna(row["parameters"]) and row["parameters"] > 0)


def _described(column: Column) -> Context:
    return {
        "id": column.name,
        "title": column.title,
        "arrow": column.arrow,
        "unit": column.unit,
        "hidden": column.name in TUCKED_AWAY,
        "better": {"↑": "higher", "↓": "lower"}.get(column.arrow, ""),
    }


def _cells(part: pd.DataFrame, column: Column, good: pd.Series) -> list[Context]:
    values = column.values(part)
    missing = pd.Series(float("nan"), part.index)
    spreads = [part.get(f"{column.name}_{name}", missing) for name in ("std", "seed_std", "ci_low", "ci_high")]
    found = marks(part[good], column)
    return [
        {
            "text": _printed(column, value) + after,
            "value": "" if pd.isna(value) else repr(float(value)),
            "std": "" if pd.isna(std) else column.text(std),
            "seeds": "" if pd.isna(seeds) else column.text(seeds),
            "interval": "" if pd.isna(low) else f"{_printed(column, low)}–{_printed(column, high)}",
            "mark": {1: "best", 2: "second"}.get(found.get(row, 0), ""),
        }
        for (row, value), after, std, seeds, low, high in zip(values.items(), suffixes(part, column), *spreads, strict=True)
    ]


def _printed(column: Column, value: Any) -> str:
    """A value with a typographic minus, a dash where there is none."""
    return "–" if pd.isna(value) else column.text(value).replace("-", "−")


def chart_data(part: pd.DataFrame) -> Context:
    """Numbers of the accuracy-against-cost chart, and what names and colours the methods everywhere."""
    good = part[part["status"] == "ok"]
    indices = [column for split in SPLITS for column in index_columns(good, split)]
    costs = cost_columns(good)
    numbers = {column.name: [_number(value, column) for value in column.values(good)] for column in (*indices, *costs)}
    looks = style.families(good["family"])
    return {
        "ranked": (leaderboard.ranking_column(good) or "").removesuffix("_mean"),
        "indices": [_axis(column, headings(part)[column.name.partition("_")[0]]) for column in indices],
        "costs": [_axis(column, "") for column in costs],
        "methods": [
            {
                "key": row["method"],
                "title": row["title"],
                "family": str(row["family"]).replace("_", " ") or "other",
                "colour": looks[row["family"]][0],
                "marker": looks[row["family"]][1],
                "values": {name: values[place] for name, values in numbers.items()},
            }
            for place, (_, row) in enumerate(good.iterrows())
        ],
    }


def image_scores(part: pd.DataFrame, found: pd.DataFrame) -> list[Context]:
    """Score of every image, mean over seeds: one entry an index, with the images and a list of values for each method.

    Args:
        part: the table's rows of the leaderboard.
        found: `samples` of the store.
    """
    row = part.iloc[0]
    here = found[(found[list(GROUP)] == [row[name] for name in GROUP]).all(axis=1)]
    series = {method: per_image(here[here["method"] == method]) for method in part.loc[part["status"] == "ok", "method"]}
    if not series:
        return []
    keys = pd.concat([values.index.to_frame(index=False) for values in series.values()])
    order = pd.MultiIndex.from_frame(keys.drop_duplicates())
    wide = pd.DataFrame({method: values.reindex(order) for method, values in series.items()})
    blocks = {f"{split}_{metric}": block for (split, metric), block in wide.groupby(level=["split", "metric"], sort=False)}
    shown = [(column, title) for split, title in headings(part).items() for column in index_columns(part, split)]
    return [_axis(column, title) | _by_image(blocks[column.name], column) for column, title in shown]


def _by_image(block: pd.DataFrame, column: Column) -> Context:
    values = {str(method): [_number(value) for value in block[method]] for method in block.columns}
    images = [str(image) for image in block.index.get_level_values("image")]
    return {"images": images, "values": values, "decimals": column.decimals}


def _axis(column: Column, split: str) -> Context:
    return {"id": column.name, "title": column.title, "arrow": column.arrow, "unit": column.unit, "split": split}


def _number(value: Any, column: Column | None = None) -> float | None:
    if pd.isna(value) or not math.isfinite(value):
        return None
    return float(value) / (column.divisor if column else 1.0)
