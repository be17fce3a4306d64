"""The command `report`: derive everything again from a results folder, or compare two folders."""

from __future__ import annotations

import argparse
from pathlib import Path

from waldbench.bench.commands import options as shared
from waldbench.bench.errors import UsageError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    shared.add_results(parser)
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"), help="what changed between two results folders")
    shared.add_report(parser, "all")
    shared.add_plugins(parser)


def run(options: argparse.Namespace) -> int:
    """Derive leaderboard, tables and figures again, or print a comparison; returns 0."""
    for folder in options.compare or [options.results]:
        if not folder.is_dir():
            raise UsageError(f"results folder '{folder}' not found; run something first, or give --results DIR")
    if options.compare:
        return _compare(*options.compare)
    from waldbench.bench import reports
    from waldbench.bench.reports.choices import Choice
    from waldbench.bench.results.store import Store
    from waldbench.bench.screen import console

    chosen = Choice(options.figures, options.siunitx, tuple(options.export))
    reports.publish(Store(options.results), console(), None, chosen)
    return 0


def _compare(a: Path, b: Path) -> int:
    """Print what changed from folder a to folder b, and write it beside the results of b."""
    from waldbench.bench.results import compare
    from waldbench.bench.results.store import Store
    from waldbench.bench.screen import console

    table = compare.compare(Store(a), Store(b))
    out = console()
    out.print(f"A: {a}\nB: {b}\n", soft_wrap=True)
    out.print(*compare.show(table), sep="\n")
    out.print(f"all rows: {compare.write(table, b)}", soft_wrap=True)
    return 0
