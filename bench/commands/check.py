"""The command `check`: the suite that every method, index and dataset of this project passes, on a plugin."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from waldbench.bench.errors import UsageError

if TYPE_CHECKING:
    from waldbench.bench.conformance import Result
    from waldbench.catalogue import Entry


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is checked."""
    parser.add_argument("what", metavar="FILE|KEY", help="a plugin file, or the key of a method, index or dataset")
    parser.add_argument("key", metavar="KEY", nargs="?", help="one of those that the file registers (default: all)")


def run(options: argparse.Namespace) -> int:
    """Run the suite on everything that was asked and print a table each.

    Returns:
        0 if every check passed, 1 otherwise.
    """
    import torch

    from waldbench.bench import conformance

    entries = _entries(options)
    torch.set_num_threads(1)
    failed = 0
    for entry in entries:
        results = conformance.check(entry)
        failed += sum(result.passed is False for result in results)
        _print(entry, results)
    if failed:
        print(f"{failed} check{'s' if failed > 1 else ''} failed")
    return 1 if failed else 0


def _entries(options: argparse.Namespace) -> list[Entry]:
    from waldbench.bench import plugins
    from waldbench.catalogue import UnknownNameError

    path = Path(options.what)
    if not path.is_file() and path.suffix == ".py":
        raise UsageError(f"plugin '{options.what}' not found")
    if path.is_file():
        plugins.add([options.what])
        problems = [line for line in plugins.problems() if str(path.resolve()) in line]
        if problems:
            raise UsageError(problems[0])
    entries = [entry for package in plugins.PACKAGES for entry in package.catalogue]
    of_file = [entry for entry in entries if entry.path == path.resolve()] if path.is_file() else entries
    key = options.key if path.is_file() else options.what
    found = [entry for entry in of_file if key is None or entry.key == key]
    if not found:
        raise UnknownNameError("key", str(key), [entry.key for entry in of_file])
    return found


def _print(entry: Entry, results: list[Result]) -> None:
    kind = {"methods": "method", "metrics": "index", "datasets": "dataset"}[entry.package]
    print(f"{entry.key} ({kind}, {entry.path.name})")
    words = {True: "ok", False: "FAILED", None: "-"}
    width = max(len(result.name) for result in results)
    for result in results:
        print(f"  {words[result.passed]:<8}{result.name:<{width + 2}}{result.text}")
