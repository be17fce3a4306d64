"""The commands of `run_bench.py`: one module each, with `add_options(parser)` and `run(options)`.

Modules are imported when their command is used, so that `--help` and `list` stay light.
"""

from __future__ import annotations

# Command and what it does, in the order of the help text.
COMMANDS = {
    "run": "train, evaluate and rank methods (what happens without a command)",
    "list": "print all methods, indices, datasets, sensors and protocols",
    "info": "print what is known about one of them",
    "data": "tell which published files are expected, found, broken",
    "check": "test a plugin as the methods, indices and datasets of this project are tested",
    "sharpen": "fuse one scene in files into one file",
    "cost": "measure latency, memory and energy over sizes, threads, precisions",
    "report": "derive leaderboard, tables, figures and page again, or compare two results folders",
    "zoo": "train networks for the model zoo with an equal budget of time",
}
