"""The command `info`: print what is known about one key."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from waldbench import datasets, methods, metrics
from waldbench.bench import protocol
from waldbench.bench.commands import options as shared
from waldbench.catalogue import UnavailableError, UnknownNameError
from waldbench.imaging import sensors


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("key", metavar="KEY", help="a method, index, dataset, sensor or protocol (all keys: run_bench.py list)")
    shared.add_json(parser)
    shared.add_plugins(parser)


def run(options: argparse.Namespace) -> int:
    """Print the cards of everything that has this key: methods, indices, datasets, sensors, protocols; returns 0."""
    from rich.table import Table
    from rich.text import Text

    from waldbench.bench.screen import console

    if options.json:
        shared.print_json(dict(_cards(options.key)))
        return 0
    out = console()
    for kind, facts in _cards(options.key):
        table = Table(box=None, show_header=False, pad_edge=False, title=Text(kind, style="bold"), title_justify="left")
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


def _protocol_facts(key: str) -> dict[str, Any]:
    rules = protocol.load(key)
    return {"ids": {track: rules.on(track).id for track in rules.scoring}} | rules.to_dict()


def _options(key: str) -> tuple[str, ...]:
    return tuple(f"{name}={default}" for name, default in methods.options(key).items())
