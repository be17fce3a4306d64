"""The command `data`: which published files are expected where, what was found, and whether it is what was published."""

from __future__ import annotations

import argparse

from waldbench.bench.commands import options as shared


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("key", metavar="KEY", help="a dataset, or scene:PATH (all keys: run_bench.py list)")
    shared.add_data_root(parser)
    shared.add_json(parser)
    shared.add_plugins(parser)


def run(options: argparse.Namespace) -> int:
    """Check the files of a dataset; 0 if they are complete and sound, else 1."""
    from waldbench.bench.data_check import check_data
    from waldbench.bench.screen import console

    lines, sound = check_data(options.key, options.data_root)
    if options.json:
        shared.print_json({"key": options.key, "sound": sound, "lines": lines})
        return 0 if sound else 1
    out = console()
    for line in lines:
        out.print(line, soft_wrap=True)
    return 0 if sound else 1
