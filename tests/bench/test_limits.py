"""Limits of a cell: time, memory, and the first failure."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from waldbench.bench.results.store import Cell, Store
from waldbench.bench.run.cell import new_record
from waldbench.bench.run.executors import Resources
from waldbench.bench.run.executors.limits import resident_mib
from waldbench.bench.run.executors.local import run_local
from waldbench.bench.run.job import Job


def work(job, report):
    """A cell that sleeps, eats, fails or succeeds, as its method's argument says."""
    kind = job.arguments["kind"]
    report({"phase": "evaluate"})
    if kind == "sleep":
        time.sleep(600)
    if kind == "eat":
        kept = bytearray(b"x" * (900 << 20))
        time.sleep(600)
        return len(kept)
    return new_record(job, "failed" if kind == "fail" else "ok", reason="asked to" if kind == "fail" else "")


@pytest.fixture
def jobs(tmp_path, toy_protocol):
    def make(*kinds):
        base = Job(Cell(toy_protocol.id, "toy", "gsa", 0), str(tmp_path), toy_protocol, "toy", {}, {}, "gsa", 0, False)
        return [
            replace(base, cell=replace(base.cell, method=f"gsa-{number}"), arguments={"kind": kind})
            for number, kind in enumerate(kinds)
        ]

    return make


def run(jobs, workers=1, **limits):
    return run_local(jobs, lambda _job, _event: None, workers, Resources(**limits), work)


def test_a_cell_that_takes_too_long_is_stopped_and_the_others_run(jobs, tmp_path):
    records = run(jobs("sleep", "pass"), timeout=2)
    assert [record.status for record in records] == ["failed", "ok"]
    assert records[0].reason == "stopped after 2 s (--timeout)"
    assert Store(tmp_path).read(jobs("sleep")[0].cell).reason == records[0].reason


def test_a_cell_that_takes_too_much_memory_is_stopped(jobs):
    (record,) = run(jobs("eat"), max_memory=900)
    assert record.reason.startswith("stopped at ")
    assert "--max-memory 900" in record.reason


def test_the_first_failure_ends_the_run(jobs):
    started = time.monotonic()
    records = run(jobs("sleep", "fail", "pass"), workers=2, fail_fast=True)
    assert [record.reason for record in records] == ["asked to"]
    assert time.monotonic() - started < 60


def test_memory_of_this_process_is_known():
    import os

    assert resident_mib(os.getpid()) > 10
    assert resident_mib(2**22 + 5) == 0
