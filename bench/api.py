"""The harness from Python: `waldbench.run(...)` is `run_bench.py` with a result that one can go on with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waldbench.bench.reports.result import Result


def run(
    methods: str | Sequence[str] = (),
    dataset: str | Path | Sequence[str] = (),
    *,
    protocol: str | Path | Mapping[str, Any] = "quick",
    show: bool = False,
    **options: Any,
) -> Result:
    """Train, evaluate and rank methods, as `run_bench.py --methods ... --dataset ...` does; finished cells are not run again.

    Args:
        methods: keys, keys with options ("tv:variant=toolbox"), or "all", "all-classic", "all-deep".
        dataset: keys, or "scene:PATH".
        protocol: "quick", "full", a YAML file, or fields such as {"extends": "quick", "steps": 800}.
        show: print progress and tables.
        **options: any option of the command line by its name with underscores: seeds=[1, 2, 3], results="results",
            device="cpu", sweep=["lr=1e-4,1e-3"], plugin=["my_net.py"], timeout=600, fail_fast=True, ...

    Returns:
        The tables of this run, see `Result`; `.ok` is False if a cell failed, `.failed` says why.

    Raises:
        ValueError: for a wrong request, in one line.
        LookupError: for an unknown key.
        KeyboardInterrupt: on Ctrl-C, after the running cells have saved their checkpoints.

    Example:
        >>> import waldbench
        >>> result = waldbench.run(["exp", "gsa"], "wv3", source="simulated", results="results")  # doctest: +SKIP
        >>> result.leaderboard[["method", "reduced_ergas_mean"]]  # doctest: +SKIP
    """
    from waldbench.bench import cli
    from waldbench.bench.commands import run as command
    from waldbench.bench.reports.result import Result
    from waldbench.bench.results.store import Store

    os.environ.setdefault("PYTHONSAFEPATH", "1")
    name = str(protocol) if isinstance(protocol, Path) else protocol
    given = {"methods": methods, "dataset": dataset, "protocol": name, "quiet": not show}
    # Tables for the user's own eyes are drawn when asked for.
    parsed = cli.from_python(given | {"figures": "none"} | options)
    cli.add_plugins(parsed.plugin)
    try:
        outcome = command.outcome(parsed, silent=not show)
    except SystemExit as error:
        raise KeyboardInterrupt from error
    return Result(Store(parsed.results), outcome.wanted, outcome.code == 0)
