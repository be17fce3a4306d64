"""What tables and figures say about the columns of the leaderboard: title, arrow, unit, format, best and second best."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from waldbench import methods, metrics
from waldbench.catalogue import UnknownNameError
from waldbench.imaging import sensors, tracks
from waldbench.imaging.tracks import SPLITS

SOURCES = {"simulated": "SIMULATED data", "published": "published data", "user": "user's own scene"}
DIGITS = 5
# Share of a latency by which its repeats may differ.
UNSTEADY = 0.15


@dataclass(frozen=True)
class Column:
    """A column of numbers as the reader sees it.

    Attributes:
        name: in the leaderboard (of an index: without `_mean`).
        title, arrow, unit: of the header; the arrow points in the better direction, or is empty.
        decimals: fixed number of decimals; None prints three significant digits (costs span decades).
        divisor: the stored number is divided by it (1e9: giga).
        convention: what decides the numbers of an index.
    """

    name: str
    title: str
    arrow: str
    unit: str
    decimals: int | None = None
    divisor: float = 1.0
    convention: str = ""

    def values(self, part: pd.DataFrame) -> pd.Series[Any]:
        """The numbers of this column (of an index: the means), one for each row."""
        return part[f"{self.name}_mean"] if f"{self.name}_mean" in part else part[self.name]

    def text(self, value: float | None) -> str:
        """A value as it is printed, "-" if it was not measured."""
        if value is None or pd.isna(value):
            return "-"
        scaled = float(value) / self.divisor
        if self.decimals is not None:
            return f"{scaled:.{self.decimals}f}"
        return "0" if scaled == 0 else f"{scaled:.{max(2 - math.floor(math.log10(abs(scaled))), 0)}f}"


def direction(key: str) -> str:
    """Better direction of an index, "higher" or "lower"; "lower" where its card is gone."""
    try:
        return metrics.card(key).direction
    except (UnknownNameError, ValueError):
        return "lower"


def headings(part: pd.DataFrame) -> Mapping[str, str]:
    """What the splits of one table are called, `reduced` first."""
    return tracks.shown(str(part.iloc[0].get("track", "")) if len(part) else "").headings


def index_columns(part: pd.DataFrame, split: str) -> list[Column]:
    """Indices that any row of one table has, in the order of the leaderboard."""
    columns = []
    for name in part.columns:
        if name.startswith(f"{split}_") and name.endswith("_mean") and part[name].notna().any():
            stem = name.removesuffix("_mean")
            top = part[name].abs().max()
            whole = len(str(int(top))) if math.isfinite(top) else DIGITS
            columns.append(
                replace(
                    _index(stem.removeprefix(f"{split}_"), part.iloc[0]["convention"]), name=stem, decimals=max(DIGITS - whole, 0)
                )
            )
    return columns


def _index(key: str, convention: str) -> Column:
    try:
        card = metrics.card(key).under(convention)
    except (UnknownNameError, ValueError):  # a plugin that was there when the scores were made
        return Column(key, key, "", "")
    return Column(key, card.title, card.arrow, card.unit, convention=card.convention)


def cost_columns(part: pd.DataFrame) -> list[Column]:
    """Costs that any row of one table has."""
    known = (
        Column("parameters", "Params", "", "k", divisor=1e3),
        Column("macs_256", "MACs", "", "G", divisor=1e9),
        Column("flops_256", "FLOPs", "", "G", divisor=1e9),
        Column("cpu_ms_256", "CPU", "↓", "ms"),
        Column("cuda_ms_256", "CUDA", "↓", "ms"),
        Column("peak_mib_512", "Memory", "↓", "MiB"),
        Column("train_s", "Training", "", "s"),
    )
    return [column for column in known if part[column.name].notna().any()]


def is_unsteady(cost: Mapping[Any, Any]) -> bool:
    """Whether repeated measurements of a latency differ so much that the number says little."""
    spread_, middle, iqr = (cost.get(name) for name in ("cpu_spread", "cpu_ms_256", "cpu_iqr_ms_256"))
    if spread_ is None or pd.isna(spread_):
        spread_ = iqr / middle if iqr and middle else 0.0
    return bool(spread_ > UNSTEADY)


def suffixes(part: pd.DataFrame, column: Column) -> list[str]:
    """What stands behind the numbers of a column: an asterisk at latencies that are not steady."""
    if column.name != "cpu_ms_256":
        return [""] * len(part)
    return ["*" if is_unsteady(row) else "" for row in part.to_dict("records")]


def places(column: Column, values: pd.Series) -> dict[Any, int]:
    """Rows with the best (1) and second best (2) value; what prints alike ranks alike, and one value alone is no contest."""
    printed = {row: float(column.text(value)) for row, value in values.items() if pd.notna(value)}
    leading = sorted(set(printed.values()), reverse=column.arrow == "↑")[:2]
    if not column.arrow or len(leading) < 2:
        return {}
    return {row: leading.index(value) + 1 for row, value in printed.items() if value in leading}


def marks(part: pd.DataFrame, column: Column) -> dict[Any, int]:
    """As `places`, for the rows of one table; a value that follows from what a method is takes no part."""
    values = column.values(part)
    given = [is_by_construction(str(method), column) for method in part["method"]]
    return places(column, values[[not each for each in given]])


def is_by_construction(method: str, column: Column) -> bool:
    """Whether a method has the best value of an index by construction, as its card says; `method` is the name of its cells."""
    try:
        known = methods.card(re.split(r"[~@]", method)[0]).by_construction
    except (UnknownNameError, ValueError):  # a plugin that was there when the scores were made
        return False
    return column.name.partition("_")[2] in known


@dataclass(frozen=True)
class Spread:
    """Which spread stands behind the means of a table.

    Attributes:
        name: ending of its columns in the leaderboard.
        words: what it is, for a caption.
    """

    name: str
    words: str

    def values(self, part: pd.DataFrame, column: Column) -> pd.Series[Any]:
        """The spread of an index, one for each row; missing where there is none."""
        return part.get(f"{column.name}_{self.name}", pd.Series(float("nan"), part.index))


def spread(part: pd.DataFrame) -> Spread:
    """The spread over seeds where any method was trained with several, else the one over images; never a mixture."""
    if (part["seeds"].fillna(0) > 1).any():
        return Spread("seed_std", "standard deviation over seeds of the mean over images (none: one seed, or nothing to train)")
    return Spread("std", "standard deviation over images")


def data_title(part: pd.DataFrame) -> str:
    """Sensor, dataset and source of one table; simulated data are named in capitals."""
    row = part.iloc[0]
    source = SOURCES.get(row["source"], f"{row['source'] or 'unknown'} data")
    return f"{sensor_title(row['sensor'])}{row['dataset']}, {source}"


def sensor_title(key: str) -> str:
    """Name of a sensor with a comma behind it, or nothing for an unnamed sensor."""
    try:
        return f"{sensors.get(key).title}, " if key else ""
    except UnknownNameError:
        return ""


def counts(part: pd.DataFrame) -> str:
    """Number of test images and seeds: "8 reduced and 4 full images, 1 seed"."""
    numbers = {split: part[f"images_{split}"].max() for split in SPLITS}
    used = {split: int(number) for split, number in numbers.items() if pd.notna(number) and number > 0}
    images = " and ".join(f"{number} {split}" for split, number in used.items()) or "no"
    runs = part.loc[part["seeds"] > 0, "seeds"]
    seeds = sorted({int(runs.min()), int(runs.max())}) if len(runs) else [0]
    return f"{images} image{_plural(sum(used.values()))}, {' to '.join(map(str, seeds))} seed{_plural(seeds[-1])}"


def _plural(number: int) -> str:
    return "" if number == 1 else "s"


def machines(part: pd.DataFrame) -> str:
    """Where the costs of one table were measured; a warning if not everywhere alike."""
    measured = part[part["cpu_ms_256"].notna()]
    found = sorted({_machine(row) for _, row in measured.iterrows()})
    cards = sorted({str(card) for card in part["cuda_device"].dropna() if card})
    text = "; ".join(found + [f"CUDA on {card}" for card in cards])
    if any(is_unsteady(row) for row in measured.to_dict("records")):
        text += f"; *: repeats differ by more than {UNSTEADY:.0%}, repeat them in quiet: run_bench.py cost --again"
    return f"NOT COMPARABLE, measured on different machines: {text}" if len(found) > 1 or len(cards) > 1 else text


def _machine(row: pd.Series) -> str:
    threads = row["cpu_threads"]
    suffix = "" if pd.isna(threads) else f", {threads} thread{_plural(threads)}"
    return f"CPU {row['processor'] or 'unknown'}{suffix}"


def origins(part: pd.DataFrame) -> list[str]:
    """How weights were made that were not trained under the protocol of a table, one line each kind."""
    return [f"Weights (zoo): {text}" for text in dict.fromkeys(part["zoo"].dropna()) if text]


def remarks(part: pd.DataFrame) -> list[tuple[str, str]]:
    """Title and reason of every method that failed, wholly or for some seeds."""
    return [(str(row["title"]), str(row["reason"])) for _, row in part.iterrows() if row["reason"]]
