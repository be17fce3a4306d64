"""The command `list`: print all keys."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from waldbench.bench.commands import options as shared


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    shared.add_task(parser)
    shared.add_json(parser)
    shared.add_plugins(parser)


def run(options: argparse.Namespace) -> int:
    """Print methods, indices, datasets, sensors and protocols; returns 0."""
    from waldbench import datasets, methods, metrics
    from waldbench.bench import protocol
    from waldbench.bench.screen import console
    from waldbench.imaging import sensors
    from waldbench.methods import groups

    if options.json:
        shared.print_json(_everything(options.task))
        return 0
    out = console()
    rows = []
    for key in methods.names(options.task):
        card = methods.card(key)
        rows.append((key, card.title, card.family.replace("_", " "), " ".join(sorted(card.tasks)), str(card.year)))
    out.print(_table("methods", ("key", "title", "family", "tasks", "year"), rows), "")
    cards = [metrics.card(key) for key in metrics.names()]
    rows = [(card.key, card.title, card.arrow, " ".join(card.needs), card.summary) for card in cards]
    out.print(_table("indices", ("key", "title", "", "needs", ""), rows), "")
    facts = {key: datasets.card(key) for key in datasets.names(options.task)}
    entries = [(key, card["title"], card["task"]) for key, card in facts.items()]
    out.print(_table("datasets", ("key", "title", "task"), entries), "")
    out.print("groups     " + " ".join(groups.NAMES))
    out.print("not available (info KEY says why)  " + " ".join(methods.catalogue.unavailable), "")
    out.print("sensors    " + " ".join(sensors.names()))
    out.print("protocols  " + " ".join(protocol.presets()))
    return 0


def _everything(task: str | None) -> dict[str, Any]:
    """Cards of all methods, indices and datasets, and the keys of the rest."""
    from waldbench import datasets, methods, metrics
    from waldbench.bench import protocol
    from waldbench.imaging import sensors
    from waldbench.methods import groups

    return {
        "methods": [asdict(methods.card(key)) for key in methods.names(task)],
        "indices": [asdict(metrics.card(key)) for key in metrics.names()],
        "datasets": [{"key": key} | datasets.card(key) for key in datasets.names(task)],
        "groups": {name: groups.members(name, task) for name in groups.NAMES},
        "unavailable": methods.catalogue.unavailable,
        "sensors": sensors.names(),
        "protocols": protocol.presets(),
    }


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> object:
    from rich.table import Table

    table = Table(*columns, title=title, box=None, title_justify="left", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table
