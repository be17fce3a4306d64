"""How many cells run at a time, and with how many threads each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from waldbench.bench.environment import cores
from waldbench.bench.run.job import Job

# More processes than this wait for memory rather than for a core.
MOST = 8
# Memory left for each cell that runs beside others, bytes.
EACH = 2 << 30


def batches(jobs: Sequence[Job], workers: int | None, threads: int | None) -> list[tuple[list[Job], int]]:
    """Jobs to run together, and how many of them at a time.

    Args:
        jobs: cells; they keep their order within a batch.
        workers: cells at a time as the user says; None: cells that use a GPU run alone, the others share the cores, as memory
            allows: one training from the start, as trainings take longest, beside it what does not train, then the rest.
        threads: of a cell as the user says; None: one for a training on the CPU, so that neither the machine nor the other cells
            change its rounding (and small patches gain next to nothing from more); cores / cells at a time for the others.
    """
    if workers is not None:
        return [(_with_threads(jobs, workers, threads), workers)] if jobs else []
    on_cpu = [job for job in jobs if job.device == "cpu"]
    together = max(min(len(on_cpu), cores() // (threads or 1), MOST, _memory() // EACH), 1)
    planned = [(_ordered(on_cpu, together), together), ([job for job in jobs if job.device != "cpu"], 1)]
    return [(_with_threads(group, count, threads), count) for group, count in planned if group]


def _ordered(jobs: list[Job], together: int) -> list[Job]:
    trainings = [job for job in jobs if job.trains]
    first = trainings[: min(together - 1, 1)]
    return first + [job for job in jobs if not job.trains] + trainings[len(first) :]


def _with_threads(jobs: Sequence[Job], together: int, threads: int | None) -> list[Job]:
    share = max(threads or cores() // together, 1)
    return [replace(job, threads=1 if threads is None and job.trains and job.device == "cpu" else share) for job in jobs]


def _memory() -> int:
    """Free memory in bytes; where the system does not tell, enough for every core."""
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) << 10
    return cores() * EACH
