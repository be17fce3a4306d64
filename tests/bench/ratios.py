"""Alternated timing of two sides and the table of their ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch

from waldbench.bench import environment


@dataclass(frozen=True)
class Row:
    """CPU seconds of both sides, medians, and the median of the ratios of neighbouring runs."""

    operation: str
    peer: str
    own_s: float
    peer_s: float
    ratio: float
    target: str


ROWS: list[Row] = []
SKIPPED: list[tuple[str, str]] = []


def compare(
    benchmark: Any, operation: str, own: Callable[[], Any], peer: Callable[[], Any], name: str, target: str = "", rounds: int = 5
) -> None:
    """Run peer, own, peer, own ...; record CPU time of both, all threads of the process included."""
    times: dict[str, list[float]] = {"own": [], "peer": []}

    def timed(side: str, work: Callable[[], Any]) -> None:
        start = time.process_time()
        work()
        times[side].append(time.process_time() - start)

    own(), peer()
    benchmark.group = "against peers"
    benchmark.pedantic(lambda: timed("own", own), setup=lambda: timed("peer", peer), rounds=rounds)
    ratios = [slow / max(fast, 1e-9) for slow, fast in zip(times["peer"], times["own"], strict=True)]
    medians = [statistics.median(times[side]) for side in ("own", "peer")]
    ROWS.append(Row(operation, name, *medians, statistics.median(ratios), target))
    benchmark.extra_info.update(peer=name, ratio=ROWS[-1].ratio, threads=torch.get_num_threads())


def table() -> list[str]:
    """Markdown lines: conditions, ratios, and what was skipped and why."""
    conditions = f"{environment.processor()}, {datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}, one thread"
    lines = [f"{conditions}; CPU time, alternated runs, medians", ""]
    lines += ["| operation | here ms | peer ms | ratio | target | peer |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row.operation} | {row.own_s * 1e3:.3g} | {row.peer_s * 1e3:.3g} | {row.ratio:.3g} | {row.target} | {row.peer} |"
        for row in ROWS
    ]
    return lines + [f"skipped: {operation}: {reason}" for operation, reason in SKIPPED]
