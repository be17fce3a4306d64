"""How many cells run at a time, and with how many threads each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.cells import Job

# More processes than this wait for memory rather than for a core.
MOST = 8
# Memory left for each cell that runs beside others, bytes.
EACH = 2 << 30


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def batches(jobs: Sequence[Job], workers: int | None, threads: int | None) -> list[tuple[list[Job], int]]:
    """Jobs to run together, and how many of them at a time.

    Args:
        jobs: cells; they keep their order within a batch.
        workers: cells at a time as the user says; None: cells that train or use a GPU run alone on all cores, the others share
            the cores, as memory allows.
        threads: of a cell as the user says; None: cores / cells at a time.
    """
    if workers is not None and jobs:
        return [(_with_threads(jobs, threads or cores() // workers), workers)]
    light = [job for job in jobs if not job.trains and job.device == "cpu"]
    heavy = [job for job in jobs if job.trains or job.device != "cpu"]
    together = max(min(len(light), cores() // (threads or 1), MOST, _memory() // EACH), 1)
    planned = [(_with_threads(light, threads or cores() // together), together), (_with_threads(heavy, threads or cores()), 1)]
    return [(batch, count) for batch, count in planned if batch]


def _with_threads(jobs: Sequence[Job], threads: int) -> list[Job]:
    return [replace(job, threads=max(threads, 1)) for job in jobs]


def _memory() -> int:
    """Free memory in bytes; where the system does not tell, enough for every core."""
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) << 10
    return cores() * EACH
