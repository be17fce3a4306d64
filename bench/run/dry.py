"""Before any training: every cell fuses and scores one small image, so that what cannot work is known in seconds."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from waldbench import methods, metrics
from waldbench.bench.errors import UsageError
from waldbench.bench.protocol import Protocol
from waldbench.bench.run.executors import local
from waldbench.bench.run.job import Job
from waldbench.catalogue import UnknownNameError, is_own

if TYPE_CHECKING:
    import torch

    from waldbench.datasets.base import Dataset
    from waldbench.imaging import Scene
    from waldbench.methods.base import Method

# At full resolution there is no ground truth.
UNAVAILABLE = {"full": ("gt",), "reduced": ()}


@dataclass(frozen=True)
class Failure:
    """Why a cell cannot work: in one line, and as a traceback."""

    job: Job
    reason: str
    details: str


def check_indices(rules: Protocol, track: str) -> None:
    """Raise UsageError, naming the field, for an index of a track that nobody registered or that its split cannot have."""
    for split, unavailable in UNAVAILABLE.items():
        place = f"protocol '{rules.name}': scoring.{track}.{split}"
        for key in rules.scoring[track].keys(split):
            try:
                card = metrics.card(key)
            except UnknownNameError as error:
                raise UsageError(f"{place}: {error}") from error
            missing = [name for name in card.needs if name in unavailable]
            if missing:
                raise UsageError(f"{place}: {key} needs {', '.join(missing)}, which these images do not have; leave it out")


def failures(jobs: Sequence[Job]) -> list[Failure]:
    """Fuse and score one small image for each of the jobs, in a process beside this one; returns the jobs that cannot work.

    Jobs that differ in their seeds only are tried once.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        what = (job.dataset, job.method, job.arguments, job.ablate, job.weights, job.card, job.protocol.id)
        groups.setdefault(repr(what), []).append(job)
    waiting, found = [members[0] for members in groups.values()], list[Failure]()
    while waiting:
        for result in _try(tuple(waiting)):
            job = waiting.pop(0)
            if result is not None:
                members = groups[next(key for key, group in groups.items() if group[0] is job)]
                found += [Failure(member, _told(member, result[0]), result[1]) for member in members]
    return found


def _told(job: Job, reason: str) -> str:
    """The reason with the file of a plugin and what helps."""
    entry = methods.catalogue[job.method]
    if is_own(entry.path):
        return reason
    return f"{entry.path.name}: {reason} (more: run_bench.py check {entry.path.name} {job.method})"


def _try(jobs: Sequence[Job]) -> Iterator[tuple[str, str] | None]:
    """Results of jobs in order; where a job ends the process, its result is the last."""
    context = local.context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(list(jobs), sender), name="dry run")  # type: ignore[attr-defined]
    process.start()
    sender.close()
    try:
        for _ in jobs:
            try:
                yield receiver.recv()
            except (EOFError, OSError):
                process.join()
                yield local.reason_of(process.exitcode or 0), ""
                return
    finally:
        receiver.close()
        if process.is_alive():
            process.join(timeout=5)
        if process.is_alive():
            process.kill()
        process.join()


def _work(jobs: Sequence[Job], sender: Connection) -> None:
    for job in jobs:
        try:
            run(job)
            sender.send(None)
        except BrokenPipeError:
            return
        except Exception as error:
            sender.send((f"{type(error).__name__}: {error}".split("\n")[0], traceback.format_exc()))


def run(job: Job) -> None:
    """Fuse and score one small image of each split, and take the gradient where the method is trained; raises what fails."""
    from waldbench.bench.run.cell import given_weights, prepare

    method, dataset, device = prepare(job)
    given_weights(job, method, dataset)
    method.to(device)
    for split in UNAVAILABLE:
        images = dataset.split(split)
        if len(images):
            _either(images[0], job.protocol, dataset, partial(_score, method, dataset, job, split, device))
    if job.trains and len(dataset.split("train")):
        side = max(job.protocol.patch // dataset.sensor.ratio, 1)
        _differentiate(method, dataset.split("train")[0].crop(0, 0, side, side).to(device))


def _either(scene: Scene, rules: Protocol, dataset: Dataset, work: Callable[[Scene], Any]) -> None:
    """Work on a corner of a scene; where that fails, perhaps for its size, on the whole, which decides."""
    scoring = rules.scoring[dataset.track]
    side = -(-max(2 * scoring.border + 2 * scoring.block, 64) // scene.ratio)
    height, width = scene.ms.shape[-2:]
    if min(height, width) > side:
        try:
            work(scene.crop(0, 0, side, side))
            return
        except Exception:
            pass
    work(scene)


def _score(method: Method, dataset: Dataset, job: Job, split: str, device: torch.device, scene: Scene) -> None:
    import torch

    from waldbench.bench.run import evaluation

    here = scene.to(device)
    with torch.inference_mode():
        evaluation.score(evaluation.fuse(method.eval(), here), here, dataset, job.protocol, split)


def _differentiate(method: Method, scene: Scene) -> None:
    fused = method.train()(scene.ms, scene.lms, scene.guide)
    if not fused.requires_grad:
        raise RuntimeError("the fused image does not depend on any parameter that could be trained; is it detached from them?")
    fused.float().mean().backward()
