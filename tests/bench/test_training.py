"""The training loop: batches as a function of the step, resume bit for bit, divergence."""

from __future__ import annotations

import pytest
import torch

import waldbench.bench.training.loop
from waldbench import datasets, methods
from waldbench.bench import protocol
from waldbench.bench.errors import TrainingDivergedError
from waldbench.bench.training.batches import Batches
from waldbench.bench.training.loop import train
from waldbench.bench.training.schedules import plan

CPU = torch.device("cpu")


def _new(seed=7):
    torch.manual_seed(seed)
    return methods.create("toy-net", sensor=datasets.open("toy").sensor)


def test_batches_depend_on_the_step_alone(toy_protocol):
    split = datasets.open("toy").split("train")
    first, second = (Batches(split, toy_protocol, seed=3, ratio=4) for _ in range(2))
    for step in (5, 0, 2):
        assert all(torch.equal(a, b) for a, b in zip(first.batch(step), second.batch(step), strict=True))
    with first.ahead(2, 6) as stream:
        read = list(stream)
    assert len(read) == 4
    assert torch.equal(read[3][0], second.batch(5)[0])


def test_batches_differ_between_seeds_and_steps(toy_protocol):
    split = datasets.open("toy").split("train")
    one, other = Batches(split, toy_protocol, seed=3, ratio=4), Batches(split, toy_protocol, seed=4, ratio=4)
    assert not torch.equal(one.batch(0)[3], other.batch(0)[3])
    assert not torch.equal(one.batch(0)[3], one.batch(1)[3])


def test_an_epoch_shows_every_patch_once(toy_fields):
    rules = protocol.from_dict(toy_fields | {"flips": False, "rotations": False}, "toy")
    split = datasets.open("toy").split("train")
    batches = Batches(split, rules, seed=3, ratio=4)
    seen = {float(gt[i].sum()) for step in range(batches.per_epoch) for gt in [batches.batch(step)[3]] for i in range(4)}
    assert len(seen) == 12


def test_reading_batch_by_batch_equals_memory(toy_protocol, monkeypatch):
    split = datasets.open("toy").split("train")
    memory = Batches(split, toy_protocol, seed=1, ratio=4).batch(3)
    monkeypatch.setattr("waldbench.bench.training.batches.MEMORY_BYTES", 0)
    lazy = Batches(split, toy_protocol, seed=1, ratio=4)
    assert lazy.memory is None
    assert all(torch.equal(a, b) for a, b in zip(memory, lazy.batch(3), strict=True))


def test_crops_and_turns_keep_ms_and_gt_together(toy_protocol):
    ms, lms, _, gt = Batches(datasets.open("toy").split("train"), toy_protocol, seed=1, ratio=4).batch(0)
    low = torch.nn.functional.avg_pool2d(gt, 4)
    for image, reference in zip(ms, low, strict=True):
        assert torch.corrcoef(torch.stack([image.flatten(), reference.flatten()]))[0, 1] > 0.8
    assert lms.shape == gt.shape


def test_training_learns_and_keeps_the_best(toy_fields, tmp_path):
    rules = protocol.from_dict(toy_fields | {"steps": 60, "lr": 5e-3}, "toy")
    progress = train(_new(), datasets.open("toy"), rules, 1, CPU, tmp_path, lambda event: None)
    ergas = [point["ergas"] for point in progress.curve]
    assert ergas[-1] < ergas[0]
    assert progress.best_value == min(ergas)
    assert (tmp_path / "tensorboard").is_dir()


def test_a_crash_resumes_bit_for_bit(toy_protocol, tmp_path, monkeypatch):
    dataset = datasets.open("toy")
    whole = _new()
    straight = train(whole, dataset, toy_protocol, 1, CPU, tmp_path / "a", lambda event: None)
    monkeypatch.setattr(waldbench.bench.training.loop, "CHECKPOINT_SECONDS", 0.0)

    def crash(event):
        if event.get("step") == 7:
            raise ConnectionResetError("the machine went away")

    with pytest.raises(ConnectionResetError):
        train(_new(), dataset, toy_protocol, 1, CPU, tmp_path / "b", crash)
    notices = []
    again = _new(seed=99)
    resumed = train(again, dataset, toy_protocol, 1, CPU, tmp_path / "b", lambda event: notices.append(event.get("notice")))
    assert "resumed at step 6 of 12" in notices
    assert [point["ergas"] for point in resumed.curve] == [point["ergas"] for point in straight.curve]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_a_torn_checkpoint_starts_again(toy_protocol, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"torn")
    notices = []
    train(_new(), datasets.open("toy"), toy_protocol, 1, CPU, tmp_path, lambda event: notices.append(event.get("notice")))
    assert any(notice and "cannot be read" in notice for notice in notices)


def test_a_checkpoint_of_other_data_is_not_used(toy_protocol, tmp_path):
    train(_new(), datasets.open("toy"), toy_protocol, 1, CPU, tmp_path, lambda event: None)
    notices = []
    train(_new(), datasets.open("toy"), toy_protocol, 2, CPU, tmp_path, lambda event: notices.append(event.get("notice")))
    assert "checkpoint belongs to other code, data or settings; training starts again" in notices


def test_divergence_names_the_step(toy_protocol, tmp_path):
    dataset = datasets.open("toy")
    method = methods.create("toy-diverges", sensor=dataset.sensor)
    with pytest.raises(TrainingDivergedError, match="loss is nan at step 3"):
        train(method, dataset, toy_protocol, 1, CPU, tmp_path, lambda event: None)


def test_one_cycle_rises_then_falls_to_zero(toy_fields):
    rules = protocol.from_dict(toy_fields | {"steps": 100}, "toy")
    rates = [plan(_new(), rules, 12).rate(step) for step in range(100)]
    assert max(rates) == pytest.approx(rules.lr)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[-1] < 0.01 * rules.lr


def test_the_schedule_of_full_drops_once_at_epoch_100():
    schedule = plan(_new(), protocol.load("full"), 9714)
    assert schedule.steps == 600 * 303
    assert schedule.rate(99 * 303) == pytest.approx(3e-4)
    assert schedule.rate(100 * 303) == pytest.approx(2.7e-4)
    assert schedule.rate(599 * 303) == pytest.approx(2.7e-4)
