"""What each verb of the command line does."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import datasets
import methods
import metrics
from bench import protocol
from bench.errors import UsageError
from catalogue import UnknownNameError
from imaging import sensors


def call(options: argparse.Namespace) -> int:
    """Run the verb that was asked for and return the exit code."""
    verbs = {"run": run, "list": list_all, "info": info, "data": data, "report": report}
    return verbs[options.verb](options)


def console() -> Console:
    """Standard output; wide enough in a pipe that no table is cut."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=max(out.width, 120))


def list_all(options: argparse.Namespace) -> int:
    """Print methods, indices, datasets, sensors and protocols."""
    out = console()
    table = Table("key", "title", "family", "tasks", "year", title="methods", box=None, title_justify="left", pad_edge=False)
    for key in methods.names(options.task):
        card = methods.card(key)
        table.add_row(key, card.title, card.family.replace("_", " "), " ".join(sorted(card.tasks)), str(card.year))
    out.print(table, "")
    table = Table("key", "title", "", "needs", "", title="indices", box=None, title_justify="left", pad_edge=False)
    for key in metrics.names():
        index = metrics.card(key)
        table.add_row(key, index.title, index.arrow, " ".join(index.needs), index.summary)
    out.print(table, "")
    table = Table("key", "title", "task", title="datasets", box=None, title_justify="left", pad_edge=False)
    for key in datasets.names(options.task):
        facts = datasets.card(key)
        table.add_row(key, facts["title"], facts["task"])
    out.print(table, "")
    out.print("sensors    " + " ".join(sensors.names()))
    out.print("protocols  " + " ".join(protocol.presets()))
    return 0


def info(options: argparse.Namespace) -> int:
    """Print the cards of everything that bears this key: methods, indices, datasets, sensors, protocols."""
    out = console()
    for kind, facts in _cards(options.key):
        table = Table(box=None, show_header=False, pad_edge=False, title=kind, title_justify="left")
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, value in facts.items():
            if text := _plain(value):
                table.add_row(name.replace("_", " "), text)
        out.print(table)
    return 0


def _cards(key: str) -> list[tuple[str, dict[str, Any]]]:
    kinds: dict[str, tuple[list[str], Callable[[], dict[str, Any]]]] = {
        "method": (methods.names(), lambda: asdict(methods.card(key))),
        "index": (metrics.names(), lambda: asdict(metrics.card(key))),
        "dataset": (datasets.names(), lambda: datasets.card(key)),
        "sensor": (sensors.names(), lambda: asdict(sensors.get(key))),
        "protocol": (protocol.presets(), lambda: {"id": protocol.load(key).id} | protocol.load(key).to_dict()),
    }
    found = [(kind, lookup()) for kind, (names, lookup) in kinds.items() if key in names]
    if not found:
        raise UnknownNameError("key", key, [name for names, _ in kinds.values() for name in names])
    return found


def _plain(value: Any) -> str:
    if isinstance(value, frozenset):
        return " ".join(sorted(value))
    if isinstance(value, tuple | list):
        sentences = any(" " in str(item) for item in value) and len(value) > 1
        return "\n".join(f"- {item}" for item in value) if sentences else " ".join(map(str, value))
    return str(value)


def data(options: argparse.Namespace) -> int:
    """Check the published files of a dataset; 0 if complete and sound, else 1."""
    from bench.data_check import check_data

    datasets.card(options.key)
    lines, sound = check_data(options.key, options.data_root)
    out = console()
    for line in lines:
        out.print(line, soft_wrap=isinstance(line, str))
    return 0 if sound else 1


def report(options: argparse.Namespace) -> int:
    """Derive leaderboard, tables and figures again from the results folder."""
    from bench.store import Store

    if not options.results.is_dir():
        raise UsageError(f"results folder '{options.results}' not found; run something first, or give --results DIR")
    return _show(Store(options.results), console(), None)


