"""The command line as a user meets it: exit codes, failed rows, second runs, interrupted runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.bench.conftest import PLUGIN, ROOT
from waldbench.bench.cli import main

RUN = ("--methods", "toy-net", "toy-copy", "--dataset", "toy")


def _records(folder):
    return {path.parent.parent.name: json.loads(path.read_text()) for path in folder.rglob("seed-*/record.json")}


def test_a_run_writes_everything_and_a_second_one_trains_nothing(straight, call, tmp_path):
    assert "SIMULATED" in (straight / "stdout.txt").read_text().splitlines()[0]
    root = tmp_path / "results"
    shutil.copytree(straight, root)
    board = pd.read_csv(root / "leaderboard.csv")
    assert set(board["method"]) == {"toy-net", "toy-copy"}
    assert (board["source"] == "simulated").all()
    assert list(root.glob("tables/*.tex"))
    assert list(root.glob("figures/*.png"))
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("record.json")}
    second = call(*RUN)
    assert second.returncode == 0
    assert "done before: " in second.stdout
    assert {path: path.stat().st_mtime_ns for path in root.rglob("record.json")} == stamps


def test_failures_are_rows_and_the_rest_runs(call, tmp_path):
    names = ("toy-raises", "toy-nan", "toy-dies", "toy-diverges", "toy-unbuildable", "toy-copy")
    done = call("--methods", *names, "--dataset", "toy")
    assert done.returncode == 1
    records = _records(tmp_path / "results")
    assert records["toy-copy"]["status"] == "ok"
    expected = {
        "toy-raises": "this method always raises",
        "toy-nan": "has NaN or infinite values",
        "toy-dies": "killed by SIGKILL (out of memory?)",
        "toy-diverges": "loss is nan at step 3",
        "toy-unbuildable": "no such file",
    }
    for name, reason in expected.items():
        assert records[name]["status"] == "failed"
        assert reason in records[name]["reason"]
        assert reason in done.stdout
    board = pd.read_csv(tmp_path / "results" / "leaderboard.csv").set_index("method")
    assert (board.loc[list(expected), "status"] == "failed").all()


def test_a_failed_cell_runs_again(call, tmp_path):
    call("--methods", "toy-copy", "--dataset", "toy", TOY_BROKEN="1")
    assert call("--methods", "toy-copy", "--dataset", "toy").returncode == 0
    assert {record["status"] for record in _records(tmp_path / "results").values() if record["dataset"]["key"] == "toy"} >= {"ok"}


def test_a_broken_dataset_is_a_failed_row(call):
    done = call("--methods", "toy-copy", "--dataset", "toy", TOY_BROKEN="1")
    assert done.returncode == 1
    assert "toy.h5 is truncated" in done.stdout


def test_a_corrupt_file_does_not_keep_the_other_dataset_from_running(call, tmp_path):
    corrupt = tmp_path / "corrupt.mat"
    corrupt.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    done = call("--methods", "toy-copy", "--dataset", f"scene:{corrupt}", "toy")
    assert done.returncode == 1, done.stderr
    assert str(corrupt) in done.stdout.replace("\n", "")
    board = pd.read_csv(tmp_path / "results" / "leaderboard.csv").set_index("dataset")
    assert board["status"].to_dict() == {"corrupt": "failed", "toy-simulated": "ok"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--methods", "toy-nte", "--dataset", "toy"), "unknown method 'toy-nte'; nearest: toy-net"),
        (("--methods", "toy-net", "--dataset", "tpy"), "unknown dataset 'tpy'; nearest: toy"),
        (("--methods", "toy-net"), "no dataset named"),
        (("--dataset", "toy"), "no method named"),
        (("--methods", "toy-net", "--dataset", "toy", "--source", "real"), "invalid choice: 'real'"),
        (
            ("--methods", "toy-net", "--dataset", "toy", "--workers", "0"),
            "--workers: expected a whole number, at least 1, got '0'",
        ),
        (("--methods", "toy-net", "--dataset", "toy", "--seed", "1"), "unknown option --seed; nearest: --seeds"),
        (("--methods", "toy-net", "--dataset", "toy", "--weights", "none.pth"), "weights 'none.pth' not found"),
        (("--methods", "toy-net", "--dataset", "toy", "--task", "hs"), "--task hs does not fit toy"),
        (("--methods", "toy-net", "--dataset", "scene:none.mat"), "none.mat"),
        (("--methods", "toy-net", "--dataset", "toy", "--scheduler", "tcp://x:1"), "--scheduler goes with --executor dask"),
        (("rnu",), "unknown command 'rnu'"),
        (("info", "toy-nte"), "unknown key 'toy-nte'"),
        (("info",), "the following arguments are required: KEY"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_2(command, capsys, words, message):
    try:
        code = main(list(words) if words[0] == "info" else command(*words)[2:])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_a_missing_gpu_is_a_wrong_request(command, capsys):
    assert main([*command("--methods", "toy-net", "--dataset", "toy")[2:], "--device", "cuda:99"]) == 2
    assert "CUDA device" in capsys.readouterr().err


def test_a_broken_plugin_is_reported_and_skipped(call, tmp_path):
    broken = tmp_path / "broken_plugin.py"
    broken.write_text("from waldbench.methods import register\n@register(\n")
    words = [sys.executable, "run_bench.py", "list", "--plugin", str(broken), str(PLUGIN)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "broken_plugin.py skipped" in done.stderr
    assert "toy-copy" in done.stdout


def test_dry_run_writes_nothing(command, capsys, tmp_path):
    assert main(command(*RUN, "--dry-run")[2:]) == 0
    assert "run: toy-net on toy-simulated, seed 42, toy-copy" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_unwritable_results_are_a_wrong_request(command, capsys, tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    assert main(command(*RUN)[2:]) == 2
    assert "cannot write to" in capsys.readouterr().err


def test_several_seeds_and_workers(call, tmp_path):
    done = call(*RUN, "--seeds", "1", "2", "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    folders = {str(path.parent.relative_to(tmp_path / "results")).split("/", 2)[2] for path in tmp_path.rglob("record.json")}
    assert folders == {"toy-net/seed-1", "toy-net/seed-2", "toy-copy/seed-0"}


def test_weights_of_a_run_evaluate_without_training(straight, call, tmp_path):
    weights = next(straight.rglob("weights.safetensors"))
    done = call("--methods", "toy-net", "--dataset", "toy", "--weights", str(weights), results="again")
    assert done.returncode == 0, done.stdout + done.stderr
    trained, loaded = (pd.read_csv(next(root.rglob("toy-net*/*/scores.csv"))) for root in (straight, tmp_path / "again"))
    pd.testing.assert_frame_equal(trained, loaded)
    [(name, record)] = _records(tmp_path / "again").items()
    assert re.fullmatch(r"toy-net@weights-[0-9a-f]{8}", name)
    assert not record["training"].get("steps")
    assert len(record["code"]["weights"]) == 64


def test_ctrl_c_then_again_gives_the_numbers_of_an_uninterrupted_run(straight, command, call, tmp_path):
    words = command("--methods", "toy-net", "--dataset", "toy", results="broken")
    slow = os.environ | {"TOY_SLEEP": "0.5"}
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(words, cwd=ROOT, env=slow, stdout=log, stderr=log, start_new_session=True)
        _wait_for(lambda: "step 4/12" in (tmp_path / "log").read_text(), running)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(timeout=60) == 130
    assert "interrupted" in (tmp_path / "log").read_text()
    assert not list((tmp_path / "broken").rglob("record.json"))
    resumed = call("--methods", "toy-net", "--dataset", "toy", results="broken")
    assert resumed.returncode == 0
    assert "resumed at step" in resumed.stdout
    cells = [next(folder.rglob("seed-42")) for folder in (straight, tmp_path / "broken")]
    assert (cells[0] / "scores.csv").read_bytes() == (cells[1] / "scores.csv").read_bytes()
    first, second = (load_file(cell / "weights.safetensors") for cell in cells)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_killed_run_leaves_no_failed_row_and_runs_again(straight, command, call, tmp_path):
    words = command("--methods", "toy-net", "--dataset", "toy", results="killed")
    slow = os.environ | {"TOY_SLEEP": "0.5"}
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(words, cwd=ROOT, env=slow, stdout=log, stderr=log, start_new_session=True)
        _wait_for(lambda: "step 4/12" in (tmp_path / "log").read_text(), running)
        running.kill()
        running.wait(timeout=60)
    time.sleep(3)
    assert not list((tmp_path / "killed").rglob("record.json"))
    assert call("--methods", "toy-net", "--dataset", "toy", results="killed").returncode == 0
    first, second = (next(folder.rglob("toy-net/seed-42/scores.csv")) for folder in (straight, tmp_path / "killed"))
    assert first.read_bytes() == second.read_bytes()


def _wait_for(condition, process):
    limit = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, "the run ended early"
        assert time.monotonic() < limit, "the run never got there"
        time.sleep(0.1)


def test_a_dask_cluster_gives_the_same_scores(straight, call, tmp_path):
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    done = call(*RUN, "--executor", "dask", "--workers", "2", results="dask")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("toy-net", "toy-copy"):
        first, second = (pd.read_csv(next(root.rglob(f"{name}/*/scores.csv"))) for root in (straight, tmp_path / "dask"))
        pd.testing.assert_frame_equal(first, second)
