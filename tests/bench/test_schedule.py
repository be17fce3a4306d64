from __future__ import annotations

import pytest

from waldbench.bench.results.store import Cell
from waldbench.bench.run import schedule
from waldbench.bench.run.job import Job


def job(name, trains=False, device="cpu"):
    return Job(Cell("p", "d", name, 0), "r", {}, "d", {}, {}, name, 0, trains, device=device)


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch):
    monkeypatch.setattr(schedule, "cores", lambda: 4)
    monkeypatch.setattr(schedule, "_memory", lambda: 100 << 30)


def shares(jobs, workers=None, threads=None):
    return [([j.method for j in batch], count, batch[0].threads) for batch, count in schedule.batches(jobs, workers, threads)]


def test_cells_share_the_cores_and_one_training_starts_beside_those_that_do_not_train():
    jobs = [job("a", trains=True), job("b", trains=True), *(job(f"c{i}") for i in range(3))]
    assert shares(jobs) == [(["a", "c0", "c1", "c2", "b"], 4, 1)]


def test_on_one_core_what_does_not_train_comes_first(monkeypatch):
    monkeypatch.setattr(schedule, "cores", lambda: 1)
    assert shares([job("a", trains=True), job("c")]) == [(["c", "a"], 1, 1)]


@pytest.mark.parametrize("workers", [None, 1, 2])
def test_a_training_on_the_cpu_has_one_thread_however_many_run(workers):
    assert shares([job("net", trains=True)], workers=workers)[0][2] == 1
    assert shares([job("net", trains=True)], workers=workers, threads=3)[0][2] == 3


def test_few_cells_get_more_threads():
    assert shares([job("a"), job("b")]) == [(["a", "b"], 2, 2)]
    assert shares([job("a")]) == [(["a"], 1, 4)]


def test_a_gpu_is_not_shared():
    assert shares([job("a", device="cuda"), job("b", device="cuda")]) == [(["a", "b"], 1, 4)]


def test_what_the_user_says_counts():
    jobs = [job("net", trains=True), job("a"), job("b")]
    assert [job.threads for job in schedule.batches(jobs, 2, None)[0][0]] == [1, 2, 2]
    assert shares(jobs, workers=3, threads=1) == [(["net", "a", "b"], 3, 1)]
    assert shares(jobs, threads=2) == [(["net", "a", "b"], 2, 2)]


def test_little_memory_means_fewer_cells_at_a_time(monkeypatch):
    monkeypatch.setattr(schedule, "_memory", lambda: 1 << 30)
    assert shares([job("a"), job("b"), job("c")]) == [(["a", "b", "c"], 1, 4)]


def test_nothing_to_run_is_no_batch():
    assert schedule.batches([], None, None) == schedule.batches([], 2, None) == []