def run(options: argparse.Namespace) -> int:
    """Plan, say what will run, run it, and report."""
    from bench.environment import choose_device
    from bench.experiment import Settings, expand_methods, plan, prepare
    from bench.store import Store
    from datasets.base import DatasetError

    out = console()
    try:
        device = str(choose_device(options.device))
    except (ValueError, RuntimeError) as error:
        raise UsageError(str(error)) from error
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings = Settings(
        methods=expand_methods(options.methods, options.task),
        datasets=tuple(options.dataset),
        protocol=protocol.load(options.protocol),
        seeds=tuple(dict.fromkeys(options.seeds)),
        results=options.results,
        data_root=options.data_root,
        source=options.source,
        sensor=options.sensor,
        weights=_weights(options.weights),
        device=device,
        threads=options.threads or max(cores // options.workers, 1),
        plugins=tuple(str(Path(name).resolve()) for name in options.plugin),
        force=options.force,
    )
    _check_names(options)
    store = Store(settings.results)
    try:
        planned = plan(settings, store)
    except DatasetError as error:
        raise UsageError(str(error)) from error
    for dataset in planned.opened.values():
        if options.task and dataset.task != options.task:
            raise UsageError(f"--task {options.task} does not fit {dataset.key}, which is {dataset.task}")
    if not options.quiet or options.dry_run:
        _announce(out, settings, planned)
    if options.dry_run:
        return 0
    try:
        prepare(planned, settings, store, cores)
        records = _execute(options, planned, out)
    except OSError as error:
        raise UsageError(f"cannot write to '{settings.results}': {error}") from error
    failed = [*planned.broken, *(record for record in records if record["status"] != "ok")]
    wanted = {(cell.protocol, cell.dataset) for cell in planned.cells}
    wanted |= {(record["protocol"]["id"], record["dataset"]["label"]) for record in failed}
    code = _show(store, out, wanted)
    for record in planned.broken:
        out.print(f"failed: {record['method']['key']} on {record['dataset']['label']}: {record['reason']}", soft_wrap=True)
    return 1 if failed else code


def _execute(options: argparse.Namespace, planned: Any, out: Console) -> list[dict[str, Any]]:
    from bench.executors import InterruptedRunError, run_dask, run_local
    from bench.live import Live

    if not planned.jobs:
        return []
    try:
        with Live(out, options.quiet) as live:
            if options.executor == "dask":
                return run_dask(planned.jobs, live, options.scheduler, options.workers)
            return run_local(planned.jobs, live, options.workers)
    except InterruptedRunError:
        out.print("interrupted; finished cells are kept, and the same command resumes the others")
        raise SystemExit(130) from None


def _weights(name: str | None) -> str | None:
    if name is None:
        return None
    if not Path(name).is_file():
        raise UsageError(f"weights '{name}' not found; expected a .safetensors or .pth file")
    return str(Path(name).resolve())


def _check_names(options: argparse.Namespace) -> None:
    for name in options.dataset:
        if not name.startswith("scene:"):
            datasets.card(name)
    if options.sensor:
        sensors.get(options.sensor)


def _announce(out: Console, settings: Any, planned: Any) -> None:
    for name, dataset in planned.opened.items():
        simulated = dataset.source == "simulated"
        source = "[bold]SIMULATED data[/] (embedded twin)" if simulated else f"{dataset.source} data"
        out.print(f"{name}: {source}, {dataset.sensor.title}, ratio {dataset.sensor.ratio}")
    for notice in planned.notices:
        out.print(f"note: {notice}", soft_wrap=True)
    out.print(
        f"protocol {settings.protocol.id}, device {settings.device}, {settings.threads} thread(s), results in {settings.results}/"
    )
    groups = (("run", [job.cell for job in planned.jobs]), ("done before", planned.done))
    for label, cells in groups:
        if cells:
            out.print(f"{label}: " + ", ".join(str(cell) for cell in cells), soft_wrap=True)
    for cell, reason in planned.skipped:
        out.print(f"skipped: {cell}: {reason}", soft_wrap=True)


def _show(store: Any, out: Console, wanted: set[tuple[str, str]] | None) -> int:
    from bench import reports, terminal

    frame = reports.leaderboard.build(store)
    if wanted is not None:
        keys = list(zip(frame["protocol"], frame["dataset"], strict=True))
        frame = frame[[key in wanted for key in keys]]
    for line in reports.write_all(store):
        out.print(line) if not isinstance(line, Path) else None
    for part in terminal.table(frame):
        out.print(part)
    out.print(f"leaderboard: {store.root / 'leaderboard.csv'}; tables, figures beside it", soft_wrap=True)
    return 0
