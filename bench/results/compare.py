"""Two results folders against each other: what changed, and what of it is more than chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from waldbench.bench.files import write_table
from waldbench.bench.protocol import layers
from waldbench.bench.results import leaderboard
from waldbench.bench.results.columns import direction
from waldbench.bench.results.scores import GROUP, samples
from waldbench.bench.results.significance import LEVEL, holm, images_needed, wilcoxon
from waldbench.bench.results.statistics import interval, per_image
from waldbench.bench.results.store import Store

COLUMNS = ["protocol", "differs", "dataset", "method", "what", "images", "a", "b", "change", "ci_low", "ci_high", "p", "p_holm"]
COLUMNS += ["verdict"]
COUNTS = ("parameters", "macs_256", "flops_256")
TIMES = ("cpu_ms_256", "cuda_ms_256", "peak_mib_512", "train_s")
# Between the protocols of a pair that was trained differently.
ARROW = " | "
Key = tuple[str, ...]
Rows = dict[Key, "pd.Series[Any]"]
# Relative change that float32 sums in another order, or another processor, explain.
ROUNDING = 1e-6
STYLES = {"better": "green", "worse": "red", "changed": "bold"}


def compare(a: Store, b: Store) -> pd.DataFrame:
    """Compare what two stores have in common, and name what only one has.

    Indices are paired image by image (means over seeds) where protocol id, dataset and fingerprint agree; Holm's correction
    is over the methods of one index. A method without such a partner is paired with itself under a protocol that differs in
    fields of the training only, and `differs` names them. Counts of operations must be equal; latencies are listed without a
    test.

    Returns:
        One row per method and index or cost, columns `COLUMNS`; `change` is b - a, the interval a paired bootstrap of its mean.
        The verdict is "same", "better" or "worse" (p_holm < 0.05), "not significant", "too few images", "images differ",
        "changed", "not tested", "only in A", "only in B", "protocols differ", or "data differ".
    """
    frames = [leaderboard.build(store) for store in (a, b)]
    first, second = (_by_key(frame[frame["status"] == "ok"]) for frame in frames)
    long = [dict(list(samples(store).groupby([*GROUP, "method"], sort=False))) for store in (a, b)]
    contents = _contents(a) | _contents(b)
    partners = {key: key for key in first if key in second} | _trained_differently(first, second, contents)
    rows: list[dict[str, Any]] = []
    for key, other in partners.items():
        row = _facts(first[key]) | _difference(key, other, contents)
        rows += [row | found for found in _indices(long[0][key], long[1][other])]
        rows += [row | found for found in _costs(first[key], second[other])]
    mine = {key: row for key, row in first.items() if key not in partners}
    others = {key: row for key, row in second.items() if key not in set(partners.values())}
    rows += _unpaired(mine, others, "A", contents) + _unpaired(others, mine, "B", contents)
    return _judge(pd.DataFrame(rows, columns=COLUMNS))


def write(table: pd.DataFrame, folder: Path) -> Path:
    """Write a comparison as `comparison.csv` into a folder and return its path."""
    path = folder / "comparison.csv"
    write_table(path, table)
    return path


def show(table: pd.DataFrame) -> list[Table | Text]:
    """The rows that differ as tables for a terminal, one for each protocol and dataset, and one line about the others."""
    shown: list[Table | Text] = []
    for (protocol, dataset), part in table.groupby(["protocol", "dataset"], sort=False):
        differing = part[~part["verdict"].isin(["same", "not tested"])]
        title = Text(f"{dataset}, protocol {protocol}", style="bold")
        differs = "; ".join(dict.fromkeys(part["differs"].dropna()))
        if ARROW in str(protocol):
            title.append(f"\nTRAINED DIFFERENTLY: {differs}", style="yellow")
        grid = Table("method", "what", title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for name in ("A", "B", "B - A", "95 % interval", "p"):
            grid.add_column(name, justify="right", no_wrap=True)
        grid.add_column("verdict")
        for row in differing.to_dict("records"):
            grid.add_row(*_line({str(name): value for name, value in row.items()}))
        same = int((part["verdict"] == "same").sum())
        shown += [grid if len(differing) else title, Text(f"{same} values are the same in A and B\n", style="dim")]
    return shown or [Text("Both folders are empty: nothing to compare.")]


def _by_key(frame: pd.DataFrame) -> Rows:
    return {tuple(row[name] for name in (*GROUP, "method")): row for _, row in frame.iterrows()}


def _contents(store: Store) -> dict[str, dict[str, Any]]:
    """Content of each protocol of a store, by id."""
    return {cell.protocol: record.protocol["content"] for cell, record in store.cells()}


def _trained_differently(first: Rows, second: Rows, contents: dict[str, dict[str, Any]]) -> dict[Key, Key]:
    """Pairs of rows without a partner that were trained under other protocols and tested alike; each in one pair at most."""
    found: dict[Key, Key] = {}
    for key in first:
        near = [
            other
            for other in second
            if key not in second
            and other not in first
            and other[1:] == key[1:]
            and layers.only_training(layers.differing(contents.get(key[0], {}), contents.get(other[0], {})))
        ]
        if len(near) == 1 and near[0] not in found.values():
            found[key] = near[0]
    return found


def _difference(key: Key, other: Key, contents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the protocols of a pair are called, and what differs between them."""
    if key == other:
        return {}
    return {"protocol": f"{key[0]}{ARROW}{other[0]}", "differs": _told(key[0], other[0], contents)}


