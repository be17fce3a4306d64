"""Everything that is derived from the store, in one call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from rich.console import Console

from waldbench.bench.reports.choices import Choice
from waldbench.bench.results import leaderboard, sweeps
from waldbench.bench.results.scores import samples
from waldbench.bench.results.store import Store

# Modules that derive the parts, each by its function `write`.
WRITERS = {
    "latex": "waldbench.bench.reports.latex",
    "figures": "waldbench.bench.figures.writer",
    "costs": "waldbench.bench.cost.tables",
    "site": "waldbench.bench.site",
    "exports": "waldbench.bench.reports.exports",
}


def write_all(
    store: Store,
    choice: Choice | None = None,
    report: Callable[[str], None] | None = None,
    frame: pd.DataFrame | None = None,
) -> list[Path]:
    """Derive CSV files, LaTeX tables, figures, the web page and exports again from all cells.

    A part that fails does not take the others with it: the problem becomes one line.

    Args:
        store: the results.
        choice: what is derived; by default everything but exports.
        report: takes the lines about problems; None writes them to standard error.
        frame: the leaderboard, where it has been built already.

    Returns:
        Paths of the files that are there and up to date.

    Raises:
        OSError: if the leaderboard itself cannot be written.
    """
    choice = choice or Choice()
    frame = leaderboard.build(store) if frame is None else frame
    paths = leaderboard.write(store, frame) + sweeps.write(store, frame)
    parts: dict[str, tuple[object, ...]] = {"latex": (choice.siunitx,)}
    parts |= {"figures": (choice.figures == "fast",)} if choice.figures != "none" else {}
    parts |= {"costs": (), "site": ()}
    parts |= {"exports": (choice.exports,)} if choice.exports else {}
    for name, options in parts.items():
        try:
            paths += _writer(name)(store, frame, *options)
        except Exception as error:  # whatever goes wrong in a picture, the numbers are on disk and must stay usable
            line = f"{name} could not be written: {type(error).__name__}: {error}"
            (report or _complain)(line)
    return paths


def publish(store: Store, out: Console, wanted: set[tuple[str, str]] | None, choice: Choice | None = None) -> None:
    """Derive every report again and print the tables of the wanted (protocol id, dataset label) pairs; None: of all."""
    from waldbench.bench.reports import terminal

    found = samples(store)
    frame = leaderboard.build(store, found)
    write_all(store, choice, report=lambda line: out.print(line, soft_wrap=True), frame=frame)
    frame = pd.concat([frame, sweeps.build(store, frame, found)], ignore_index=True)
    if wanted is not None:
        keys = zip(frame["protocol"], frame["dataset"], strict=True)
        frame = frame[[key in wanted for key in keys]]
    terminal.show(frame, out)
    for problem in [*store.problems, *store.damaged.values()]:
        out.print(problem, soft_wrap=True)
    line = f"leaderboard: {store.root / 'leaderboard.csv'}; tables/, figures/ and site/index.html beside it"
    out.print(line, soft_wrap=True)


def _writer(name: str) -> Callable[..., list[Path]]:
    """Import one writer only now: a broken drawing library must not keep the tables from being written."""
    from importlib import import_module

    writer: Callable[..., list[Path]] = import_module(WRITERS[name]).write
    return writer


def _complain(line: str) -> None:
    print(line, file=sys.stderr)
