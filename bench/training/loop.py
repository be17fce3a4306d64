"""The one training loop: every trainable method, every task, under the recipe that the protocol chooses.

Batches and the random numbers of a step depend only on (seed, step), never on how often the training was interrupted: a resumed
training gives the numbers of an uninterrupted one, bit for bit on the same device, thread and process count.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from waldbench import metrics
from waldbench.bench.errors import TrainingDivergedError, TrainingInterruptedError
from waldbench.bench.protocol import Protocol
from waldbench.bench.training import checkpoint, distributed, validation
from waldbench.bench.training.batches import Batch
from waldbench.bench.training.checkpoint import Progress
from waldbench.bench.training.execution import Execution, deterministic
from waldbench.bench.training.step import Stepper
from waldbench.datasets.base import Dataset, Split
from waldbench.methods.base import Method

CHECKPOINT_SECONDS = 20.0
Report = Callable[[dict[str, Any]], None]


def train(
    method: Method,
    dataset: Dataset,
    protocol: Protocol,
    seed: int,
    device: torch.device,
    scratch: Path,
    report: Report,
    execution: Execution | None = None,
    code: str = "",
) -> Progress:
    """Train `method` in place and leave it with the weights of its best validation.

    Args:
        method: network with the initial weights of `seed`.
        dataset: its `train` and `valid` splits are used, never the test images.
        protocol: recipe and number of images.
        seed: of order, crops, augmentation and random layers.
        device: where to train.
        scratch: folder for `checkpoint.pt` and `tensorboard/`; a checkpoint found there is resumed.
        report: called with a dictionary (step, steps, epoch, loss, ergas, sam) as the training goes on.
        execution: compilation, memory layout, determinism.
        code: fingerprint of the network's and the training's source; a checkpoint of other code is never resumed.

    Raises:
        TrainingInterruptedError: on Ctrl-C, after a checkpoint.
        TrainingDivergedError: if the loss is not finite; the message names the step, and the last good checkpoint is kept.
        UsageError: if the protocol asks for the published recipe of a network that has none.
    """
    execution = execution or Execution()
    with deterministic(execution.deterministic):
        return _Trainer(method, dataset, protocol, seed, device, scratch, report, execution, code).run()


class _Trainer:
    def __init__(
        self,
        method: Method,
        dataset: Dataset,
        protocol: Protocol,
        seed: int,
        device: torch.device,
        scratch: Path,
        report: Report,
        execution: Execution,
        code: str,
    ) -> None:
        self.method, self.dataset, self.protocol, self.report = method, dataset, protocol, report
        self.stepper = Stepper(method, dataset, protocol, seed, device, execution)
        self.fabric, self.batches = self.stepper.fabric, self.stepper.batches
        self.valid: Split = dataset.split("valid")
        self.select = protocol.selector(dataset.track)
        self.steps = self.stepper.schedule.steps
        self.path, self.log_folder = scratch / "checkpoint.pt", scratch / "tensorboard"
        self.identity = {"data": dataset.fingerprint, "seed": seed, "steps": self.steps, "device": device.type}
        self.identity["code"] = code
        self.identity["recipe"] = repr(self.stepper.schedule.recipe)
        self.progress = Progress()

    def run(self) -> Progress:
        self._resume()
        state = self.progress
        saved = started = time.monotonic()
        spent = state.seconds
        finished = state.step if self._enough() else self.steps
        with _interruptible() as stop, self._writer() as writer, self.batches.ahead(state.step, finished) as stream:
            for batch in stream:
                loss, stopping = self._step(batch, stop())
                state.step += 1
                state.seconds = spent + time.monotonic() - started
                self._log(writer, loss)
                if self._validation_due():
                    self._validate(writer, loss)
                if stopping or time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._save()
                    saved = time.monotonic()
                if stopping:
                    raise TrainingInterruptedError(
                        f"interrupted at step {state.step} of {self.steps}; run the same command to resume"
                    )
                if self._enough():
                    self.report({"notice": f"stopped early at step {state.step}: best validation at step {state.best_step}"})
                    break
            self._save()
        if self.fabric.global_rank == 0:
            self.method.load_state_dict(state.best)
        return state

    def _step(self, batch: Batch, stop: bool) -> tuple[float, bool]:
        try:
            return self.stepper.step(batch, self.progress.step, stop)
        except TrainingDivergedError as error:
            raise TrainingDivergedError(self._divergence(str(error))) from error

    def _divergence(self, what: str) -> str:
        """Message of a divergence; the weights before it are kept as a checkpoint where they are sound."""
        if all(bool(torch.isfinite(parameter).all()) for parameter in self.method.parameters()):
            self._save()
        kept = f"; the last good {self.path.name} is kept" if self.path.is_file() else ""
        return f"{what}; lower lr in the protocol{kept}"

    def _validation_due(self) -> bool:
        every = self.protocol.validate_every or self.batches.per_epoch
        return self.progress.step % every == 0 or self.progress.step == self.steps

    def _enough(self) -> bool:
        patience = self.protocol.patience
        return patience is not None and self.progress.stale() >= patience

    def _validate(self, writer: Any, loss: float) -> None:
        """The leader validates; every process learns the scores, or that there are none."""
        values: dict[str, float] | str = {}
        if self.fabric.global_rank == 0:
            try:
                arguments = (self.method, self.valid, self.protocol.valid_images, self.dataset, self.fabric.device)
                values = validation.validate(*arguments, self.select)
                validation.write(writer, self.method, self.valid, self.dataset, self.fabric.device, self.progress.step)
            except TrainingDivergedError as error:
                values = str(error)
        values = distributed.broadcast(values)
        if isinstance(values, str):
            raise TrainingDivergedError(f"{values} at step {self.progress.step}; lower lr in the protocol")
        self._keep(writer, loss, values)

    def _keep(self, writer: Any, loss: float, values: dict[str, float]) -> None:
        state = self.progress
        state.curve.append({"step": state.step, "loss": loss, **values})
        for name, value in values.items():
            writer.add_scalar(f"valid/{name}", value, state.step)
        # Smaller is better for what is kept, whichever way the index points.
        reached = -values[self.select] if metrics.card(self.select).direction == "higher" else values[self.select]
        if reached < state.best_value:
            state.best_value, state.best_step = reached, state.step
            state.best = {name: tensor.detach().cpu().clone() for name, tensor in self.method.state_dict().items()}
        self._report(loss, values)

    def _log(self, writer: Any, loss: float) -> None:
        writer.add_scalar("train/loss", loss, self.progress.step)
        writer.add_scalar("train/lr", self.stepper.optimiser.param_groups[0]["lr"], self.progress.step)
        self._report(loss, {})

    def _report(self, loss: float, values: dict[str, float]) -> None:
        step, per_epoch = self.progress.step, self.batches.per_epoch
        place = {"step": step, "steps": self.steps, "epoch": -(-step // per_epoch), "epochs": -(-self.steps // per_epoch)}
        self.report(place | {"loss": loss} | values)

    def _writer(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        if self.fabric.global_rank:
            return _Silent()
        return SummaryWriter(str(self.log_folder), purge_step=self.progress.step or None)

    def _save(self) -> None:
        if self.fabric.global_rank:
            return
        content = {"identity": self.identity, "progress": vars(self.progress)}
        content |= {"method": self.method.state_dict(), "optimiser": self.stepper.optimiser.state_dict()}
        checkpoint.save(self.path, content)

    def _resume(self) -> None:
        found = checkpoint.read(self.path, self.identity) if self.fabric.global_rank == 0 else (None, None)
        content, notice = distributed.broadcast(found)
        if notice:
            self.report({"notice": notice})
        if content is None:
            return
        self.progress = Progress(**content["progress"])
        self.method.load_state_dict(content["method"])
        self.stepper.optimiser.load_state_dict(content["optimiser"])
        self.report({"notice": f"resumed at step {self.progress.step} of {self.steps}"})


class _Silent:
    """A TensorBoard writer that writes nothing: of every process but the first."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_error: object) -> None:
        return

    def add_scalar(self, *_what: object) -> None:
        """Nothing."""


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
