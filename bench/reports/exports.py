"""Results in the forms that other tools read."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pandas as pd

from waldbench.bench.files import write_atomically, write_table
from waldbench.bench.reports.choices import EXPORTS
from waldbench.bench.results import leaderboard
from waldbench.bench.results.columns import direction
from waldbench.bench.results.scores import GROUP, samples
from waldbench.bench.results.store import Store


def write(store: Store, frame: pd.DataFrame, formats: tuple[str, ...]) -> list[Path]:
    """Write the results in each format of `EXPORTS` to `<root>/exports` and return the paths."""
    return [path for name in formats for path in globals()[EXPORTS[name]](store, frame)]


def benchopt(store: Store, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a method and seed, with the column names of a results file of benchopt (benchopt.github.io).

    `solver_name`, `dataset_name` (older releases: `data_name`) and `objective_name` (the protocol id) say what ran;
    `idx_rep` counts the seeds, `stop_val` is 1 (run once); `time` is the latency in seconds for a guide of 256 x 256 pixels,
    on the graphics card where it was measured; each index is `objective_<split>_<metric>`, its mean over images, and
    `objective_value` the index that ranks the table, negated where higher is better, since benchopt minimises.
    """
    found = samples(store)
    tables = [table for _, part in leaderboard.groups(frame) for table in _runs(part, found)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["solver_name", "dataset_name"])


def _runs(part: pd.DataFrame, found: pd.DataFrame) -> list[pd.DataFrame]:
    here = found
    for name in GROUP:
        here = here[here[name] == part.iloc[0][name]]
    values = here.assign(name="objective_" + here["split"] + "_" + here["metric"], value=pd.to_numeric(here["value"]))
    wide = values.pivot_table(index=["method", "seed"], columns="name", values="value", sort=False, aggfunc=_mean).reset_index()
    ranked = leaderboard.ranking_column(part)
    if wide.empty or ranked is None:
        return []
    key = ranked.removesuffix("_mean")
    sign = -1.0 if direction(key.partition("_")[2]) == "higher" else 1.0
    rows = part.set_index("method").loc[wide["method"]]
    facts = {
        "objective_name": part.iloc[0]["protocol"],
        "dataset_name": part.iloc[0]["dataset"],
        "data_name": part.iloc[0]["dataset"],
        "solver_name": rows.index.to_numpy(),
        "stop_val": 1,
        "idx_rep": wide.groupby("method", sort=False).cumcount(),
        "time": rows["cuda_ms_256"].fillna(rows["cpu_ms_256"]).to_numpy() / 1e3,
        "objective_value": sign * wide[f"objective_{key}"],
    }
    return [wide.drop(columns="method").rename(columns={"seed": "p_solver_seed"}).assign(**facts)]


def _mean(values: pd.Series[float]) -> float:
    return float(values.mean(skipna=False))


def write_benchopt(store: Store, frame: pd.DataFrame) -> list[Path]:
    """Write `benchopt.csv`, and `benchopt.parquet` where pyarrow is installed."""
    table = benchopt(store, frame)
    leading = [
        name for name in table.columns if not name.startswith("objective_") or name in {"objective_name", "objective_value"}
    ]
    table = table[[*leading, *(name for name in table.columns if name not in leading)]]
    path = store.root / "exports" / "benchopt.csv"
    write_table(path, table)
    if importlib.util.find_spec("pyarrow") is None:
        return [path]
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    write_atomically(path.with_suffix(".parquet"), stream.getvalue())
    return [path, path.with_suffix(".parquet")]
