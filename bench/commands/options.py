"""Options that several commands share, so that they are called and described alike everywhere."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from waldbench.bench.errors import UsageError
from waldbench.methods.groups import NAMES

GROUPS = ", ".join(NAMES)


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Type of an option: a whole number from `low` to `high`."""

    def number(text: str) -> int:
        value = int(text) if text.strip().lstrip("+-").isdecimal() else None
        if value is None or value < low or (high is not None and value > high):
            limits = f"at least {low}" if high is None else f"{low} to {high}"
            raise argparse.ArgumentTypeError(f"expected a whole number, {limits}, got '{text}'")
        return value

    return number


def existing_file(text: str) -> Path:
    """Type of an option: a file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"no such file: {text}")
    return Path(text)


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print JSON, for other programs")


def print_json(content: Any) -> None:
    """Print plain data as JSON; sets are sorted, infinite numbers become text."""
    import json

    print(json.dumps(_plain(content), indent=1, ensure_ascii=True, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(entry) for entry in value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def add_plugins(parser: argparse._ActionsContainer) -> None:
    """Add --plugin."""
    parser.add_argument(
        "--plugin", nargs="+", default=[], metavar="FILE", help="Python files with more methods, indices, datasets"
    )


def add_task(parser: argparse._ActionsContainer) -> None:
    """Add --task."""
    from waldbench.imaging.tracks import TASKS

    parser.add_argument("--task", choices=tuple(TASKS), help="multispectral, hyperspectral or SAR-optical")


def add_source(parser: argparse._ActionsContainer, default: str = "auto") -> None:
    """Add --source and --data-root."""
    kinds = ("auto", "published", "simulated")
    parser.add_argument("--source", choices=kinds, default=default, help=f"published files or twin (default: {default})")
    add_data_root(parser)


def add_data_root(parser: argparse._ActionsContainer) -> None:
    """Add --data-root."""
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the published files")


def add_results(parser: argparse._ActionsContainer) -> None:
    """Add --results."""
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="results folder (default: results)")


def add_device(parser: argparse._ActionsContainer, default: str = "auto") -> None:
    """Add --device."""
    parser.add_argument("--device", default=default, metavar="NAME", help=f"auto, cpu, cuda or cuda:1 (default: {default})")


def add_threads(parser: argparse._ActionsContainer, note: str) -> None:
    """Add --threads."""
    parser.add_argument("--threads", type=whole(1), metavar="N", help=note)


def add_report(parser: argparse._ActionsContainer, figures: str) -> None:
    """Add what chooses the reports."""
    from waldbench.bench.reports.choices import EXPORTS, FIGURES

    group = parser.add_argument_group("reports")
    group.add_argument("--figures", choices=FIGURES, default=figures, help=f"which are drawn (default: {figures})")
    group.add_argument("--siunitx", action="store_true", help="LaTeX tables aligned at the decimal point by siunitx")
    group.add_argument(
        "--export", nargs="+", choices=EXPORTS, default=[], metavar="|".join(EXPORTS), help="results for other tools"
    )


def chosen_device(name: str) -> str:
    """The device that `name` stands for, "cpu" or "cuda:<index>".

    Raises:
        UsageError: if it is not there.
    """
    from waldbench.bench.environment import choose_device

    try:
        return str(choose_device(name))
    except (ValueError, RuntimeError) as error:
        raise UsageError(str(error)) from error
