"""The command `cost`: measure methods one at a time, each in a fresh process, and derive `costs.csv`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waldbench.bench.commands import options as shared
from waldbench.bench.cost import PRECISIONS, SIZES

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from waldbench.bench.cost.grid import Measurement
    from waldbench.imaging import Sensor


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    keys = f"keys (options: tv:variant=toolbox), or {shared.GROUPS} (with --task hs or sar: a selection)"
    parser.add_argument("--methods", nargs="+", metavar="KEY", default=[], help=keys)
    shared.add_task(parser)
    parser.add_argument("--sensor", metavar="KEY", default="wv3", help="whose bands and ratio (default: wv3)")
    sizes = f"sides of the guide (default: {', '.join(map(str, SIZES))})"
    parser.add_argument("--sizes", nargs="+", type=shared.whole(16), default=list(SIZES), metavar="N", help=sizes)
    names = tuple(PRECISIONS)
    parser.add_argument("--precision", nargs="+", choices=names, default=["fp32"], metavar="|".join(names), help="of networks")
    parser.add_argument("--compile", action="store_true", help="measure the form of torch.compile too")
    again = "repeat the latencies of a results folder whose repeats spread by more than 15 %%; nothing else should run"
    parser.add_argument("--again", action="store_true", help=again)
    shared.add_results(parser)
    shared.add_plugins(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, store, print; 0 if every method could be measured."""
    from waldbench.bench.cost import grid, tables
    from waldbench.bench.results.store import Store
    from waldbench.bench.run.settings import expand_methods
    from waldbench.bench.screen import console
    from waldbench.imaging import sensors

    if options.again:
        return _again(options)
    sensor = sensors.get(options.sensor)
    sizes = tuple(sorted(set(options.sizes)))
    plugins = tuple(str(Path(name).resolve()) for name in options.plugin)
    forms = grid.FORMS if options.compile else ("eager",)
    failed, out = [], console()
    for key in expand_methods(options.methods, options.task):
        reason = _unsupported(key, sensor)
        if reason:
            out.print(f"skipped: {key}: {reason}", soft_wrap=True)
            continue
        wanted = grid.Measurement(key, sensor.key, sizes, tuple(dict.fromkeys(options.precision)), forms, plugins)
        problem = _measure(wanted, options.results)
        failed += [key] if problem else []
        out.print(f"  {'failed' if problem else 'done'}  {key} {problem}".rstrip(), soft_wrap=True)
    show(tables.table(options.results), out)
    for path in tables.write(Store(options.results)):
        out.print(f"all rows: {path}", soft_wrap=True)
    return 1 if failed else 0


def _again(options: argparse.Namespace) -> int:
    """Repeat what is not steady, each method in a process of its own; 0 if all of it is steady now."""
    from waldbench.bench.cost import quiet
    from waldbench.bench.results import leaderboard
    from waldbench.bench.results.columns import is_unsteady
    from waldbench.bench.results.store import Store
    from waldbench.bench.run import names
    from waldbench.bench.run.plan import NO_GUIDE
    from waldbench.bench.screen import console
    from waldbench.catalogue import UnknownNameError
    from waldbench.imaging import sensors

    store, out, left = Store(options.results), console(), 0
    plugins = tuple(str(Path(name).resolve()) for name in options.plugin)
    wanted = quiet.unsteady(store)
    for cell, key in wanted:
        plain = cell.method.partition("@")[0]
        try:
            method, arguments = names.parse(plain.removesuffix(NO_GUIDE))
            target = quiet.Target(method, sensors.get(key), arguments, plain.endswith(NO_GUIDE), plugins=plugins)
        except UnknownNameError as error:
            out.print(f"skipped: {cell}: {error}; run the same command with --force instead", soft_wrap=True)
            left += 1
            continue
        found, problem = _alone(quiet.measure, target)
        if found is None:
            out.print(f"  failed  {cell}: {problem}", soft_wrap=True)
            left += 1
            continue
        quiet.keep(store, cell, found)
        left += is_unsteady(found)
        told = f"{found['cpu_ms_256']:.3g} ms, repeats differ by {found['cpu_spread']:.0%}"
        out.print(f"  {'not steady yet' if is_unsteady(found) else 'done'}  {cell}: {told}", soft_wrap=True)
    leaderboard.write(store)
    out.print(f"{len(wanted)} latencies measured again, {left} still not steady" if wanted else "every latency is steady")
    return 1 if left else 0


def show(frame: pd.DataFrame, out: Console) -> None:
    """Print latencies: one row a method and way of running, one column a size."""
    if frame.empty:
        return
    from rich.table import Table

    times = frame[frame["measure"] == "latency_ms"]
    columns = ["method", "sensor", "place", "threads", "precision", "form", "copies"]
    printed = Table(
        *columns,
        *(f"{side:.0f}" for side in sorted(times["side"].unique())),
        title="latency in ms, median ± half the interquartile range",
        box=None,
    )
    for key, part in times.groupby(columns, dropna=False, sort=False):
        cells = {row["side"]: _cell(row) for _, row in part.iterrows()}
        names = [_word(word) for word in key]
        printed.add_row(*names, *(cells.get(side, "-") for side in sorted(times["side"].unique())))
    out.print(printed)


def _word(value: Any) -> str:
    import pandas as pd

    return "" if pd.isna(value) else f"{value:.0f}" if isinstance(value, float) else str(value)


def _cell(row: pd.Series[float]) -> str:
    import pandas as pd

    return str(row["note"]) if pd.isna(row["value"]) else f"{row['value']:.3g} ± {row['iqr'] / 2:.2g}"


def _unsupported(key: str, sensor: Sensor) -> str | None:
    """Why a method has no cost on this sensor: the sensor's own task is tried first."""
    from waldbench import methods

    tasks = sorted(methods.card(key).tasks)
    reasons = [methods.supports(key, sensor, task) for task in tasks]
    return None if None in reasons else str(reasons[0])


def _measure(wanted: Measurement, results: Path) -> str:
    """Run one method in a process of its own; returns the problem, or nothing."""
    from waldbench.bench.cost import grid

    rows, problem = _alone(grid.measure, wanted)
    if rows is not None:
        grid.store(results, wanted, rows)
    return problem


def _alone(work: Callable[[Any], Any], wanted: Any) -> tuple[Any, str]:
    """What a function returns in a process of its own, or None and the problem."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # As in a run: a spinning barrier makes several threads slower than one wherever another program wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(work, wanted).result(), ""
    except BrokenProcessPool:
        return None, "the process was killed (out of memory?)"
    except Exception as error:  # whatever a plugin raises costs one method
        return None, f"{type(error).__name__}: {error}".split("\n")[0]
