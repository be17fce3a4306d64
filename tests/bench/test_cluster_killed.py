"""Dask and torchrun while their processes are killed: one line each, what is finished stays, nothing is left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.bench.conftest import ROOT

pytest.importorskip("distributed", reason="dask.distributed is not installed")
DASK = ("--methods", "toy-net", "--dataset", "toy", "--executor", "dask")


@pytest.fixture
def started():
    """Starts processes, each with its own group, and ends what is left of them."""
    processes = []

    def start(words, folder=ROOT, **environment):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        given = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
        processes.append(subprocess.Popen(words, cwd=folder, env=given, start_new_session=True, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def scheduler(started, tmp_path):
    file = tmp_path / "scheduler.json"
    words = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    process = started([*words, "--host", "127.0.0.1", "--scheduler-file", str(file)])
    wait_for(lambda: file.is_file() and file.stat().st_size > 0)
    return process, json.loads(file.read_text())["address"]


def worker(started, address, folder=ROOT, **environment):
    words = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    return started(words, folder, DASK_DISTRIBUTED__WORKER__DAEMON="False", **environment)


def wait_for(condition, seconds=110):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never got there"
        time.sleep(0.1)


def trains(results):
    return lambda: any(results.rglob("*.partial/tensorboard/*")) or any(results.rglob("*.partial/checkpoint.pt"))


def ends(process, seconds):
    """Exit code and text of a run that ends in time, without a traceback."""
    text, _ = process.communicate(timeout=seconds)
    assert "Traceback" not in text, text
    return process.returncode, text


def test_a_run_without_workers_left_ends_with_what_is_done(started, scheduler, command, tmp_path):
    working = worker(started, scheduler[1], TOY_SLEEP="0.5")
    run = started([*command(*DASK, "--seeds", "1", "2"), "--scheduler", scheduler[1], "--wait-workers", "2"])
    wait_for(lambda: any((tmp_path / "results").rglob("seed-*/scores.csv")))
    os.kill(working.pid, signal.SIGKILL)
    code, text = ends(run, 90)
    assert code == 1
    assert "no Dask worker is left; waiting 2 s for one" in text
    assert re.search(r"no Dask worker for 2 s; run the same command again", text)
    assert len(list((tmp_path / "results").rglob("seed-*/scores.csv"))) == 1


def test_a_run_whose_scheduler_is_killed_ends_in_one_line(started, scheduler, command, tmp_path):
    worker(started, scheduler[1], TOY_SLEEP="3")
    run = started([*command(*DASK), "--scheduler", scheduler[1]])
    wait_for(trains(tmp_path / "results"))
    os.kill(scheduler[0].pid, signal.SIGKILL)
    code, text = ends(run, 90)
    assert code == 1
    assert re.search(r"the Dask scheduler tcp://\S+ is gone|worker: ", text)


def test_a_worker_that_does_not_see_the_folder_fails_its_cells(monkeypatch, tmp_path):
    from waldbench.bench.run.executors import dask

    job = type("Job", (), {"results": str(tmp_path / "here")})()
    with pytest.raises(
        dask.UnseenFolderError, match="is not the one of this run; give --results on a disk that all workers share"
    ):
        dask._run_where_seen(job, ".dask-0")
    with dask._token(tmp_path / "here") as token:
        monkeypatch.setattr(dask, "run", lambda job, listen: "ran")
        assert dask._run_where_seen(job, token) == "ran"
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize("killed", [0, 1])
def test_torchrun_ends_when_a_rank_is_killed(started, command, tmp_path, killed):
    words = command("--methods", "toy-net", "--dataset", "toy")
    run = started([sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *words[1:]], TOY_SLEEP="2")
    wait_for(trains(tmp_path / "results"))
    ranks = ranks_of(str(tmp_path / "results"))
    os.kill(ranks[killed], signal.SIGKILL)
    start = time.monotonic()
    text, _ = run.communicate(timeout=60)
    assert time.monotonic() - start < 60
    assert run.returncode == 1
    assert not any(Path(f"/proc/{process}").exists() for process in ranks.values())
    # torchrun adds a traceback of its own; the process that is left says one line, if it gets to it.
    assert "[rank" not in text or "]: Traceback" not in text
    assert len([line for line in text.splitlines() if line.startswith("error: ")]) <= 1


def ranks_of(results):
    """Processes of torchrun that work on a results folder, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            given, words = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
            if results.encode() in words and b"LOCAL_RANK=" in given:
                found[int(given.split(b"LOCAL_RANK=")[1].split(b"\0")[0])] = int(folder.name)
    return found
