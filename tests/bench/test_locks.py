"""Two runs on one results folder, and what killed runs leave behind."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.bench.conftest import ROOT
from tests.bench.test_store import CELL, SCORE, record
from waldbench.bench.results import leftovers, locks
from waldbench.bench.results.store import Store
from waldbench.bench.run.executors import local

HOLD = """
import sys, time
from pathlib import Path
from waldbench.bench.results import locks
with locks.held(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of CELL."""
    store = Store(tmp_path)
    path = store.folder(CELL).with_name(f".{store.folder(CELL).name}.lock")
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_who_holds_a_cell_is_told_and_a_dead_owner_loses_it(other, tmp_path):
    store, told = Store(tmp_path), []
    owner = store.holder(CELL)
    assert (owner.pid, owner.host) == (other.pid, platform.node())
    assert f"process {other.pid} since 20" in str(owner)
    assert leftovers.clear(tmp_path) == []

    def wait(found):
        told.append(found)
        other.kill()

    with store.lock(CELL, wait) as waited:
        assert waited
        assert store.holder(CELL).pid == os.getpid()
    assert [found.pid for found in told] == [other.pid]
    assert store.holder(CELL) is None
    assert not list(store.folder(CELL).parent.glob(".*"))


def test_a_run_goes_on_with_cells_that_nobody_holds(other, tmp_path):
    held, free = (SimpleNamespace(results=str(tmp_path), cell=replace(CELL, seed=seed)) for seed in (3, 4))
    waiting, told, said = [held, free], set(), []
    assert local._next(waiting, told, lambda job, event: said.append((job.cell.seed, event["notice"]))) is free
    assert local._next(waiting, told, lambda job, event: pytest.fail("nothing else is left to go on with")) is held
    assert [seed for seed, _ in said] == [3]
    assert f"held by process {other.pid} since" in said[0][1]
    assert said[0][1].endswith("; going on with others")


def test_a_free_cell_is_not_waited_for(tmp_path):
    with Store(tmp_path).lock(CELL, pytest.fail) as waited:
        assert not waited


@pytest.mark.parametrize(
    ("change", "lives"), [({}, True), ({"pid": 2**22 + 1}, False), ({"started": "1"}, False), ({"host": "elsewhere"}, True)]
)
def test_an_owner_is_a_process_with_its_start_on_a_machine(change, lives):
    assert replace(locks.Owner.this(), **change).lives is lives


def test_without_locks_of_the_system_the_owner_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    path = tmp_path / ".seed-1.lock"
    path.write_text(json.dumps({"pid": 1, "started": locks._start_of(1), "host": platform.node(), "since": "now"}))
    assert locks.holder(path).pid == 1
    path.write_text(json.dumps({"pid": 2**22 + 1, "started": "1", "host": platform.node(), "since": "now"}))
    assert locks.holder(path) is None
    with locks.held(path, pytest.fail):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_trained_cell_is_never_committed_without_its_weights(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"exp on toy-simulated, seed 3 was trained, but .* is gone"):
        store.commit(CELL, record(weights="trained"), [SCORE])
    assert store.read(CELL) is None


def _age(path, seconds):
    then = time.time() - seconds
    for item in [path, *path.rglob("*")] if path.is_dir() else [path]:
        os.utime(item, (then, then))


def test_leftovers_go_and_checkpoints_stay(tmp_path):
    store = Store(tmp_path)
    scratch = store.scratch(CELL)
    store.commit(CELL, record(), [SCORE])
    scratch.mkdir()
    (scratch / "checkpoint.pt").write_bytes(b"old")
    _age(scratch, 100)
    open_cell = store.scratch(replace(CELL, seed=4))
    open_cell.mkdir()
    (open_cell / "checkpoint.pt").write_bytes(b"resume me")
    lock = scratch.with_name(".seed-3.lock")
    lock.write_text("")
    dead, young, living = (tmp_path / f".leaderboard.csv.{pid}" for pid in (2**22 + 1, 2**22 + 2, os.getpid()))
    for path in (dead, young, living):
        path.write_text("half")
    _age(dead, 100)
    _age(living, 100)
    assert set(leftovers.clear(tmp_path)) == {path.relative_to(tmp_path).as_posix() for path in (scratch, lock, dead)}
    assert (open_cell / "checkpoint.pt").is_file()
    assert young.exists()
    assert living.exists()
    assert [cell for cell, _ in store.cells()] == [CELL]


def test_a_scratch_folder_newer_than_its_finished_cell_stays(tmp_path):
    store = Store(tmp_path)
    store.commit(CELL, record(), [SCORE])
    _age(store.folder(CELL), 100)
    store.scratch(CELL).mkdir()
    assert leftovers.clear(tmp_path) == []


@pytest.mark.parametrize("complete", [True, False])
def test_a_commit_killed_between_its_renames_is_finished(tmp_path, complete):
    store = Store(tmp_path)
    store.commit(CELL, record(date="1"), [SCORE])
    folder, scratch = store.folder(CELL), store.scratch(CELL)
    os.replace(folder, folder.with_name(f".{folder.name}.old"))
    scratch.mkdir()
    if complete:
        (scratch / "record.json").write_text(json.dumps(record(date="2").to_json()))
    leftovers.clear(tmp_path)
    assert store.read(CELL).date == ("2" if complete else "1")
    assert not folder.with_name(f".{folder.name}.old").exists()
