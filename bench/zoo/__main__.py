"""Make the zoo: `python -m waldbench.bench.zoo --dataset wv3 --budget 180 --methods all-deep`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from waldbench.bench import zoo
from waldbench.bench.cli import Parser, fail_softly


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write; 0 if every network that fits is there, 1 if one failed, 2 for a wrong request, 130 after Ctrl-C."""
    return fail_softly(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from waldbench.bench import plugins, protocol
    from waldbench.bench.environment import choose_device
    from waldbench.bench.errors import TrainingInterruptedError, UsageError
    from waldbench.bench.experiment import expand_methods
    from waldbench.bench.zoo.build import Order, build

    torch.set_num_threads(1)
    plugins.add(options.plugin)
    if options.budget is not None and options.budget <= 0:
        raise UsageError(f"--budget must be positive seconds, got {options.budget:g}")
    try:
        device = choose_device(options.device)
    except (ValueError, RuntimeError) as error:
        raise UsageError(str(error)) from error
    order = Order(
        dataset=options.dataset,
        protocol=protocol.load(options.protocol),
        budget=options.budget,
        seed=options.seed,
        device=device,
        folder=options.out,
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


def _parser() -> Parser:
    parser = Parser(
        prog="python -m waldbench.bench.zoo", description="Train networks for the model zoo with an equal budget of time."
    )
    parser.add_argument("--dataset", required=True, metavar="KEY", help="what to train on")
    parser.add_argument("--methods", nargs="+", default=["all-deep"], metavar="KEY", help="keys, or all-deep (default)")
    parser.add_argument("--budget", type=float, metavar="S", help="seconds of training steps each (default: as the protocol)")
    parser.add_argument("--protocol", default="quick", metavar="NAME", help="recipe: quick (default), full, or a YAML file")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="of initial weights and order (default: 42)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu (default; one thread), auto, cuda or cuda:1")
    parser.add_argument("--source", choices=("auto", "published", "simulated"), default="simulated", help="default: simulated")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the published files")
    parser.add_argument("--plugin", nargs="+", default=[], metavar="FILE", help="Python files with more methods and datasets")
    parser.add_argument("--out", type=Path, default=zoo.FOLDER, metavar="DIR", help="folder of the zoo (default: results/zoo)")
    parser.add_argument("--force", action="store_true", help="train again what is there")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
