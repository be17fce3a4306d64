"""Options of the training: accumulation, precision, early stop, compilation, recipes, several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml
from torch import nn

import waldbench.bench.training.loop
from tests.bench.conftest import PLUGIN, ROOT
from waldbench import datasets, methods
from waldbench.bench import protocol
from waldbench.bench.cli import main
from waldbench.bench.errors import TrainingDivergedError, UsageError
from waldbench.bench.training import schedules, validation
from waldbench.bench.training.execution import Execution, deterministic
from waldbench.bench.training.loop import train
from waldbench.imaging import sensors
from waldbench.methods.base import Network
from waldbench.methods.recipes import Recipe

CPU = torch.device("cpu")


def _new(cls=None):
    torch.manual_seed(7)
    sensor = datasets.open("toy").sensor
    return cls(sensor=sensor) if cls else methods.create("toy-net", sensor=sensor)


def _train(fields, folder, method=None, report=lambda event: None, execution=None):
    method = method or _new()
    progress = train(method, datasets.open("toy"), protocol.from_dict(fields, "toy"), 1, CPU, folder, report, execution)
    return method, progress


def test_accumulated_parts_equal_the_whole_batch(toy_fields, tmp_path):
    whole, straight = _train(toy_fields, tmp_path / "a")
    parts, accumulated = _train(toy_fields | {"accumulate": 2}, tmp_path / "b")
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert [point["loss"] for point in accumulated.curve] == pytest.approx([point["loss"] for point in straight.curve], rel=1e-5)


class Dilated(Network):
    """A dilated convolution, whose bfloat16 gradients are NaN in channels-last layout on some CPUs."""

    def __init__(self, *, sensor, guide_bands=1):
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.conv = nn.Conv2d(sensor.count + guide_bands, 12, 3, padding=2, dilation=2)
        self.out = nn.Conv2d(12, sensor.count, 3, padding=3, dilation=3)

    def fuse(self, ms, lms, guide):
        return lms + self.out(self.conv(torch.cat([lms, guide], 1)).relu())


def test_bf16_trains_and_keeps_full_precision_weights(toy_fields, tmp_path):
    method, progress = _train(toy_fields | {"precision": "bf16-mixed"}, tmp_path, _new(Dilated))
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in method.parameters())
    exact, reference = _train(toy_fields, tmp_path / "b", _new(Dilated))
    assert progress.curve[-1]["ergas"] == pytest.approx(reference.curve[-1]["ergas"], rel=0.05)
    assert not torch.equal(method.conv.weight, exact.conv.weight)


def test_the_layout_avoids_the_trap_unless_told():
    auto, last = Execution(), Execution(layout="channels-last")
    assert auto.memory_format(CPU, "bf16-mixed") == torch.contiguous_format
    assert auto.memory_format(CPU, "32-true") == torch.channels_last
    assert last.memory_format(CPU, "bf16-mixed") == torch.channels_last
    assert auto.memory_format(torch.device("cuda"), "bf16-mixed") == torch.channels_last


def test_patience_stops_and_a_second_run_stays_stopped(toy_fields, tmp_path):
    fields = toy_fields | {"patience": 2, "lr": 1e-12, "validate_every": 1, "schedule": "constant"}
    notices = []
    _, progress = _train(fields, tmp_path, report=lambda event: notices.append(event.get("notice")))
    assert progress.step == progress.best_step + 2 < 12
    assert f"stopped early at step {progress.step}: best validation at step {progress.best_step}" in notices
    _, again = _train(fields, tmp_path)
    assert again.step == progress.step


def test_divergence_keeps_the_last_good_checkpoint(toy_fields, tmp_path):
    method = methods.create("toy-diverges", sensor=datasets.open("toy").sensor)
    with pytest.raises(TrainingDivergedError, match=r"lower lr in the protocol; the last good checkpoint.pt is kept"):
        _train(toy_fields, tmp_path, method)
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert content["progress"]["step"] == 2
    assert all(tensor.isfinite().all() for tensor in content["method"].values())


class Dropping(Network):
    """A network with a random layer."""

    def __init__(self, *, sensor, guide_bands=1):
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.conv = nn.Conv2d(sensor.count + guide_bands, sensor.count, 3, padding=1)

    def fuse(self, ms, lms, guide):
        return lms + 0.1 * nn.functional.dropout(self.conv(torch.cat([lms, guide], 1)), 0.5, self.training)


def test_random_layers_resume_bit_for_bit(toy_fields, tmp_path, monkeypatch):
    straight, _ = _train(toy_fields, tmp_path / "a", _new(Dropping))
    monkeypatch.setattr(waldbench.bench.training.loop, "CHECKPOINT_SECONDS", 0.0)

    def crash(event):
        if event.get("step") == 6:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        _train(toy_fields, tmp_path / "b", _new(Dropping), crash)
    resumed, _ = _train(toy_fields, tmp_path / "b", _new(Dropping))
    assert torch.equal(straight.conv.weight, resumed.conv.weight)


def test_compiled_steps_give_the_same_weights(toy_fields, tmp_path, monkeypatch):
    compiled = []
    original = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self: (compiled.append(self), original(self, backend="eager"))[1])
    plain, _ = _train(toy_fields | {"steps": 4}, tmp_path / "a", _new(Dilated))
    fast, _ = _train(toy_fields | {"steps": 4}, tmp_path / "b", _new(Dilated), execution=Execution(compile=True))
    assert len(compiled) == 1
    assert torch.equal(plain.conv.weight, fast.conv.weight)


def test_determinism_is_asked_for_and_restored():
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_maps_show_colours_details_and_error():
    scene, sensor = datasets.open("toy").split("valid")[0], sensors.get("qb")
    copy = methods.create("toy-copy", sensor=sensor)
    shown = validation.maps(copy, scene, sensor)
    assert {name: image.shape[0] for name, image in shown.items()} == {"fused": 3, "detail": 1, "error": 1}
    assert (shown["detail"] == 0.5).all()
    expected = (scene.lms - scene.gt).abs().mean(1)[0] / (sensor.scale / 10)
    torch.testing.assert_close(shown["error"][0], expected.clamp(0, 1))


def test_validations_are_pictures_in_tensorboard(toy_fields, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _train(toy_fields, tmp_path)
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    assert set(log.Tags()["images"]) == {"valid/fused", "valid/detail", "valid/error"}
    assert [event.step for event in log.Images("valid/fused")] == [4, 8, 12]
    assert len(log.Scalars("train/loss")) == 12


@pytest.fixture
def published(toy_fields):
    return protocol.from_dict(toy_fields | {"recipe": "published"}, "toy")


def test_a_published_recipe_brings_its_own_everything(published):
    pnn = methods.create("pnn", sensor=sensors.get("wv3"))
    plan = schedules.plan(pnn, published, 640)
    assert plan.rate(0, bands=8) == pytest.approx(0.2312)
    optimiser = schedules.optimiser(plan.recipe, pnn)
    assert type(optimiser).__name__ == "SGD"
    assert optimiser.param_groups[0]["momentum"] == 0.9
    apnn = methods.create("a-pnn", sensor=sensors.get("qb"))
    groups = schedules.optimiser(apnn.recipe, apnn).param_groups
    assert {group["factor"]: len(group["params"]) for group in groups} == {1.0: 4, 0.1: 2}


def test_a_published_schedule_is_stretched_to_the_steps_of_the_protocol(published, toy_fields):
    drpnn = methods.create("drpnn", sensor=sensors.get("qb"))
    plan = schedules.plan(drpnn, published, 640)
    assert plan.steps == 12
    assert plan.epoch(6) == 250
    assert plan.rate(6) == pytest.approx(2e-4 * 0.5**8)
    whole = schedules.plan(drpnn, protocol.from_dict(toy_fields | {"recipe": "published", "steps": None, "epochs": 7}, "t"), 640)
    assert whole.steps == 500 * 20
    assert whole.rate(20 * 30) == pytest.approx(1e-4)


def test_a_floor_and_a_limit_of_gradients(published, tmp_path):
    recipe = Recipe("mse", 1e-3, 4, 10, schedule="every", every=1, gamma=0.1, floor=1e-4, clip=1e-12)
    method = _new()
    type(method).recipe = recipe
    try:
        plan = schedules.plan(method, published, 12)
        assert plan.rate(11) == 1e-4
        before = method.conv.weight.clone()
        train(method, datasets.open("toy"), published, 1, CPU, tmp_path, lambda event: None)
        torch.testing.assert_close(before, method.conv.weight, rtol=0, atol=1e-4)
    finally:
        type(method).recipe = None


def test_without_a_published_recipe_there_is_a_reason(published, toy_fields, command, capsys, tmp_path):
    with pytest.raises(UsageError, match="has no published recipe"):
        schedules.plan(_new(), published, 12)
    file = tmp_path / "published.yaml"
    file.write_text(yaml.safe_dump(toy_fields | {"recipe": "published", "steps": 2}))
    words = command("--methods", "toy-net", "pnn", "--dataset", "toy", "--dry-run")[2:]
    assert main([*words, "--protocol", str(file)]) == 0
    said = capsys.readouterr().out
    assert "skipped: toy-net on toy-simulated, seed 42: no recipe was published for it" in said
    assert "run: pnn on toy-simulated, seed 42" in said


def _losses(folder):
    record = json.loads(next(folder.rglob("toy-net/seed-42/record.json")).read_text())
    return [point["loss"] for point in record["training"]["curve"]], record


def test_two_processes_train_like_one(toy_fields, tmp_path):
    file = tmp_path / "each.yaml"
    file.write_text(yaml.safe_dump(toy_fields | {"validate_every": 1, "accumulate": 2}))
    words = ["run_bench.py", "--methods", "toy-copy", "toy-net", "toy-diverges", "--dataset", "toy", "--plugin", str(PLUGIN)]
    words += ["--protocol", str(file), "--threads", "1", "--device", "cpu"]
    launchers = {"one": [sys.executable], "two": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]}
    for name, launcher in launchers.items():
        call = [*launcher, *words, "--results", str(tmp_path / name)]
        done = subprocess.run(call, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=240, check=False)
        assert "loss is nan at step 2" in done.stdout, done.stdout + done.stderr
        assert done.stdout.count("protocol each-") == 2
    (one, _), (two, record) = _losses(tmp_path / "one"), _losses(tmp_path / "two")
    assert len(one) == 12
    assert two == pytest.approx(one, rel=1e-4)
    assert record["training"]["processes"] == 2
