"""Training networks for the zoo, each with the same budget of time."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from waldbench import datasets, methods
from waldbench.bench import environment, zoo
from waldbench.bench.errors import TrainingInterruptedError
from waldbench.bench.files import write_atomically
from waldbench.bench.protocol import Protocol
from waldbench.bench.training.checkpoint import Progress
from waldbench.bench.training.loop import train
from waldbench.bench.training.step import seconds_per_step
from waldbench.bench.weights import encode
from waldbench.datasets.base import Dataset
from waldbench.datasets.base import facts as dataset_facts
from waldbench.methods.base import Method

PARAMETERS_MAX = 3_000_000
VALIDATIONS = 4
Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What is to be built.

    Attributes:
        dataset: registry key; source: "auto", "published" or "simulated"; root: of published files.
        protocol: recipe; its length gives way to `budget`.
        budget: seconds for the training steps of each network, validations not counted: CPU time of one thread on a CPU, else
            time on the device; None trains as long as the protocol says.
        seed, device: of the training.
        folder: of the zoo.
    """

    dataset: str
    protocol: Protocol
    budget: float | None
    seed: int
    device: torch.device
    folder: Path
    source: str = "simulated"
    root: Path | None = None
    force: bool = False

    def open(self) -> Dataset:
        """The dataset."""
        return datasets.open(self.dataset, root=self.root, source=self.source)


def build(order: Order, keys: tuple[str, ...], say: Say) -> list[str]:
    """Train networks one after another and write weights and cards; a finished one is not trained again.

    Returns:
        One line for each network that failed; the others are there.
    """
    dataset, problems = order.open(), []
    for key in keys:
        reason = unfit(key, dataset)
        if reason:
            say(f"skipped: {key}: {reason}")
            continue
        try:
            _build_one(order, key, dataset, say)
        except TrainingInterruptedError:
            raise
        except (RuntimeError, ValueError, OSError) as error:
            problems.append(f"{key}: {type(error).__name__}: {error}")
            say(f"failed: {problems[-1]}")
    return problems


def unfit(key: str, dataset: Dataset) -> str | None:
    """Why a method has no place in the zoo for this dataset; None if it has."""
    reason = methods.supports(key, dataset.sensor, dataset.task)
    if reason:
        return reason
    method = methods.create(key, sensor=dataset.sensor)
    if not method.trainable:
        return "nothing to train"
    count = _parameters(method)
    return f"{count / 1e6:.1f} M parameters, the zoo holds at most {PARAMETERS_MAX / 1e6:g} M" if count > PARAMETERS_MAX else None


def _build_one(order: Order, key: str, dataset: Dataset, say: Say) -> None:
    name = zoo.stem(key, dataset.key)
    card_path, scratch = order.folder / f"{name}.json", order.folder / f".{name}.partial"
    wanted = _request(order, dataset)
    if card_path.is_file() and not order.force and zoo.read(card_path).get("request") == wanted:
        say(f"done before: {name}")
        return
    torch.manual_seed(order.seed)
    method = methods.create(key, sensor=dataset.sensor)
    rules, step_s = _length(order, method, dataset, scratch, wanted)
    say(f"{name}: {_parameters(method):,} parameters" + (f", {rules.steps} steps of {step_s:.3f} s" if step_s else ""))
    started = time.process_time()
    progress = train(method, dataset, rules, order.seed, order.device, scratch, _listener(name, say))
    spent = {"step_s": step_s, "cpu_s": round(time.process_time() - started, 1), "wall_s": round(progress.seconds, 1)}
    card = _card(order, method, dataset, rules, progress, spent) | {"request": wanted}
    _write(order.folder, name, method, card)
    shutil.rmtree(scratch)


def _length(
    order: Order, method: Method, dataset: Dataset, scratch: Path, wanted: dict[str, Any]
) -> tuple[Protocol, float | None]:
    """The protocol with its number of steps; measured once, so that a resumed training has the same length."""
    if order.budget is None:
        return order.protocol, None
    path = scratch / "length.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    if known.get("request") != wanted:
        shutil.rmtree(scratch, ignore_errors=True)
        step_s = seconds_per_step(method, dataset, order.protocol, order.seed, order.device, order.budget / 20)
        known = {"request": wanted, "step_s": step_s, "steps": max(int(order.budget / step_s), VALIDATIONS)}
        write_atomically(path, json.dumps(known).encode())
    steps = known["steps"]
    return replace(order.protocol, steps=steps, epochs=None, validate_every=-(-steps // VALIDATIONS)), known["step_s"]


def _request(order: Order, dataset: Dataset) -> dict[str, Any]:
    """What decides the training, to tell finished weights from those of other settings."""
    rules = order.protocol.on(dataset.track).id
    device = order.device.type
    return {"protocol": rules, "budget": order.budget, "seed": order.seed, "device": device, "data": dataset.fingerprint}


def _card(
    order: Order, method: Method, dataset: Dataset, rules: Protocol, progress: Progress, spent: dict[str, Any]
) -> dict[str, Any]:
    best = next(point for point in progress.curve if point["step"] == progress.best_step)
    scoped = rules.on(dataset.track)
    clock = "cpu" if order.device.type == "cpu" else "device"
    return {
        "schema": 1,
        "method": method.card.key,
        "title": method.card.title,
        "parameters": _parameters(method),
        "dataset": dataset_facts(order.dataset, dataset) | {"label": dataset.label},
        "sensor": zoo.facts(dataset),
        "protocol": {"id": scoped.id, "name": scoped.name, "content": scoped.to_dict()},
        "recipe": rules.recipe,
        "seed": order.seed,
        "steps": progress.step,
        "best_step": progress.best_step,
        "valid": {name: best[name] for name in ("ergas", "sam")},
        "budget": {"seconds": order.budget, "clock": clock} if order.budget else None,
        "spent": spent,
        "environment": environment.describe(order.device),
        "licence": "Apache-2.0; code and simulated training data are waldbench's own" if dataset.source == "simulated" else None,
        "paper": {name: value for name, value in asdict(method.card).items() if name in {"paper", "doi", "year"}},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _write(folder: Path, name: str, method: Method, card: dict[str, Any]) -> None:
    """Weights first, card last: a card never names weights that are not there."""
    content = encode(method.state_dict(), {"method": card["method"], "protocol": card["protocol"]["id"]})
    file = folder / f"{name}.safetensors"
    others = sum(path.stat().st_size for path in folder.glob("*.safetensors") if path != file)
    if others + len(content) > zoo.LIMIT_BYTES:
        raise OSError(f"the zoo would hold {(others + len(content)) / 1e6:.0f} MB; at most {zoo.LIMIT_BYTES / 1e6:.0f} MB")
    write_atomically(file, content)
    card |= {"file": file.name, "sha256": zoo.digest(file), "bytes": len(content)}
    write_atomically(folder / f"{name}.json", json.dumps(card, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n")
    zoo.write_registry(folder)


def _listener(name: str, say: Say) -> Callable[[dict[str, Any]], None]:
    def listen(event: dict[str, Any]) -> None:
        if "ergas" in event:
            say(f"{name}: step {event['step']}/{event['steps']}, valid ERGAS {event['ergas']:.3f}, SAM {event['sam']:.3f}")
        elif "notice" in event:
            say(f"{name}: {event['notice']}")

    return listen


def _parameters(method: Method) -> int:
    return sum(parameter.numel() for parameter in method.parameters())
