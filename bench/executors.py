"""Where cells run: processes of this machine, or a Dask cluster.

Every cell has a process of its own, so that running out of memory or crashing costs one row and not the run.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from waldbench.bench.cells import Job, record_failure, run
from waldbench.bench.errors import TrainingInterruptedError, UsageError
from waldbench.bench.store import Record, Store

# Called with the job and an event: {"phase": ...}, {"step": ..., ...}, {"notice": ...} or {"record": ...}.
Listener = Callable[[Job, dict[str, Any]], None]
Running = dict[Connection, tuple[Job, BaseProcess]]


class InterruptedRunError(RuntimeError):
    """Ctrl-C: running cells have saved their checkpoints."""


def run_local(jobs: Sequence[Job], listen: Listener, workers: int = 1) -> list[Record]:
    """Run jobs in processes of this machine, at most `workers` at a time; returns their records in order of completion.

    Raises:
        InterruptedRunError: on Ctrl-C, after the running cells have stopped.
    """
    context = _context()
    waiting, running, records = list(jobs), Running(), list[Record]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                receiver, process = _start(context, job)
                running[receiver] = (job, process)
            for ready in multiprocessing.connection.wait(list(running), timeout=1.0):
                assert isinstance(ready, Connection)
                record = _receive(ready, running, listen)
                if record is not None:
                    records.append(record)
    except KeyboardInterrupt:
        _stop([process for _, process in running.values()])
        raise InterruptedRunError from None
    return records


def run_together(jobs: Sequence[Job], listen: Listener) -> list[Record]:
    """Run jobs one after another in this process, the leader of several that torchrun started and that train with it.

    Raises:
        InterruptedRunError: on Ctrl-C, after a checkpoint.
        DistributedError: if this process failed in a training; torchrun ends the others.
    """
    records = []
    for job in jobs:
        try:
            record = run(job, partial(listen, job))
        except (TrainingInterruptedError, KeyboardInterrupt):
            raise InterruptedRunError from None
        listen(job, {"record": record})
        records.append(record)
    return records


def warm_up() -> None:
    """Start the process that cells are forked from, so that it imports torch while the run is being planned."""
    _context()


def _context() -> BaseContext:
    # A spinning barrier makes several threads slower than one wherever another program wants a core (measured: 3 to 8 times).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["waldbench.bench.preload"])
        from multiprocessing.forkserver import ensure_running

        with _own_path():
            ensure_running()
        return context
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


def _start(context: BaseContext, job: Job) -> tuple[Connection, BaseProcess]:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, sender), name=str(job.cell))  # type: ignore[attr-defined]
    process.start()
    sender.close()
    return receiver, process


def _work(job: Job, sender: Connection) -> None:
    try:
        sender.send({"record": run(job, sender.send)})
    except (TrainingInterruptedError, KeyboardInterrupt, BrokenPipeError):
        os._exit(130)
    sender.close()


def _receive(ready: Connection, running: Running, listen: Listener) -> Record | None:
    job, process = running[ready]
    try:
        event = ready.recv()
    except (EOFError, OSError):
        process.join()
        event = {"record": _crashed(job, process.exitcode or 0)}
    listen(job, event)
    if "record" not in event:
        return None
    ready.close()
    del running[ready]
    process.join()
    record: Record = event["record"]
    return record


def _crashed(job: Job, code: int) -> Record:
    if code == 130:
        raise KeyboardInterrupt
    reason = f"the process ended with exit code {code}"
    if code < 0:
        name = signal.Signals(-code).name
        reason = f"the process was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return record_failure(job, Store(Path(job.results)), reason)


def _stop(processes: list[BaseProcess]) -> None:
    for process in processes:
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGINT)
    for process in processes:
        process.join(timeout=60)
        if process.is_alive():
            process.kill()


def run_dask(jobs: Sequence[Job], listen: Listener, scheduler: str | None, workers: int = 1) -> list[Record]:
    """Run jobs on a Dask cluster whose workers see the same results folder.

    Args:
        jobs: cells to run.
        listen: told of finished records only.
        scheduler: address such as tcp://host:8786; None starts a cluster of `workers` processes on this machine.
        workers: size of that cluster.

    Raises:
        UsageError: if dask.distributed is not installed or the scheduler does not answer.
    """
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError as error:
        raise UsageError("--executor dask needs the extra 'distributed': pip install 'waldbench[distributed]'") from error
    by_key: dict[str, Job] = {}
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        cluster = None if scheduler else LocalCluster(n_workers=workers, threads_per_worker=1, local_directory=folder)
        try:
            with Client(scheduler or cluster, timeout="20s") as client:
                futures = [client.submit(_run_quietly, job, pure=False) for job in jobs]
                by_key.update({future.key: job for future, job in zip(futures, jobs, strict=True)})
                for future in as_completed(futures):
                    job = by_key[future.key]
                    lost = future.exception()
                    record = future.result() if lost is None else record_failure(job, Store(Path(job.results)), f"worker: {lost}")
                    listen(job, {"record": record})
                    records.append(record)
        except OSError as error:
            raise UsageError(f"Dask scheduler {scheduler} does not answer: {error}") from error
        finally:
            if cluster is not None:
                cluster.close()
    return records


def _run_quietly(job: Job) -> Record:
    return run(job, lambda _event: None)
