"""Cells on a Dask cluster whose workers see the same results folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from waldbench.bench.errors import UsageError
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Store
from waldbench.bench.run.cell import record_failure, run
from waldbench.bench.run.executors import Listener, Resources
from waldbench.bench.run.job import Job
from waldbench.bench.run.schedule import batches


def execute(jobs: Sequence[Job], listen: Listener, resources: Resources) -> list[Record]:
    """Run jobs on a cluster and return their records in order of completion.

    Args:
        jobs: cells to run.
        listen: told of finished records only.
        resources: scheduler, such as tcp://host:8786; None starts a cluster of `workers` processes (default: 1) here.

    Raises:
        UsageError: if dask.distributed is not installed or the scheduler does not answer.
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
    scheduler = resources.scheduler
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
                    if resources.fail_fast and not record.ok:
                        client.cancel(futures)
                        break
        except OSError as error:
            raise UsageError(f"Dask scheduler {scheduler} does not answer: {error}") from error
        finally:
            if cluster is not None:
                cluster.close()
    return records


def _run_quietly(job: Job) -> Record:
    return run(job, lambda _event: None)
