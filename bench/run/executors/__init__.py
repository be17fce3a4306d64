"""Where cells run. Each executor is a module of this folder with `execute(jobs, listen, resources) -> list[Record]`.

Every cell has a process of its own, so that running out of memory or crashing costs one row and not the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waldbench.bench.results.record import Record
    from waldbench.bench.run.job import Job

# What the command line offers; "together" is chosen by torchrun.
EXECUTORS = {"local": "processes here", "dask": "a Dask cluster"}
# Called with the job and an event: {"phase": ...}, {"step": ..., ...}, {"notice": ...} or {"record": ...}.
Listener = Callable[["Job", dict[str, Any]], None]
Executor = Callable[[Sequence["Job"], Listener, "Resources"], list["Record"]]


@dataclass(frozen=True)
class Resources:
    """What the user gives to a run.

    Attributes:
        workers: cells at a time; None: as the executor chooses.
        threads: of a cell; None: as the executor chooses.
        scheduler: address of a Dask cluster; None starts one on this machine.
        timeout: seconds after which a cell is stopped; None: never.
        max_memory: MiB of memory of a cell's process above which it is stopped; None: no limit.
        fail_fast: whether the first failed cell ends the run.
        wait_workers: seconds to wait for a Dask worker while there is none.
    """

    workers: int | None = None
    threads: int | None = None
    scheduler: str | None = None
    timeout: float | None = None
    max_memory: float | None = None
    fail_fast: bool = False
    wait_workers: float = 60


class InterruptedRunError(RuntimeError):
    """Ctrl-C: running cells have saved their checkpoints."""


def get(name: str) -> Executor:
    """The function of an executor, imported only now."""
    execute: Executor = import_module(f"{__name__}.{name}").execute
    return execute
