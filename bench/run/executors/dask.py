"""Cells on a Dask cluster whose workers see the same results folder."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from waldbench.bench.errors import UsageError
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Store
from waldbench.bench.run.cell import record_failure, run
from waldbench.bench.run.executors import InterruptedRunError, Listener, Resources
from waldbench.bench.run.job import Job
from waldbench.bench.run.schedule import batches

# Seconds between two looks at the cluster, and that an answer of a scheduler may take.
POLL = 1.0
ANSWER = 20
# Seconds in which a shared disk shows here what a worker wrote.
SHOWN = 15.0


class UnseenFolderError(RuntimeError):
    """A worker does not see the results folder of the run."""


def execute(jobs: Sequence[Job], listen: Listener, resources: Resources) -> list[Record]:
    """Run jobs on a cluster and return their records in order of completion.

    Where no worker is left for `resources.wait_workers` seconds, or the scheduler is gone, the cells that are not finished fail
    and the others are kept.

    Args:
        jobs: cells to run.
        listen: told of finished records, and in a notice of missing workers.
        resources: scheduler, such as tcp://host:8786; None starts a cluster of `workers` processes (default: 1) here.

    Raises:
        UsageError: if dask.distributed is not installed or the scheduler does not answer.
        InterruptedRunError: on Ctrl-C.
    """
    workers = resources.workers or 1
    groups = batches(jobs, workers, resources.threads)
    records: list[Record] = []
    for group, _ in groups:
        records += _run(group, listen, resources, workers)
        if resources.fail_fast and not all(record.ok for record in records):
            break
    return records


def _run(jobs: Sequence[Job], listen: Listener, resources: Resources, workers: int) -> list[Record]:
    records: list[Record] = []

    def finish(job: Job, record: Record) -> None:
        listen(job, {"record": record})
        records.append(record)

    with _token(Path(jobs[0].results)) as token, _client(resources, workers) as client:
        # The first cells first: a scheduler is free to start with the last.
        pending = {client.submit(_run_where_seen, job, token, pure=False, priority=-n): job for n, job in enumerate(jobs)}
        watch = _Watch(client, resources, listen, jobs[0])
        try:
            while pending:
                _wait(list(pending))
                for future in [one for one in pending if one.done()]:
                    finish(job := pending.pop(future), _outcome(future, job))
                if resources.fail_fast and not all(record.ok for record in records):
                    break
                if lost := watch.lost():
                    for job in pending.values():
                        finish(job, record_failure(job, Store(Path(job.results)), f"{lost}; run the same command again"))
                    break
        except KeyboardInterrupt:
            raise InterruptedRunError from None
        finally:
            with suppress(Exception):
                client.cancel(list(pending))
    return records


class _Watch:
    """Tells whether the cluster can still finish something."""

    def __init__(self, client: Any, resources: Resources, listen: Listener, job: Job) -> None:
        self.client, self.resources, self.listen, self.job = client, resources, listen, job
        self.since: float | None = None

    def lost(self) -> str:
        """Why nothing more will be finished; empty while there is hope."""
        try:
            working = bool(self.client.scheduler_info()["workers"]) if self.client.status == "running" else None
        except Exception:  # a closed connection raises many different exceptions
            working = None
        if working is None:
            return f"the Dask scheduler {self.resources.scheduler or ''} is gone".replace("  ", " ")
        if working:
            self.since = None
            return ""
        limit = self.resources.wait_workers
        if self.since is None:
            self.since = time.monotonic()
            self.listen(self.job, {"notice": f"no Dask worker is left; waiting {limit:g} s for one (--wait-workers)"})
        return f"no Dask worker for {limit:g} s" if time.monotonic() - self.since > limit else ""


def _wait(futures: list[Any]) -> None:
    from distributed import wait

    # Nothing finished in time, or the scheduler is gone, which `_Watch` tells.
    with suppress(Exception):
        wait(futures, timeout=POLL, return_when="FIRST_COMPLETED")


def _outcome(future: Any, job: Job) -> Record:
    """The record of a finished task; a failed one where the worker died or the leader does not see the cell."""
    store = Store(Path(job.results))
    try:
        lost = future.exception(timeout=ANSWER)
        record: Record | None = future.result(timeout=ANSWER) if lost is None else None
    except Exception as error:  # cancelled with the scheduler, or the connection broke
        lost, record = error, None
    if record is None:
        reason = str(lost).split("\n")[0] or type(lost).__name__
        return record_failure(job, store, reason if isinstance(lost, UnseenFolderError) else f"worker: {reason}")
    if record.ok and not _is_shown(store, job):
        where = "its worker reports it as finished, but it is not in the results folder here; share the folder with all workers"
        return record_failure(job, store, f"{where}: {job.results}")
    return record


def _is_shown(store: Store, job: Job) -> bool:
    """Whether the leader sees a finished cell, in the time that network disks need."""
    end = time.monotonic() + SHOWN
    while (record := store.read(job.cell)) is None or not record.ok:
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _run_where_seen(job: Job, token: str) -> Record:
    """Run a cell on a worker, if its results folder is the leader's."""
    if not (Path(job.results) / token).is_file():
        raise UnseenFolderError(
            f"worker on {socket.gethostname()}, folder {os.getcwd()}: results folder {job.results} is not the one of this run; "
            "give --results on a disk that all workers share, by a path that is the same everywhere"
        )
    return run(job, lambda _event: None)


@contextmanager
def _token(root: Path) -> Iterator[str]:
    """A file in the results folder whose name only this run knows."""
    root.mkdir(parents=True, exist_ok=True)
    name = f".dask-{uuid.uuid4().hex}"
    (root / name).touch()
    try:
        yield name
    finally:
        (root / name).unlink(missing_ok=True)


@contextmanager
def _client(resources: Resources, workers: int) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UsageError("--executor dask needs the extra 'distributed': pip install 'waldbench[distributed]'") from error
    with ExitStack() as stack:
        # What becomes of lost connections is told in one line each, by the records.
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, logging.NOTSET)
        address: Any = resources.scheduler
        if address is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            options = {"local_directory": folder, "silence_logs": logging.CRITICAL, "dashboard_address": None}
            address = LocalCluster(n_workers=workers, threads_per_worker=1, **options)
            stack.callback(_close, address)
        try:
            client = Client(address, timeout=ANSWER)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"Dask scheduler {resources.scheduler} does not answer: {str(error) or 'no reason given'}"
            ) from error
        stack.callback(_close, client)
        yield client


def _close(part: Any) -> None:
    """Close a client or a cluster of which parts may be dead."""
    with suppress(Exception):
        part.close(timeout=5)
