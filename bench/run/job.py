"""What a worker needs to run one cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from waldbench.bench.protocol import Protocol
from waldbench.bench.results.store import Cell
from waldbench.bench.training.execution import Execution

# Takes the events of a running cell: {"phase": ...}, {"step": ..., ...} or {"notice": ...}.
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """Everything a worker needs to run one cell; plain data, so that it crosses processes and machines.

    Attributes:
        cell: where the result belongs.
        results: root of the store, absolute.
        protocol: with the scoring of the dataset's track only.
        dataset, dataset_options: arguments of `datasets.open`.
        facts: what the record says about the dataset, see `datasets.base.facts`.
        method, arguments: arguments of `methods.create`.
        seed: of initial weights, order and augmentation.
        trains: whether the method is trained in this cell.
        weights: file of weights to evaluate instead, or None.
        card: card of the model zoo to evaluate instead, or None.
        ablate: "guide" for a network trained without its guide, or None.
        device: "cpu", or "cuda:<index>".
        execution: options that change speed and memory only.
        threads: of torch on the CPU; None: torch's own choice.
        plugins: Python files with more methods, indices and datasets.
        code: `environment.code()` of the process that planned the run.
        made_with: fingerprints of the code that the cell is made with, see `fingerprints.describe`.
        rescores: whether a training is kept and its images are only fused and scored again.
        force: whether a result that another run finished meanwhile is made again.
    """

    cell: Cell
    results: str
    protocol: Protocol
    dataset: str
    dataset_options: dict[str, Any]
    facts: dict[str, Any]
    method: str
    seed: int
    trains: bool
    weights: str | None = None
    ablate: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    card: str | None = None
    device: str = "cpu"
    execution: Execution = field(default_factory=Execution)
    threads: int | None = None
    plugins: tuple[str, ...] = field(default=())
    code: str = ""
    made_with: dict[str, Any] = field(default_factory=dict)
    rescores: bool = False
    force: bool = False
