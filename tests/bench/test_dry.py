"""Errors before the training: indices that nobody knows, methods that fail at their first image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.bench.conftest import finish
from waldbench import datasets, methods
from waldbench.bench import protocol
from waldbench.bench.cli import main
from waldbench.bench.errors import UsageError
from waldbench.bench.results.store import Store
from waldbench.bench.run import dry
from waldbench.bench.run.plan import plan
from waldbench.bench.run.settings import Settings
from waldbench.datasets.base import Split
from waldbench.imaging import Scene


@pytest.fixture
def jobs(tmp_path, toy_protocol):
    def planned(*keys, rules=toy_protocol, **more):
        settings = Settings(keys, ("toy",), rules, results=tmp_path, **more)
        return plan(settings, Store(tmp_path)).jobs

    return planned


def _rules(toy_fields, **lists):
    return protocol.from_dict(toy_fields | {"scoring": {"ms": toy_fields["scoring"]["ms"] | lists}}, "mine")


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"reduced": ["sam", "ergsa"]}, r"^protocol 'mine': scoring.ms.reduced: unknown metric 'ergsa'; nearest: ergas"),
        ({"full": ["sam"]}, r"^protocol 'mine': scoring.ms.full: sam needs gt, which these images do not have; leave it out$"),
    ],
)
def test_an_index_that_cannot_be_had_is_named_before_anything_runs(jobs, toy_fields, lists, message):
    with pytest.raises(UsageError, match=message):
        jobs("toy-net", rules=_rules(toy_fields, **lists))


def test_a_misspelt_index_is_exit_2_and_one_line(toy_fields, tmp_path, capsys):
    import yaml

    from tests.bench.conftest import PLUGIN

    path = tmp_path / "mine.yaml"
    scoring = {"ms": toy_fields["scoring"]["ms"] | {"full": ["hqrn"]}}
    path.write_text(yaml.safe_dump(toy_fields | {"scoring": scoring}))
    words = ["--methods", "toy-net", "--dataset", "toy", "--plugin", str(PLUGIN), "--protocol", str(path), "--device", "cpu"]
    assert main([*words, "--results", str(tmp_path / "results")]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: protocol 'mine': scoring.ms.full: unknown metric 'hqrn'; nearest: hqnr")
    assert "\n" not in said
    assert not (tmp_path / "results").exists()


def test_every_protocol_that_ships_has_only_indices_that_there_are():
    for name in protocol.presets():
        rules = protocol.load(name)
        for track in rules.scoring:
            dry.check_indices(rules, track)


@pytest.mark.parametrize(("key", "message"), [("toy-raises", "this method always raises"), ("toy-nan", "has NaN or infinite")])
def test_a_method_that_cannot_fuse_is_found(jobs, key, message):
    with pytest.raises(RuntimeError, match=message):
        dry.run(jobs(key)[0])


def test_sound_methods_pass(jobs):
    for job in jobs("toy-net", "toy-copy"):
        dry.run(job)


def test_an_image_that_depends_on_no_parameter_is_found(jobs, monkeypatch):
    net = methods.catalogue["toy-net"].load()
    monkeypatch.setattr(net, "fuse", lambda self, ms, lms, guide: lms)
    with pytest.raises(RuntimeError, match="does not depend on any parameter"):
        dry.run(jobs("toy-net")[0])


def test_what_fails_on_a_corner_only_is_tried_on_the_whole(toy_protocol):
    rules = replace(toy_protocol, scoring={"ms": replace(toy_protocol.scoring["ms"], border=0, block=8)})
    scene = datasets.open("toy").split("reduced")[0]
    sizes = []

    def work(part):
        sizes.append(part.guide.shape[-1])
        if part.guide.shape[-1] < 96:
            raise ValueError("too small")

    dry._either(scene, rules, datasets.open("toy"), work)
    assert sizes == [64, 96]


def test_failures_are_told_for_every_seed_with_file_and_remedy(jobs, monkeypatch):
    planned = jobs("toy-net", "toy-copy", seeds=(1, 2))
    monkeypatch.setattr(dry, "_try", lambda waiting: iter([("ValueError: x", "trace"), None]))
    found = dry.failures(planned)
    assert [failure.job.cell.seed for failure in found] == [1, 2]
    assert found[0].reason == "toy_plugin.py: ValueError: x (more: run_bench.py check toy_plugin.py toy-net)"
    assert found[0].details == "trace"


def test_a_method_that_ends_the_process_costs_itself_only(jobs, monkeypatch):
    planned = jobs("toy-dies", "toy-net", "toy-copy")
    seen = []

    def attempt(waiting):
        seen.append([job.method for job in waiting])
        yield from (
            [("the process was killed by SIGKILL (out of memory?)", "")] if waiting[0].method == "toy-dies" else [None, None]
        )

    monkeypatch.setattr(dry, "_try", attempt)
    assert [failure.job.method for failure in dry.failures(planned)] == ["toy-dies"]
    assert seen == [["toy-dies", "toy-net", "toy-copy"], ["toy-net", "toy-copy"]]


def test_a_run_finds_it_before_it_trains(command, tmp_path):
    done = finish(command("--methods", "toy-net", "toy-raises", "--dataset", "toy"))
    lines = done.stdout.splitlines()
    failed = next(i for i, line in enumerate(lines) if "this method always raises" in line)
    trained = next(i for i, line in enumerate(lines) if "step 4/12" in line)
    assert failed < trained
    assert any(line.startswith("tried on one small image in") for line in lines)
    assert done.returncode == 1
    assert (tmp_path / "results").is_dir()


class _Nameless(Split):
    def __len__(self):
        return 1

    def read(self, indices):
        return Scene(torch.ones(1, 4, 4, 4), torch.ones(1, 4, 16, 16), torch.ones(1, 1, 16, 16), torch.ones(1, 4, 16, 16))


def test_an_image_without_a_name_is_scored(toy_fields):
    from waldbench.bench.run.evaluation import score

    rules = _rules(toy_fields, reduced=["rmse"], border=0)
    scene = _Nameless().read([0])
    rows = score(scene.lms + 3, scene, datasets.open("toy"), rules, "reduced")
    assert [(row["image"], row["value"]) for row in rows] == [("0", 3.0)]
