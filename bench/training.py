"""The one training loop: every trainable method, every task, under the protocol's recipe.

Batches depend only on (seed, step), never on how often the training was interrupted: a resumed training gives the numbers of an
uninterrupted one, bit for bit on the same device and thread count.
"""

from __future__ import annotations

import copy
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.nn import functional

import metrics
from bench.batches import Batches
from bench.errors import TrainingInterruptedError
from bench.protocol import Protocol
from datasets.base import Dataset, Split
from methods.base import Method

CHECKPOINT_SECONDS = 20.0
VALIDATION_BATCH = 16
Report = Callable[[dict[str, Any]], None]


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite."""


@dataclass
class Progress:
    """What a training has reached; everything that a checkpoint holds besides network and optimiser."""

    step: int = 0
    best_step: int = 0
    best_value: float = math.inf
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


def train(
    method: Method, dataset: Dataset, protocol: Protocol, seed: int, device: torch.device, scratch: Path, report: Report
) -> Progress:
    """Train `method` in place and leave it with the weights of its best validation.

    Args:
        method: network with the initial weights of `seed`.
        dataset: its `train` and `valid` splits are used, never the test images.
        protocol: recipe and number of images.
        seed: of order, crops and augmentation.
        device: where to train.
        scratch: folder for `checkpoint.pt` and `tensorboard/`; a checkpoint found there is resumed.
        report: called with a dictionary (step, steps, loss, ergas, sam) as the training goes on.

    Raises:
        TrainingInterruptedError: on Ctrl-C, after a checkpoint.
        TrainingDivergedError: if the loss is not finite; the message names the step.
    """
    return _Trainer(method, dataset, protocol, seed, device, scratch, report).run()


def seconds_per_step(
    method: Method, dataset: Dataset, protocol: Protocol, seed: int, device: torch.device, limit: float
) -> float:
    """Seconds of a training step: CPU time of this process on a CPU, else time on the device; measured on a copy of `method`.

    Steps are taken for `limit` seconds (at least three) after two that warm up.
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    trainer = _Trainer(copy.deepcopy(method), dataset, protocol, seed, device, Path(), lambda event: None)
    for step in range(2):
        trainer._step(trainer.batches.batch(step))
    started, steps = clock(), 0
    while steps < 3 or clock() - started < limit:
        trainer._step(trainer.batches.batch(2 + steps))
        steps += 1
    return (clock() - started) / steps


