"""The command `zoo`: train networks for the model zoo with an equal budget of time."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from waldbench.bench.commands import options as shared
from waldbench.bench.errors import TrainingInterruptedError, UsageError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--dataset", required=True, metavar="KEY", help="what to train on")
    parser.add_argument("--methods", nargs="+", default=["all-deep"], metavar="KEY", help="keys, or all-deep (default)")
    parser.add_argument("--budget", type=float, metavar="S", help="seconds of training steps each (default: as the protocol)")
    parser.add_argument("--protocol", default="quick", metavar="NAME", help="recipe: quick (default), full, or a YAML file")
    parser.add_argument("--seed", type=shared.whole(0, 2**31 - 1), default=42, metavar="N", help="default: 42")
    shared.add_device(parser, "cpu")
    shared.add_source(parser, "simulated")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the zoo (default: results/zoo)")
    parser.add_argument("--force", action="store_true", help="train again what is there")
    shared.add_plugins(parser)


def run(options: argparse.Namespace) -> int:
    """Train and write; 0 if every network that fits is there, 1 if one failed, 130 after Ctrl-C."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from waldbench.bench import protocol, zoo
    from waldbench.bench.run.settings import expand_methods
    from waldbench.bench.zoo.build import Order, build

    torch.set_num_threads(1)
    if options.budget is not None and not options.budget > 0:
        raise UsageError(f"--budget must be positive seconds, got {options.budget:g}")
    order = Order(
        dataset=options.dataset,
        protocol=protocol.load(options.protocol),
        budget=options.budget,
        seed=options.seed,
        device=torch.device(shared.chosen_device(options.device)),
        folder=options.out or zoo.FOLDER,
        source=options.source,
        root=options.data_root,
        force=options.force,
    )
    try:
        problems = build(order, expand_methods(options.methods), lambda line: print(line, flush=True))
    except TrainingInterruptedError as error:
        print(error, file=sys.stderr)
        return 130
    return 1 if problems else 0
