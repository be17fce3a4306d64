"""Cells in processes of this machine, forked from a server that has imported what every cell needs."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from waldbench.bench.errors import TrainingInterruptedError
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell, Store
from waldbench.bench.run.cell import record_failure, run
from waldbench.bench.run.executors import InterruptedRunError, Listener, Resources
from waldbench.bench.run.executors.limits import Watch
from waldbench.bench.run.job import Job, Report
from waldbench.bench.run.schedule import batches

Running = dict[Connection, tuple[Job, BaseProcess]]
Work = Callable[[Job, Report], Record]


def execute(jobs: Sequence[Job], listen: Listener, resources: Resources) -> list[Record]:
    """Run jobs and return their records in order of completion.

    Raises:
        InterruptedRunError: on Ctrl-C, after the running cells have stopped.
    """
    records: list[Record] = []
    for group, count in batches(jobs, resources.workers, resources.threads):
        records += run_local(group, listen, count, resources)
        if resources.fail_fast and not all(record.ok for record in records):
            break
    return records


def run_local(
    jobs: Sequence[Job], listen: Listener, workers: int = 1, limits: Resources | None = None, work: Work = run
) -> list[Record]:
    """Run jobs in processes of this machine, at most `workers` at a time; returns their records in order of completion.

    Args:
        jobs: cells to run.
        listen: takes their events.
        workers: cells at a time.
        limits: of time and memory of each cell, and whether the first failure ends the run.
        work: what is done with a job.

    Raises:
        InterruptedRunError: on Ctrl-C, after the running cells have stopped.
    """
    processes, limits = context(), limits or Resources()
    watch = Watch(limits)
    waiting, running, records, told = list(jobs), Running(), list[Record](), set[Cell]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = _next(waiting, told, listen)
                receiver, process = _start(processes, job, work)
                running[receiver] = (job, process)
            for ready in multiprocessing.connection.wait(list(running), timeout=watch.pause):
                assert isinstance(ready, Connection)
                record = _receive(ready, running, listen, watch)
                if record is not None:
                    records.append(record)
            watch.look(process for _, process in running.values())
            if limits.fail_fast and records and not records[-1].ok:
                # What is stopped keeps its checkpoint.
                _stop([process for _, process in running.values()])
                return records
    except KeyboardInterrupt:
        _stop([process for _, process in running.values()])
        raise InterruptedRunError from None
    return records


def _next(waiting: list[Job], told: set[Cell], listen: Listener) -> Job:
    """Take the first job whose cell no other run holds; where all are held, the first, which then waits."""
    for number, job in enumerate(waiting):
        owner = Store(Path(job.results)).holder(job.cell)
        if owner is None:
            return waiting.pop(number)
        if job.cell not in told and number + 1 < len(waiting):
            told.add(job.cell)
            listen(job, {"notice": f"held by {owner}; going on with others"})
    return waiting.pop(0)


def warm_up() -> None:
    """Start the process that cells are forked from, so that it imports torch while the run is being planned."""
    context()


def context() -> BaseContext:
    """How processes are started: forked from a server, or spawned where there is no such server."""
    # A spinning barrier makes several threads slower than one wherever another program wants a core (measured: 3 to 8 times).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux":
        forked = multiprocessing.get_context("forkserver")
        forked.set_forkserver_preload(["waldbench.bench.run.preload"])
        from multiprocessing.forkserver import ensure_running

        # Ctrl-C while the server imports torch is for this process to tell, not a traceback of the server.
        with _own_path(), _deaf():
            ensure_running()
        return forked
    return multiprocessing.get_context("spawn")


@contextmanager
def _own_path() -> Iterator[None]:
    """Let a new interpreter search where this one does, and not in the current folder, which may hold anything."""
    own = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf() -> Iterator[None]:
    """Let a process that is started here ignore Ctrl-C; what it forks listens again, see `_work`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _without_script() -> Iterator[None]:
    """Keep a cell from importing the script that started the run: it needs nothing of it, and would run it again."""
    script = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(script).pop(name) for name in ("__file__", "__spec__") if name in vars(script)}
    script.__spec__ = None
    try:
        yield
    finally:
        vars(script).update(hidden)


def _start(context: BaseContext, job: Job, work: Work) -> tuple[Connection, BaseProcess]:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, sender, work), name=str(job.cell))  # type: ignore[attr-defined]
    with _without_script():
        process.start()
    sender.close()
    return receiver, process


def _work(job: Job, sender: Connection, work: Work) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sender.send({"record": work(job, sender.send)})
    except (TrainingInterruptedError, KeyboardInterrupt, BrokenPipeError):
        os._exit(130)
    sender.close()


def _receive(ready: Connection, running: Running, listen: Listener, watch: Watch) -> Record | None:
    job, process = running[ready]
    try:
        event = ready.recv()
    except (EOFError, OSError):
        process.join()
        reason = watch.reasons.pop(process.pid, "")
        event = {"record": _failed(job, reason) if reason else _crashed(job, process.exitcode or 0)}
    listen(job, event)
    if "record" not in event:
        return None
    ready.close()
    del running[ready]
    process.join()
    record: Record = event["record"]
    return record


def _crashed(job: Job, code: int) -> Record:
    return _failed(job, reason_of(code))


def reason_of(code: int) -> str:
    """What the exit code of a process tells. Raises KeyboardInterrupt if that was Ctrl-C."""
    if code == 130:
        raise KeyboardInterrupt
    if code >= 0:
        return f"the process ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"the process was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _failed(job: Job, reason: str) -> Record:
    return record_failure(job, Store(Path(job.results)), reason)


def _stop(processes: list[BaseProcess]) -> None:
    for process in processes:
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGINT)
    for process in processes:
        process.join(timeout=60)
        if process.is_alive():
            process.kill()
