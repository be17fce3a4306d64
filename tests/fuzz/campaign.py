"""Many cases in worker processes: counts of verdicts, and every case that failed, with the line that repeats it."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from tests.fuzz.cases import LIMIT, VERDICTS, Result, serve

# Seconds after which a worker that does not heed its alarm is killed.
KILL = 6 * LIMIT
# A worker starts torch before its first case.
START = 60
Worker = tuple[BaseProcess, str, float]


def cases(seed: int, subjects: Sequence[str], count: int) -> list[str]:
    """Names of `count` cases, the subjects in turn."""
    return [f"{seed}/{subjects[number % len(subjects)]}/{number // len(subjects)}" for number in range(count)]


def run(names: Sequence[str], workers: int = 1) -> Iterator[Result]:
    """Run cases in processes of their own; a process that dies or hangs costs its case and is replaced."""
    context = multiprocessing.get_context("spawn")
    waiting, running = list(reversed(names)), dict[Connection, Worker]()
    with tempfile.TemporaryDirectory(prefix="fz") as sound:
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    here, there = context.Pipe()
                    process = context.Process(target=serve, args=(there, f"{sound}/{len(waiting)}"), daemon=True)
                    process.start()
                    there.close()
                    _send(here, process, waiting.pop(), running, START)
                for connection in wait(list(running), timeout=1.0):
                    assert isinstance(connection, Connection)
                    yield _receive(connection, running, waiting)
                for connection in [one for one, (_, _, end) in running.items() if time.monotonic() > end]:
                    process, case, _ = running.pop(connection)
                    _stop(process)
                    yield Result(case, "hang", "", f"no answer in {KILL} s, not even to an alarm", KILL)
        finally:
            for process, _, _ in running.values():
                _stop(process)


def _send(connection: Connection, process: BaseProcess, case: str, running: dict[Connection, Worker], more: float = 0) -> None:
    running[connection] = (process, case, time.monotonic() + KILL + more)
    with suppress(BrokenPipeError):
        connection.send(case)


def _receive(connection: Connection, running: dict[Connection, Worker], waiting: list[str]) -> Result:
    process, case, _ = running.pop(connection)
    try:
        result: Result = connection.recv()
    except (EOFError, OSError):
        process.join()
        return Result(case, "traceback", "", f"the process died with exit code {process.exitcode}")
    if waiting:
        _send(connection, process, waiting.pop(), running)
    else:
        _stop(process)
    return result


def _stop(process: BaseProcess) -> None:
    process.kill()
    process.join()


def summary(results: Sequence[Result]) -> str:
    """A table of subjects and verdicts, with the sums."""
    counts = Counter((result.case.split("/")[1], result.verdict) for result in results)
    names = sorted({name for name, _ in counts})
    rows = [("", "tried", *VERDICTS)]
    rows += [(name, *(str(n) for n in _row([counts[name, verdict] for verdict in VERDICTS]))) for name in names]
    total = [sum(counts[name, verdict] for name in names) for verdict in VERDICTS]
    rows.append(("all", *(str(n) for n in _row(total))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    slowest = max((result.seconds for result in results), default=0)
    peak = max((result.peak for result in results), default=0)
    return "\n".join([*lines, f"slowest case {slowest:.1f} s, largest memory of a worker {peak / 2**30:.2f} GiB"])


def _row(counts: list[int]) -> list[int]:
    return [sum(counts), *counts]
