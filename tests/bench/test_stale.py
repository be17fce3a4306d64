"""A finished cell counts only for the code that made it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from tests.bench.conftest import ROOT
from waldbench import methods, metrics
from waldbench.bench import protocol
from waldbench.bench.results.store import Store
from waldbench.bench.run import cell as cells
from waldbench.bench.run.plan import plan
from waldbench.bench.run.settings import Settings

NET = """
import torch
from waldbench.methods import register
from waldbench.methods.base import Network

@register("my-net", tasks={"ms"}, year=2026, paper="me", title="My net", family="deep")
class MyNet(Network):
    def __init__(self, *, sensor, guide_bands=1):
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.conv = torch.nn.Conv2d(sensor.count + guide_bands, sensor.count, 3, padding=1)

    def fuse(self, ms, lms, guide):
        return lms + 0.1 * self.conv(torch.cat([lms, guide], 1))
"""
INDEX = """
from waldbench.metrics import register

@register("my-index", title="Mine", direction="lower", best=0.0, convention="none", reference="me")
def my_index(fused, gt, *, block=32):
    return (fused - gt).abs().mean((1, 2, 3)) * 1
"""


class Bench:
    """Plans and runs cells in this process, with plugins of a folder."""

    def __init__(self, folder, fields):
        self.folder, self.fields, self.files = folder, fields, {}
        self.store = Store(folder / "results")

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        self.files[name] = path
        for package in (methods, metrics):
            package.catalogue.add_file(path)
            package.catalogue.__dict__.pop("entries", None)
        _forget_modules()

    def close(self):
        for path in self.files.values():
            for package in (methods, metrics):
                package.catalogue.remove_file(path)
        _forget_modules()

    def settings(self, **more):
        rules = protocol.from_dict(self.fields, "toy")
        asked = {"methods": ("my-net",), "datasets": ("toy",), "threads": 1} | more
        return Settings(protocol=rules, results=self.store.root, plugins=tuple(map(str, self.files.values())), **asked)

    def plan(self, **more):
        return plan(self.settings(**more), self.store)

    def run(self, **more):
        """Plan, settle and run; the plan and what was said."""
        from waldbench.bench.commands.run import _settle

        planned, said = self.plan(**more), []
        _settle(planned, self.store)
        for job in planned.jobs:
            _forget_modules()
            record = cells.run(job, lambda event: said.append(event.get("notice")))
            assert record.ok, record.details
        return planned, [text for text in said if text]


def _forget_modules():
    for name in [name for name in sys.modules if name.startswith("waldbench_plugin_my")]:
        del sys.modules[name]


@pytest.fixture
def bench(tmp_path, toy_fields):
    scoring = {"ms": toy_fields["scoring"]["ms"] | {"reduced": ["sam", "ergas", "my-index"], "full": ["d_lambda_k"]}}
    made = Bench(tmp_path, toy_fields | {"scoring": scoring, "steps": 4, "validate_every": 2})
    made.write("my_index.py", INDEX)
    made.write("my_net.py", NET)
    yield made
    made.close()


def test_edited_code_runs_again_and_the_old_result_is_history(bench):
    bench.run()
    assert bench.plan().jobs == []
    bench.write("my_net.py", NET + "\n# a comment\n")
    assert bench.plan().jobs == []
    old = next(bench.store.root.rglob("scores.csv")).read_text()
    bench.write("my_net.py", NET.replace("0.1 *", "0.3 *"))
    planned, _ = bench.run()
    assert [text for _, text in planned.changed] == ["my_net.py changed since"]
    [(cell, record)] = bench.store.cells()
    [(folder, earlier)] = bench.store.history(cell)
    assert folder.name == f"seed-42@{earlier.made_with}"
    assert (folder / "scores.csv").read_text() == old != (bench.store.folder(cell) / "scores.csv").read_text()
    assert record.made_with != earlier.made_with
    assert bench.store.problems == []
    # Back to the first code: its result is there already.
    bench.write("my_net.py", NET)
    planned, _ = bench.run()
    assert (planned.jobs, len(planned.restored)) == ([], 1)
    assert (bench.store.folder(cell) / "scores.csv").read_text() == old
    assert bench.plan().restored == []


def test_a_checkpoint_of_other_code_is_not_resumed(bench):
    bench.run()
    [(cell, _)] = bench.store.cells()
    trained = (bench.store.folder(cell) / "weights.safetensors").read_bytes()

    def stop(event):
        if event.get("step") == 3:
            raise RuntimeError("stopped")

    bench.write("my_net.py", NET.replace("0.1 *", "0.2 *"))
    from waldbench.bench.training import loop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
        record = cells.run(bench.plan().jobs[0], stop)
    assert record.reason == "RuntimeError: stopped"
    assert (bench.store.scratch(cell) / "checkpoint.pt").is_file()
    bench.write("my_net.py", NET.replace("0.1 *", "0.3 *"))
    _, said = bench.run()
    assert "checkpoint belongs to other code, data or settings; training starts again" in said
    assert not any("resumed" in text for text in said)
    bench.write("my_net.py", NET)
    _, said = bench.run(force=True)
    assert (bench.store.folder(cell) / "weights.safetensors").read_bytes()[-64:] == trained[-64:]


def test_a_changed_index_scores_again_without_training(bench):
    bench.run()
    [(cell, before)] = bench.store.cells()
    bench.write("my_index.py", INDEX.replace("* 1", "* 2"))
    planned, said = bench.run()
    assert [text for _, text in planned.changed] == ["index my-index changed since"]
    assert planned.jobs[0].rescores
    assert said == []
    [(folder, _)] = bench.store.history(cell)
    old, new = (pd.read_csv(path / "scores.csv").set_index("metric")["value"] for path in (folder, bench.store.folder(cell)))
    assert new["my-index"].tolist() == pytest.approx((2 * old["my-index"]).tolist())
    assert new["sam"].tolist() == old["sam"].tolist()
    after = bench.store.read(cell)
    assert (after.training, after.timings["train_s"]) == (before.training, before.timings["train_s"])
    assert (bench.store.folder(cell) / "weights.safetensors").is_file()


def test_keep_stale_marks_and_does_not_run(bench):
    bench.run()
    bench.write("my_net.py", NET.replace("0.1 *", "0.3 *"))
    planned, _ = bench.run(keep_stale=True)
    [(cell, record)] = bench.store.cells()
    assert planned.jobs == []
    assert record.code["stale"] == "my_net.py changed since"
    from waldbench.bench.results import cautions, leaderboard

    board = leaderboard.build(bench.store)
    assert board["code"].tolist() == ["stale: my_net.py changed since"]
    assert "My net is stale: my_net.py changed since." in cautions.cautions(board)
    bench.write("my_net.py", NET)
    bench.run()
    assert bench.store.read(cell).code["stale"] == ""


def test_results_of_unknown_code_are_kept_and_told(bench):
    bench.run()
    path = next(bench.store.root.rglob("record.json"))
    content = json.loads(path.read_text())
    del content["code"]
    path.write_text(json.dumps(content))
    planned = bench.plan()
    assert (planned.jobs, planned.unknown) == ([], planned.done)
    from waldbench.bench.results import cautions, leaderboard

    board = leaderboard.build(bench.store)
    assert board["code"].tolist() == ["unknown"]
    assert "Unknown code made 1 of these results: they may be stale." in cautions.cautions(board)
    assert len(bench.plan(force=True).jobs) == 1


def test_a_trained_cell_without_weights_runs_again(bench):
    bench.run()
    next(bench.store.root.rglob("weights.safetensors")).unlink()
    planned, _ = bench.run()
    assert [text for _, text in planned.changed] == ["its weights are missing"]
    assert list(bench.store.root.rglob("weights.safetensors"))


def test_failing_new_code_does_not_show_the_old_numbers(bench):
    bench.run()
    bench.write("my_net.py", NET.replace("lms + 0.1", "lms + 1 / 0"))
    record = cells.run(bench.plan().jobs[0], lambda event: None)
    assert not record.ok
    assert [record.status for _, record in bench.store.cells()] == ["failed"]


def test_two_files_of_one_stem_never_answer_for_each_other(bench, tmp_path):
    bench.run()
    weights = next(bench.store.root.rglob("weights.safetensors"))
    bench.run(seeds=(7,))
    other = next(bench.store.root.rglob("seed-7/weights.safetensors"))
    for name, path in (("a", weights), ("b", other)):
        (tmp_path / name).mkdir()
        shutil.copy(path, tmp_path / name / "w.safetensors")
    first, _ = bench.run(weights=str(tmp_path / "a" / "w.safetensors"))
    second, _ = bench.run(weights=str(tmp_path / "b" / "w.safetensors"))
    assert (len(first.jobs), len(second.jobs)) == (1, 1)
    one, two = first.jobs[0].cell, second.jobs[0].cell
    assert one.method.startswith("my-net@w-")
    assert one != two
    assert not bench.store.scores(one).equals(bench.store.scores(two))
    shutil.move(tmp_path / "a", tmp_path / "moved")
    assert bench.plan(weights=str(tmp_path / "moved" / "w.safetensors")).done == [one]


def test_options_are_part_of_the_fingerprint():
    from waldbench.bench.run import fingerprints

    rules = protocol.load("quick")
    found = [
        fingerprints.describe("tv", options, None, "wv3", rules, "ms", False)["method"]
        for options in ({}, {"variant": "toolbox"})
    ]
    assert found[0] != found[1]


def test_a_cell_that_another_run_finished_meanwhile_is_not_run_again(bench):
    job = bench.plan().jobs[0]
    bench.run()
    [(cell, before)] = bench.store.cells()
    path, said = bench.store._lock_file(cell), []
    code = "import sys, time; from pathlib import Path; from waldbench.bench.results import locks\n"
    code += "with locks.held(Path(sys.argv[1]), print): print('held', flush=True); time.sleep(2)"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert cells.run(job, said.append) == before
    assert [event["notice"].partition(" since")[0] for event in said] == [
        f"held by process {other.pid}",
        "finished by the other run meanwhile",
    ]
