"""Limits of one cell: a process that takes too long or too much memory is stopped, and the others go on."""

from __future__ import annotations

import time
from collections.abc import Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path

from waldbench.bench.run.executors import Resources

# Seconds between two looks, where there is a limit.
OFTEN = 0.2


class Watch:
    """Looks at running cells.

    Attributes:
        reasons: why a process was stopped, by its number.
        pause: seconds until the next look.
    """

    def __init__(self, limits: Resources) -> None:
        self.limits = limits
        self.reasons: dict[int | None, str] = {}
        self.started: dict[int, float] = {}
        self.pause = OFTEN if limits.timeout or limits.max_memory else 1.0

    def look(self, processes: Iterable[BaseProcess]) -> None:
        """Kill what is beyond a limit; a training's last checkpoint stays and can be resumed with a higher limit."""
        for process in processes:
            if process.pid is None or process.pid in self.reasons:
                continue
            reason = self._beyond(process.pid)
            if reason:
                self.reasons[process.pid] = reason
                process.kill()

    def _beyond(self, pid: int) -> str:
        spent = time.monotonic() - self.started.setdefault(pid, time.monotonic())
        if self.limits.timeout and spent > self.limits.timeout:
            return f"stopped after {self.limits.timeout:g} s (--timeout)"
        if self.limits.max_memory and (used := resident_mib(pid)) > self.limits.max_memory:
            return f"stopped at {used:.0f} MiB of memory (--max-memory {self.limits.max_memory:g})"
        return ""


def resident_mib(pid: int) -> float:
    """Memory that a process holds, libraries included, MiB; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)
