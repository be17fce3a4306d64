"""The quiet phase of a run: when all cells are done, the latency of each method is measured with nothing else running."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from waldbench import datasets
from waldbench.bench import plugins
from waldbench.bench.cost import quiet
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell, Store
from waldbench.bench.run.cell import new_record
from waldbench.bench.run.executors import Listener
from waldbench.bench.run.executors.local import run_local
from waldbench.bench.run.job import Job, Report


def phase(jobs: Sequence[Job], records: Sequence[Record], listen: Listener) -> None:
    """Measure one cell of each method and dataset among the jobs that succeeded.

    Args:
        jobs: what ran.
        records: how it ended.
        listen: told of the phase of each cell, as in a run.
    """
    good = {
        (record.protocol["id"], record.dataset["label"], record.seed, record.method["title"]) for record in records if record.ok
    }
    chosen: dict[tuple[str, str, str], Job] = {}
    for job in jobs:
        title = new_record(job, "ok").method["title"]
        if (job.cell.protocol, job.cell.dataset, job.cell.seed, title) in good:
            chosen.setdefault((job.cell.protocol, job.cell.dataset, job.cell.method), job)
    run_local(list(chosen.values()), listen, 1, None, measure)


def measure(job: Job, report: Report) -> Record:
    """Measure the method of one cell and put the result into its record; a problem leaves the record as it is."""
    report({"phase": "latency"})
    store = Store(Path(job.results))
    try:
        plugins.add(job.plugins)
        sensor = datasets.open(job.dataset, **job.dataset_options).sensor
        ablated = job.ablate == "guide"
        found = quiet.measure(quiet.Target(job.method, sensor, job.arguments, ablated, job.device, job.plugins))
        quiet.keep(store, job.cell, found)
    except Exception as error:  # the scores are on disk; a latency more or less does not undo them
        report({"notice": f"latency not measured in quiet: {type(error).__name__}: {error}".split("\n")[0]})
    return store.read(Cell(job.cell.protocol, job.cell.dataset, job.cell.method, job.cell.seed)) or new_record(job, "failed")
