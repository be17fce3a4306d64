"""Cells one after another in this process, the leader of several that torchrun started and that train with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from waldbench.bench.errors import TrainingInterruptedError
from waldbench.bench.results.record import Record
from waldbench.bench.run.cell import run
from waldbench.bench.run.executors import InterruptedRunError, Listener, Resources
from waldbench.bench.run.job import Job
from waldbench.bench.run.schedule import batches


def execute(jobs: Sequence[Job], listen: Listener, resources: Resources) -> list[Record]:
    """Run jobs and return their records.

    Raises:
        InterruptedRunError: on Ctrl-C, after a checkpoint.
        DistributedError: if this process failed in a training; torchrun ends the others.
    """
    records = []
    for job in (job for group, _ in batches(jobs, 1, resources.threads) for job in group):
        try:
            record = run(job, partial(listen, job))
        except (TrainingInterruptedError, KeyboardInterrupt):
            raise InterruptedRunError from None
        listen(job, {"record": record})
        records.append(record)
        if resources.fail_fast and not record.ok:
            break
    return records
