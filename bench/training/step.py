"""One step of a training: forward and backward pass of a batch, part by part, in one process or several."""

from __future__ import annotations

import copy
import math
import time

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from waldbench.bench.errors import TrainingDivergedError
from waldbench.bench.protocol import Protocol
from waldbench.bench.training import distributed, schedules
from waldbench.bench.training.batches import Batch, Batches
from waldbench.bench.training.execution import Execution
from waldbench.datasets.base import Dataset
from waldbench.methods.base import Method


class _Objective(nn.Module):
    """Network and loss in one module, so that autocast, the compiler and DDP see the whole forward pass."""

    def __init__(self, method: Method, recipe: schedules.TrainingSchedule) -> None:
        super().__init__()
        self.method, self.schedule = method, recipe

    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Loss of a batch in digital numbers."""
        if self.schedule.published:
            loss: Tensor = self.method.own_loss(ms, lms, guide, gt, epoch)  # type: ignore[operator]
            return loss
        scale = self.method.sensor.scale
        fused = self.method(ms, lms, guide).to(gt.dtype)
        return self.schedule.recipe.criterion(fused / scale, gt / scale, self.method.loss_margin)


def lay_out(method: Method, layout: torch.memory_format) -> None:
    """Put the weights of convolutions into a memory layout, on which the last bits of their output depend."""
    for parameter in method.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


class Stepper:
    """Network, optimiser and batches of one training.

    Attributes:
        fabric: device, precision, processes.
        schedule: recipe, length and learning rates.
        batches: of this process.
        optimiser: as Fabric wraps it.
    """

    def __init__(
        self, method: Method, dataset: Dataset, protocol: Protocol, seed: int, device: torch.device, execution: Execution
    ) -> None:
        self.method, self.protocol, self.seed, self.bands = method, protocol, seed, dataset.sensor.count
        devices = {"devices": [device.index or 0] if device.type == "cuda" else 1} | distributed.fabric_options()
        self.fabric = Fabric(accelerator=device.type, precision=protocol.precision, **devices)  # type: ignore[arg-type]
        self.fabric.launch()
        split = dataset.split("train")
        self.schedule = schedules.plan(method, protocol, min(len(split), protocol.train_images or len(split)))
        part, size = (self.fabric.global_rank, self.fabric.world_size), self.schedule.recipe.batch
        self.batches = Batches(split, protocol, seed, dataset.sensor.ratio, size, part, pin=device.type == "cuda")
        self.layout = execution.memory_format(device, protocol.precision)
        lay_out(method, self.layout)
        objective: nn.Module = _Objective(method, self.schedule)
        if execution.compile:
            objective.compile()
        self.module, self.optimiser = self.fabric.setup(objective, schedules.optimiser(self.schedule.recipe, method))

    def step(self, batch: Batch, step: int, stop: bool = False) -> tuple[float, bool]:
        """A 0-based step: mean loss of the whole batch, and whether any process was asked to stop.

        Raises:
            TrainingDivergedError: if the loss is not finite; the weights are those before the step.
        """
        # Of random layers, such as drop path: a function of the step like the batch.
        torch.manual_seed((self.seed * 1_000_003 + step) * 1_009 + self.fabric.global_rank)
        rate = self.schedule.rate(step, self.bands)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        self.module.train()
        self.optimiser.zero_grad(set_to_none=True)
        value, asked = self._agree(self._backward(batch, self.schedule.epoch(step)), stop)
        if not math.isfinite(value):
            raise TrainingDivergedError(f"loss is {value} at step {step + 1} (lr {rate:.2g})")
        if self.schedule.recipe.clip is not None:
            self.fabric.clip_gradients(self.module, self.optimiser, max_norm=self.schedule.recipe.clip)
        self.optimiser.step()
        return value, asked

    def _backward(self, batch: Batch, epoch: int) -> Tensor:
        """Gradients of the mean loss, part by part; gradients of several processes are averaged with the last part."""
        images = [image.to(self.fabric.device, non_blocking=True).contiguous(memory_format=self.layout) for image in batch]
        count = len(images[0])
        parts = list(zip(*(image.tensor_split(min(self.protocol.accumulate, count)) for image in images), strict=True))
        total = images[0].new_zeros(())
        for number, part in enumerate(parts, 1):
            with self.fabric.no_backward_sync(self.module, enabled=number < len(parts)):
                loss = self.module(*part, epoch)
                if len(parts) > 1:
                    loss = loss * (len(part[0]) / count)
                self.fabric.backward(loss)
            total = total + loss.detach()
        return total

    def _agree(self, loss: Tensor, stop: bool) -> tuple[float, bool]:
        if self.fabric.world_size == 1:
            return float(loss), stop
        both = torch.stack([loss.float(), loss.new_tensor(float(stop)).float()])
        value, asked = self.fabric.all_reduce(both, reduce_op="mean").tolist()  # type: ignore[union-attr]
        return value, asked > 0


def seconds_per_step(
    method: Method, dataset: Dataset, protocol: Protocol, seed: int, device: torch.device, limit: float
) -> float:
    """Seconds of a training step: CPU time of this process on a CPU, else time on the device; measured on a copy of `method`.

    Steps are taken for `limit` seconds (at least three) after two that warm up.
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    stepper = Stepper(copy.deepcopy(method), dataset, protocol, seed, device, Execution())
    for step in range(2):
        stepper.step(stepper.batches.batch(step), step)
    started, steps = clock(), 0
    while steps < 3 or clock() - started < limit:
        stepper.step(stepper.batches.batch(2 + steps), steps)
        steps += 1
    return (clock() - started) / steps
