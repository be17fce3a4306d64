"""What each verb of the command line does."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from waldbench import datasets, methods, metrics
from waldbench.bench import protocol
from waldbench.bench.errors import UsageError
from waldbench.bench.screen import console
from waldbench.catalogue import UnavailableError, UnknownNameError
from waldbench.imaging import sensors


def call(options: argparse.Namespace) -> int:
    """Run the verb that was asked for and return the exit code."""
    verbs = {"run": run, "list": list_all, "info": info, "data": data, "report": report, "sharpen": sharpen, "cost": cost}
    return verbs[options.verb](options)


def run(options: argparse.Namespace) -> int:
    """Plan, run and report; see `bench.launch`."""
    from waldbench.bench import launch

    return launch.run(options)


def sharpen(options: argparse.Namespace) -> int:
    """Fuse one scene in files into one file; see `bench.sharpen`."""
    from waldbench.bench import sharpen as verb

    return verb.sharpen(options)


def cost(options: argparse.Namespace) -> int:
    """Measure the full cost of methods; see `bench.cost.grid`."""
    from waldbench.bench.cost import verb

    return verb.run(options)


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
    out.print("not available (info KEY says why)  " + " ".join(methods.catalogue.unavailable), "")
    out.print("sensors    " + " ".join(sensors.names()))
    out.print("protocols  " + " ".join(protocol.presets()))
    return 0


def info(options: argparse.Namespace) -> int:
    """Print the cards of everything that bears this key: methods, indices, datasets, sensors, protocols."""
    out = console()
    for kind, facts in _cards(options.key):
        table = Table(box=None, show_header=False, pad_edge=False, title=f"[bold]{kind}[/]", title_justify="left")
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, value in facts.items():
            if text := _plain(value):
                table.add_row(name.replace("_", " "), text)
        out.print(table)
    return 0


def _cards(key: str) -> list[tuple[str, dict[str, Any]]]:
    kinds: dict[str, tuple[list[str], Callable[[], dict[str, Any]]]] = {
        "method": (methods.names(), lambda: asdict(methods.card(key)) | {"options": _options(key)}),
        "index": (metrics.names(), lambda: asdict(metrics.card(key))),
        "dataset": (datasets.names(), lambda: datasets.card(key)),
        "sensor": (sensors.names(), lambda: asdict(sensors.get(key))),
        "protocol": (protocol.presets(), lambda: _protocol_facts(key)),
    }
    found = [(kind, lookup()) for kind, (names, lookup) in kinds.items() if key in names]
    if not found:
        if key in methods.catalogue.unavailable:
            raise UnavailableError(key, methods.catalogue.unavailable[key])
        raise UnknownNameError("key", key, [name for names, _ in kinds.values() for name in names])
    return found


def _plain(value: Any) -> str:
    if isinstance(value, frozenset):
        return " ".join(sorted(value))
    if isinstance(value, tuple | list):
        sentences = any(len(str(item)) > 24 for item in value)
        return "\n".join(f"- {item}" for item in value) if sentences else ", ".join(map(str, value))
    return str(value)


def data(options: argparse.Namespace) -> int:
    """Check the published files of a dataset; 0 if complete and sound, else 1."""
    from waldbench.bench.data_check import check_data

    lines, sound = check_data(options.key, options.data_root)
    out = console()
    for line in lines:
        out.print(line, soft_wrap=isinstance(line, str))
    return 0 if sound else 1


def report(options: argparse.Namespace) -> int:
    """Derive leaderboard, tables and figures again from the results folder, or compare two folders."""
    from waldbench.bench import reports
    from waldbench.bench.store import Store

    for folder in options.compare or [options.results]:
        if not Path(folder).is_dir():
            raise UsageError(f"results folder '{folder}' not found; run something first, or give --results DIR")
    if options.compare:
        return _compare(*map(Path, options.compare))
    chosen = reports.Choice(options.figures or "all", options.siunitx, tuple(options.export))
    reports.publish(Store(options.results), console(), None, chosen)
    return 0


def _compare(a: Path, b: Path) -> int:
    """Print what changed from folder a to folder b, and write it beside the results of b."""
    from waldbench.bench.analysis import compare
    from waldbench.bench.store import Store

    table = compare.compare(Store(a), Store(b))
    out = console()
    out.print(f"A: {a}\nB: {b}\n", markup=False, soft_wrap=True)
    out.print(*compare.show(table), sep="\n")
    out.print(f"all rows: {compare.write(table, b)}", markup=False, soft_wrap=True)
    return 0


def _protocol_facts(key: str) -> dict[str, Any]:
    rules = protocol.load(key)
    return {"ids": {track: rules.on(track).id for track in rules.scoring}} | rules.to_dict()


def _options(key: str) -> tuple[str, ...]:
    return tuple(f"{name}={default}" for name, default in methods.options(key).items())
