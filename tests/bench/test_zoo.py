"""The zoo: building with a budget, evaluating without training, refusing what does not fit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.bench.conftest import PLUGIN, ROOT
from waldbench import datasets, methods
from waldbench.bench import protocol, zoo
from waldbench.bench.errors import TrainingInterruptedError, UsageError
from waldbench.bench.results.leaderboard import zoo_summary
from waldbench.bench.zoo.build import Order, build

CPU = torch.device("cpu")


@pytest.fixture
def order(toy_protocol, tmp_path):
    return Order("toy", toy_protocol, 0.2, 5, CPU, tmp_path / "zoo")


@pytest.fixture(scope="module")
def shipped(toy_fields, tmp_path_factory):
    """A zoo of one network, built once; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("zoo")
    assert build(Order("toy", protocol.from_dict(toy_fields, "toy"), 0.2, 5, CPU, folder), ("toy-net",), print) == []
    return folder


def _new():
    return methods.create("toy-net", sensor=datasets.open("toy").sensor)


def test_a_card_tells_how_its_weights_were_made(shipped):
    card = zoo.read(shipped / "toy-net_toy.json")
    assert card["sha256"] == zoo.digest(shipped / card["file"])
    assert card["dataset"]["source"] == "simulated"
    assert card["dataset"]["fingerprint"] == "0" * 64
    assert card["protocol"]["content"]["steps"] == card["steps"] >= 4
    assert card["budget"] == {"seconds": 0.2, "clock": "cpu"}
    assert card["steps"] == max(int(0.2 / card["spent"]["step_s"]), 4)
    assert card["seed"] == 5
    assert set(card["valid"]) == {"ergas", "sam"}
    assert card["environment"]["torch"] == torch.__version__
    assert "0.2 s of CPU time" in zoo_summary(card)
    assert not list(shipped.glob(".*"))


def test_the_card_is_enough_to_train_the_same_weights(shipped, tmp_path):
    card = zoo.read(shipped / "toy-net_toy.json")
    rules = protocol.from_dict(card["protocol"]["content"], card["protocol"]["name"])
    assert build(Order("toy", rules, None, card["seed"], CPU, tmp_path), ("toy-net",), print) == []
    first, second = (load_file(folder / card["file"]) for folder in (shipped, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_interrupted_building_keeps_its_length(order, monkeypatch):
    said = []

    def stop(*arguments):
        raise TrainingInterruptedError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr("waldbench.bench.zoo.build.train", stop)
        with pytest.raises(TrainingInterruptedError):
            build(order, ("toy-net",), said.append)
    kept = json.loads((order.folder / ".toy-net_toy.partial" / "length.json").read_text())
    monkeypatch.setattr("waldbench.bench.zoo.build.seconds_per_step", stop)
    build(order, ("toy-net",), said.append)
    assert zoo.read(order.folder / "toy-net_toy.json")["steps"] == kept["steps"]
    build(order, ("toy-net",), said.append)
    assert said[-1] == "done before: toy-net_toy"


def test_what_cannot_be_built_does_not_stop_the_rest(order):
    said = []
    problems = build(order, ("toy-copy", "toy-diverges", "toy-net"), said.append)
    assert len(problems) == 1
    assert "toy-diverges: TrainingDivergedError" in problems[0]
    assert "skipped: toy-copy: nothing to train" in said
    assert (order.folder / "toy-net_toy.safetensors").is_file()


def test_networks_that_are_too_large_stay_outside(monkeypatch):
    monkeypatch.setattr("waldbench.bench.zoo.build.PARAMETERS_MAX", 10)
    from waldbench.bench.zoo.build import unfit

    assert "the zoo holds at most" in unfit("toy-net", datasets.open("toy"))


def test_a_full_zoo_is_an_error_and_keeps_no_half(order, monkeypatch):
    monkeypatch.setattr(zoo, "LIMIT_BYTES", 100)
    assert "the zoo would hold" in build(order, ("toy-net",), print)[0]
    assert not list(order.folder.glob("toy*"))


def test_weights_of_another_sensor_are_refused(shipped, tmp_path):
    shutil.copytree(shipped, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "toy-net_toy.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"sensor": card["sensor"] | {"key": "wv3", "bands": 8}}))
    with pytest.raises(UsageError, match=r"are for wv3 \(8 bands, ratio 4\), this dataset is qb \(4 bands"):
        zoo.load(_new(), path, datasets.open("toy"))


def test_another_dataset_of_the_same_sensor_may_use_them(shipped):
    class Other:
        key, sensor = "qb", datasets.open("toy").sensor

    assert zoo.find(shipped, "toy-net", Other()) == shipped / "toy-net_toy.json"
    assert zoo.find(shipped, "toy", Other()) is None


def test_a_torn_card_is_named(shipped, tmp_path):
    (tmp_path / "toy-net_toy.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        zoo.find(tmp_path, "toy-net", datasets.open("toy"))
    (tmp_path / "toy-net_toy.json").write_text("{}")
    with pytest.raises(UsageError, match="is not a zoo card"):
        zoo.read(tmp_path / "toy-net_toy.json")


def test_a_run_ranks_the_zoo_and_says_so(shipped, call, tmp_path):
    names = ("toy-net", "toy-diverges", "toy-copy")
    done = call("--methods", *names, "--dataset", "toy", "--weights", str(shipped))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped: toy-diverges@zoo on toy-simulated, seed 0: no weights for toy-diverges" in done.stdout
    assert "Toy net (zoo)" in done.stdout
    assert "equal budget of 0.2 s of CPU time" in done.stdout
    board = pd.read_csv(tmp_path / "results" / "leaderboard.csv").set_index("method")
    assert board.loc["toy-net@zoo", "weights"] == "zoo"
    assert board.loc["toy-net@zoo", "recipe"] == "unified"
    assert "equal budget of 0.2 s" in board.loc["toy-net@zoo", "zoo"]
    assert pd.isna(board.loc["toy-copy", "weights"])
    table = next((tmp_path / "results" / "tables").glob("toy*simulated.tex")).read_text()
    assert "equal budget of 0.2 s" in table


def test_changed_weights_are_a_failed_row_that_names_the_sums(shipped, call, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(shipped, changed)
    weights = changed / "toy-net_toy.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    done = call("--methods", "toy-net", "--dataset", "toy", "--weights", str(changed))
    assert done.returncode == 1
    assert "their card says" in done.stdout


def test_the_command_line_builds(toy_file, tmp_path):
    words = [sys.executable, "run_bench.py", "zoo", "--dataset", "toy", "--methods", "toy-net", "--protocol", str(toy_file)]
    words += ["--budget", "0.1", "--plugin", str(PLUGIN), "--out", str(tmp_path / "zoo")]
    done = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "valid ERGAS" in done.stdout
    assert (tmp_path / "zoo" / "toy-net_toy.json").is_file()
    wrong = subprocess.run([*words, "--budget", "-1"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.strip() == "error: --budget must be positive seconds, got -1"


def test_the_shipped_zoo_is_whole_and_small():
    cards = sorted(zoo.FOLDER.glob("*.json"))
    for path in cards:
        card = zoo.read(path)
        weights = path.with_name(card["file"])
        assert zoo.digest(weights) == card["sha256"], path
        assert weights.stat().st_size == card["bytes"]
    files = list(zoo.FOLDER.glob("*.safetensors"))
    assert len(files) == len(cards)
    assert sum(path.stat().st_size for path in files) < zoo.LIMIT_BYTES
