"""Timing runs of pytest-benchmark: one table of many, and what changed between two.

`pytest tests/bench/test_speed_registry.py --benchmark-only --benchmark-json results/benchmarks/today.json` times every method
and index; `python -m waldbench.bench.cost.timings A.json B.json` prints what became slower or faster, and how sure that is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# Smaller changes are no news on a machine that does other work too.
NOTABLE = 1.05
RESAMPLES = 4000
COLUMNS = ("name", "ratio", "low", "high", "p", "verdict")


class TimingsError(ValueError):
    """A file that is not what pytest-benchmark writes."""


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Benchmarks of one file by full name.

    Raises:
        TimingsError: if there is no such file or it was not written by `--benchmark-json`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {entry["fullname"]: entry | {"machine": content["machine_info"]} for entry in content["benchmarks"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TimingsError(f"{path}: expected a file of pytest --benchmark-json, got {type(error).__name__}: {error}") from error


def table(folder: Path) -> pd.DataFrame:
    """One row a benchmark of all JSON files of a folder: file, group, name, median and IQR in ms, rounds, threads, machine."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        for name, entry in read(path).items():
            stats = entry["stats"]
            rows.append(
                {
                    "file": path.stem,
                    "group": entry["group"],
                    "name": name.partition("::")[2],
                    "median_ms": stats["median"] * 1e3,
                    "iqr_ms": stats["iqr"] * 1e3,
                    "rounds": stats["rounds"],
                    "threads": entry["extra_info"].get("threads"),
                    "processor": entry["machine"].get("cpu", {}).get("brand_raw", ""),
                }
            )
    return pd.DataFrame(rows)


def compare(before: Path, after: Path) -> pd.DataFrame:
    """Ratio of medians (after / before) of the benchmarks that both files have, slowest first.

    Returns:
        name; ratio with its 95 % interval low to high (percentile bootstrap over the rounds); p of the two-sided Mann-Whitney
        test; verdict "slower" or "faster" where the whole interval lies beyond 5 %, else "-".
    """
    from scipy.stats import mannwhitneyu

    first, second = read(before), read(after)
    rows = []
    for name in sorted(first.keys() & second.keys()):
        a, b = (np.asarray(entries[name]["stats"]["data"]) for entries in (first, second))
        low, high = _interval(a, b)
        verdict = "slower" if low > NOTABLE else "faster" if high < 1 / NOTABLE else "-"
        p = float(mannwhitneyu(a, b).pvalue)
        rows.append((name.partition("::")[2], float(np.median(b) / np.median(a)), low, high, p, verdict))
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("ratio", ascending=False, ignore_index=True)


def _interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """95 % interval of median(b) / median(a)."""
    draw = np.random.default_rng(0)
    medians = [np.median(draw.choice(values, (RESAMPLES, len(values))), axis=1) for values in (a, b)]
    low, high = np.percentile(medians[1] / medians[0], [2.5, 97.5])
    return float(low), float(high)


def describe(changes: pd.DataFrame) -> str:
    """The changes as text: what is slower or faster, and how many benchmarks are not."""
    sure = changes[changes["verdict"] != "-"]
    lines = [
        f"{row.verdict}: {row.name}: {row.ratio:.2f}x (95 % interval {row.low:.2f} to {row.high:.2f}, Mann-Whitney p {row.p:.3f})"
        for row in sure.itertuples(index=False)
    ]
    return "\n".join([*lines, f"{len(changes) - len(sure)} of {len(changes)} benchmarks: no change beyond 5 % that is certain"])


def main(arguments: Sequence[str]) -> int:
    """Print the comparison; returns 1 if anything became slower, 2 for a wrong request."""
    if len(arguments) != 2:
        print("usage: python -m waldbench.bench.cost.timings BEFORE.json AFTER.json", file=sys.stderr)
        return 2
    try:
        changes = compare(*map(Path, arguments))
    except TimingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(describe(changes))
    return int(bool((changes["verdict"] == "slower").any()))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