class _Trainer:
    def __init__(
        self, method: Method, dataset: Dataset, protocol: Protocol, seed: int, device: torch.device, scratch: Path, report: Report
    ) -> None:
        self.protocol, self.dataset, self.report = protocol, dataset, report
        self.fabric = Fabric(accelerator=device.type, devices=[device.index or 0] if device.type == "cuda" else 1)
        self.method = method
        for parameter in method.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        optimiser = torch.optim.Adam(
            method.parameters(), lr=protocol.lr, betas=protocol.betas, weight_decay=protocol.weight_decay, foreach=True
        )
        self.module, self.optimiser = self.fabric.setup(self.method, optimiser)
        self.batches = Batches(dataset.split("train"), protocol, seed, dataset.sensor.ratio)
        self.valid: Split = dataset.split("valid")
        self.steps = protocol.total_steps(self.batches.images)
        self.path = scratch / "checkpoint.pt"
        self.identity = {"data": dataset.fingerprint, "seed": seed, "steps": self.steps, "device": device.type}
        self.progress = Progress()
        self.log_folder = scratch / "tensorboard"

    def run(self) -> Progress:
        from torch.utils.tensorboard import SummaryWriter

        self._resume()
        state = self.progress
        saved = started = time.monotonic()
        spent = state.seconds
        writer = SummaryWriter(str(self.log_folder), purge_step=state.step or None)
        with _interruptible() as stop, writer, self.batches.ahead(state.step, self.steps) as stream:
            for batch in stream:
                loss = self._step(batch)
                state.step += 1
                state.seconds = spent + time.monotonic() - started
                self._log(writer, loss)
                if self._validation_due():
                    self._validate(writer, loss)
                if stop() or time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._save()
                    saved = time.monotonic()
                if stop():
                    raise TrainingInterruptedError(
                        f"interrupted at step {state.step} of {self.steps}; run the same command to resume"
                    )
            self._save()
        self.method.load_state_dict(state.best)
        return state

    def _step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> float:
        ms, lms, guide, gt = (image.to(self.fabric.device).contiguous(memory_format=torch.channels_last) for image in batch)
        rate = learning_rate(self.protocol, self.progress.step, self.steps, self.batches.per_epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.module.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(self.module(ms, lms, guide), gt)
        self.fabric.backward(loss)
        self.optimiser.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingDivergedError(
                f"loss is {value} at step {self.progress.step + 1} (lr {rate:.2g}); lower lr in the protocol"
            )
        return value

    def _loss(self, fused: Tensor, gt: Tensor) -> Tensor:
        m, scale = self.method.loss_margin, self.dataset.sensor.scale
        if m:
            fused, gt = fused[..., m:-m, m:-m], gt[..., m:-m, m:-m]
        criterion = functional.l1_loss if self.protocol.loss == "l1" else functional.mse_loss
        return criterion(fused / scale, gt / scale)

    def _validation_due(self) -> bool:
        every = self.protocol.validate_every or self.batches.per_epoch
        return self.progress.step % every == 0 or self.progress.step == self.steps

    def _validate(self, writer: Any, loss: float) -> None:
        values = validate(self.method, self.valid, self.protocol.valid_images, self.dataset, self.fabric.device)
        state = self.progress
        state.curve.append({"step": state.step, "loss": loss, **values})
        for name, value in values.items():
            writer.add_scalar(f"valid/{name}", value, state.step)
        if values[self.protocol.select] < state.best_value:
            state.best_value, state.best_step = values[self.protocol.select], state.step
            state.best = {name: tensor.detach().cpu().clone() for name, tensor in self.method.state_dict().items()}
        self.report({"step": state.step, "steps": self.steps, "loss": loss, **values})

    def _log(self, writer: Any, loss: float) -> None:
        writer.add_scalar("train/loss", loss, self.progress.step)
        writer.add_scalar("train/lr", self.optimiser.param_groups[0]["lr"], self.progress.step)
        self.report({"step": self.progress.step, "steps": self.steps, "loss": loss})

    def _save(self) -> None:
        content = {
            "identity": self.identity,
            "progress": vars(self.progress),
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        torch.save(content, temporary)
        os.replace(temporary, self.path)

    def _resume(self) -> None:
        if not self.path.is_file():
            return
        try:
            content = torch.load(self.path, map_location=self.fabric.device, weights_only=True)
        except Exception as error:  # a checkpoint torn by a full disk or a crash: start again, as if there were none
            self.report({"notice": f"checkpoint {self.path} cannot be read ({error}); training starts again"})
            return
        if content["identity"] != self.identity:
            self.report({"notice": "checkpoint belongs to other data or settings; training starts again"})
            return
        self.progress = Progress(**content["progress"])
        self.method.load_state_dict(content["method"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.report({"notice": f"resumed at step {self.progress.step} of {self.steps}"})


def validate(method: Method, split: Split, count: int | None, dataset: Dataset, device: torch.device) -> dict[str, float]:
    """Mean ERGAS and SAM over the first `count` images of a validation split, without border cut."""
    total = min(len(split), count or len(split))
    values: dict[str, list[Tensor]] = {"ergas": [], "sam": []}
    method.eval()
    with torch.inference_mode():
        for start in range(0, total, VALIDATION_BATCH):
            scene = split[list(range(start, min(start + VALIDATION_BATCH, total)))].to(device)
            fused = method(scene.ms, scene.lms, scene.guide)
            if not bool(torch.isfinite(fused).all()):
                raise TrainingDivergedError("the network returns NaN or infinite values on the validation images")
            for name, found in values.items():
                found.append(metrics.compute(name, fused, scene, sensor=dataset.sensor).double().cpu())
    return {name: float(torch.cat(found).mean()) for name, found in values.items()}


def learning_rate(protocol: Protocol, step: int, steps: int, per_epoch: int) -> float:
    """Learning rate of a 0-based step; a pure function, so that nothing about it needs to be stored."""
    if protocol.schedule == "one-cycle":
        rise = max(round(protocol.warmup * steps), 1)
        if step < rise:
            return protocol.lr * (step + 1) / rise
        return protocol.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))
    if protocol.schedule == "milestones":
        return protocol.lr * protocol.gamma ** sum(step // per_epoch >= epoch for epoch in protocol.milestones)
    return protocol.lr


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C into a flag, so that a step is never left half done."""
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    # Only a main thread may set handlers; a cluster's worker runs its cells in another and is stopped by its scheduler.
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    earlier = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield lambda: asked
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