def _told(a: str, b: str, contents: dict[str, dict[str, Any]]) -> str:
    pairs = layers.differing(contents.get(a, {}), contents.get(b, {}))
    return "; ".join(f"{name} {layers.told(x)} | {layers.told(y)}" for name, (x, y) in pairs.items()) or "the name"


def _facts(row: pd.Series[Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("protocol", "dataset", "method")}


def _indices(a: pd.DataFrame, b: pd.DataFrame) -> list[dict[str, Any]]:
    first, second = per_image(a), per_image(b)
    rows = []
    for (split, metric), before in first.groupby(["split", "metric"], sort=False):
        after = second[second.index.isin([split], level="split") & second.index.isin([metric], level="metric")]
        if len(after):
            rows.append({"what": f"{split}_{metric}"} | _pair(before, after))
    return rows


def _pair(before: pd.Series[float], after: pd.Series[float]) -> dict[str, Any]:
    facts: dict[str, Any] = {"a": before.mean(skipna=False), "b": after.mean(skipna=False), "images": len(before)}
    if not before.index.sort_values().equals(after.index.sort_values()):
        return facts | {"change": facts["b"] - facts["a"], "verdict": "images differ"}
    differences = (after - before).to_numpy()
    low, high = interval(differences)
    unchanged = np.allclose(after.reindex(before.index), before, rtol=ROUNDING, atol=0, equal_nan=True)
    verdict = {"verdict": "same"} if unchanged else {"p": wilcoxon(differences)}
    return facts | {"change": differences.mean(), "ci_low": float(low), "ci_high": float(high)} | verdict


def _costs(a: pd.Series[Any], b: pd.Series[Any]) -> list[dict[str, Any]]:
    rows = []
    for name in (*COUNTS, *TIMES):
        if pd.notna(a[name]) and pd.notna(b[name]):
            values = {"a": float(a[name]), "b": float(b[name]), "change": float(b[name] - a[name])}
            verdict = "not tested" if name in TIMES else "same" if values["change"] == 0 else "changed"
            rows.append({"what": name, "verdict": verdict} | values)
    return rows


def _unpaired(these: Rows, others: Rows, name: str, contents: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Methods without a partner; where one is there under another protocol or of other data, `differs` says what differs."""
    rows = []
    for key, row in these.items():
        near = [other for other in others if (other[1], other[-1]) == (key[1], key[-1])]
        facts = _facts(row) | {"what": "", "verdict": f"only in {name}"}
        if near and any(other[0] == key[0] for other in near):
            facts |= {"verdict": "data differ", "differs": "source or fingerprint of the data"}
        elif near:
            pair = (key[0], near[0][0]) if name == "A" else (near[0][0], key[0])
            facts |= {"verdict": "protocols differ", "differs": _told(*pair, contents)}
        rows.append(facts)
    return rows


def _judge(table: pd.DataFrame) -> pd.DataFrame:
    """Correct the p values of each index for the number of methods, and turn them into verdicts."""
    for name in ("images", "a", "b", "change", "ci_low", "ci_high", "p", "p_holm"):
        table[name] = table[name].astype("float64")
    tested = table[table["p"].notna()]
    for _, part in tested.groupby(["protocol", "dataset", "what"], sort=False):
        table.loc[part.index, "p_holm"] = adjusted = holm(part["p"])
        few = part["images"] < images_needed(len(part))
        for row, p, too_few in zip(part.index, adjusted, few, strict=True):
            table.loc[row, "verdict"] = _verdict(table.loc[row], float(p), bool(too_few))
    table["verdict"] = table["verdict"].fillna("a value is missing")
    return table.astype({"images": "Int64"})


def _verdict(row: pd.Series[Any], p: float, too_few: bool) -> str:
    if p >= LEVEL:
        return "too few images" if too_few else "not significant"
    rising = direction(str(row["what"]).partition("_")[2]) == "higher"
    return "better" if (row["change"] > 0) == rising else "worse"


def _line(row: dict[str, Any]) -> list[str | Text]:
    change = "" if pd.isna(row["change"]) else f"{row['change']:+.4g}"
    between = "" if pd.isna(row["ci_low"]) else f"{row['ci_low']:+.3g} to {row['ci_high']:+.3g}"
    numbers = ["" if pd.isna(row[name]) else f"{row[name]:.5g}" for name in ("a", "b")]
    p = "" if pd.isna(row["p_holm"]) else f"{row['p_holm']:.2g}"
    verdict = Text(row["verdict"], style=STYLES.get(row["verdict"], ""))
    if row["verdict"].endswith("differ"):
        verdict.append(f": {row['differs']}")
    return [Text(row["method"]), row["what"], *numbers, change, between, p, verdict]
