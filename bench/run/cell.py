"""One cell, run in a process of its own: train, evaluate, measure, commit."""

from __future__ import annotations

import shutil
import time
import traceback
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waldbench.bench.errors import DistributedError, TrainingDivergedError, TrainingInterruptedError, UsageError
from waldbench.bench.files import save_arrays
from waldbench.bench.results.locks import Owner
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Store
from waldbench.bench.run import fingerprints
from waldbench.bench.run.job import Job, Report

if TYPE_CHECKING:
    import torch

    from waldbench.datasets.base import Dataset
    from waldbench.methods.base import Method


def run(job: Job, report: Report) -> Record:
    """Run a cell to its end and return its record; a failure becomes a failed record.

    Raises:
        TrainingInterruptedError, KeyboardInterrupt, BrokenPipeError: if the user stopped it or the run that listens is gone;
            the scratch folder keeps the checkpoint.
    """
    store = Store(Path(job.results))

    def wait(owner: Owner) -> None:
        report({"notice": f"held by {owner}; waiting for it"})

    with store.lock(job.cell, wait) as waited:
        found = store.read(job.cell) if waited and not job.force else None
        if found is not None and fingerprints.is_today(found, job):
            report({"notice": "finished by the other run meanwhile"})
            return found
        return _run_alone(job, store, report)


def _run_alone(job: Job, store: Store, report: Report) -> Record:
    try:
        return _run(job, store, report)
    except (TrainingInterruptedError, BrokenPipeError):
        raise
    except DistributedError as error:
        record_failure(job, store, str(error), traceback.format_exc())
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        return record_failure(job, store, reason, traceback.format_exc())


def record_failure(job: Job, store: Store, reason: str, details: str = "") -> Record:
    """A failed record, written if the disk allows it."""
    record = new_record(job, "failed", reason=reason, details=details)
    try:
        store.fail(job.cell, record)
    except OSError as error:
        record.reason = f"{reason} (and the record could not be written: {error})"
    return record


def join(job: Job) -> None:
    """Train along with the process that runs a cell."""
    from waldbench.bench.training.loop import train

    method, dataset, device = prepare(job)
    scratch = Store(Path(job.results)).scratch(job.cell)
    code = fingerprints.training_of(job.made_with)
    try:
        train(method, dataset, job.protocol, job.seed, device, scratch, lambda _event: None, job.execution, code)
    except (TrainingDivergedError, UsageError):  # the leader found out too, and records it
        return


def prepare(job: Job) -> tuple[Method, Dataset, torch.device]:
    """The network with the initial weights of the seed, what it trains on, and where."""
    import torch

    from waldbench import datasets, methods
    from waldbench.bench import environment, plugins
    from waldbench.bench.training import distributed

    environment.check_code(job.code)
    plugins.add(job.plugins)
    if job.threads:
        torch.set_num_threads(job.threads)
    device = environment.choose_device(str(distributed.device(job.device)))
    dataset = datasets.open(job.dataset, **job.dataset_options)
    torch.manual_seed(job.seed)
    method = methods.create(job.method, sensor=dataset.sensor, **job.arguments)
    if job.ablate == "guide":
        from waldbench.methods.ablation import without_guide

        method = without_guide(method)
    return method, dataset, device


def _run(job: Job, store: Store, report: Report) -> Record:
    from waldbench.bench import environment
    from waldbench.bench.cost import summary
    from waldbench.bench.run import evaluation

    method, dataset, device = prepare(job)
    job = _as_loaded(job, dataset)
    scratch = store.scratch(job.cell)
    scratch.mkdir(parents=True, exist_ok=True)
    record = new_record(job, "ok", environment=environment.describe(device))
    if not job.rescores:
        store.retire(job.cell, record)
        report({"phase": "cost"})
        record.cost = summary.measure(method, device)
    record.timings["train_s"] = None
    if job.rescores:
        _keep_training(job, method, store, record, device)
    elif job.card or job.weights:
        record.zoo = given_weights(job, method, dataset, report)
        record.recipe = record.zoo.get("recipe")
    elif job.trains:
        record.training, record.timings["train_s"] = _train(job, method, dataset, device, scratch, report)
    report({"phase": "evaluate"})
    started = time.monotonic()
    result = evaluation.evaluate(method, dataset, job.protocol, device)
    record.timings["evaluate_s"] = time.monotonic() - started
    record.counts = {**result.counts, "valid_share": result.valid_share}
    save_arrays(scratch / "images.npz", result.images)
    (scratch / "checkpoint.pt").unlink(missing_ok=True)
    store.commit(job.cell, record, result.scores)
    return record


def given_weights(job: Job, method: Method, dataset: Dataset, report: Report = lambda _event: None) -> dict[str, Any]:
    """Load the weights that the job names, if any; returns the card of the zoo's."""
    from waldbench.bench import zoo
    from waldbench.bench.weights import load_weights

    if job.card:
        return zoo.load(method, Path(job.card), dataset)
    if job.weights:
        for note in load_weights(method, Path(job.weights)):
            report({"notice": note})
    return {}


def _as_loaded(job: Job, dataset: Dataset) -> Job:
    """The job with the fingerprints of the plugins that this process has loaded, which may have been edited since the planning.

    Raises:
        UsageError: if the file of weights has changed.
    """
    if job.weights and fingerprints.sha256_of(Path(job.weights)) != job.made_with.get("weights"):
        raise UsageError(f"weights {job.weights} have changed since the run was planned; run the same command again")
    scoring = job.protocol.scoring[dataset.track]
    if not fingerprints.is_foreign(job.method, job.dataset, [*scoring.reduced, *scoring.full]):
        return job
    arguments = (job.method, job.arguments, job.ablate, job.dataset, job.protocol, dataset.track, job.trains)
    return replace(job, made_with=job.made_with | fingerprints.describe(*arguments))


def _keep_training(job: Job, method: Method, store: Store, record: Record, device: torch.device) -> None:
    """Take weights, curve and cost of the earlier result of the cell, whose images are scored again."""
    from waldbench.bench.training.step import lay_out
    from waldbench.bench.weights import load_weights

    earlier = store.read(job.cell)
    if earlier is None:
        raise FileNotFoundError(f"{job.cell}: the result to be scored again is gone; run the same command again")
    load_weights(method, store.weights(job.cell))
    lay_out(method, job.execution.memory_format(device, job.protocol.precision))
    shutil.copytree(store.folder(job.cell), store.scratch(job.cell), dirs_exist_ok=True)
    record.training, record.cost = earlier.training, earlier.cost
    record.timings["train_s"] = earlier.timings["train_s"]


def _train(
    job: Job, method: Method, dataset: Dataset, device: torch.device, scratch: Path, report: Report
) -> tuple[dict[str, Any], float]:
    from waldbench.bench.run.followers import together
    from waldbench.bench.training import distributed
    from waldbench.bench.training.loop import train
    from waldbench.bench.training.schedules import plan
    from waldbench.bench.weights import encode

    rules = job.protocol
    with together(job):
        code = fingerprints.training_of(job.made_with)
        progress = train(method, dataset, rules, job.seed, device, scratch, report, job.execution, code)
    content = encode(method.state_dict(), {"method": job.method, "protocol": rules.id})
    (scratch / "weights.safetensors").write_bytes(content)
    best = next(point for point in progress.curve if point["step"] == progress.best_step)
    training = {
        "steps": progress.step,
        "best_step": progress.best_step,
        "valid": {name: value for name, value in best.items() if name not in {"step", "loss"}},
        "curve": progress.curve,
        "recipe": asdict(plan(method, rules, len(dataset.split("train"))).recipe),
        "tuning": asdict(job.execution),
        "processes": distributed.size(),
    }
    return training, progress.seconds


def new_record(job: Job, status: str, **facts: Any) -> Record:
    """The record of a job before anything is measured."""
    from waldbench import methods

    card = asdict(methods.card(job.method))
    card["tasks"] = sorted(card["tasks"])
    if job.arguments:
        card["title"] += f" ({', '.join(f'{name} {value}' for name, value in job.arguments.items())})"
    if job.ablate:
        card["title"] += f" (no {job.ablate})"
    rules = job.protocol
    return Record(
        status=status,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        method=card,
        dataset={"name": job.dataset, "label": job.cell.dataset} | job.facts,
        protocol={"id": rules.id, "name": rules.name, "content": rules.to_dict()},
        seed=job.seed,
        recipe=rules.recipe if job.trains else None,
        weights="zoo" if job.card else job.weights or ("trained" if job.trains else None),
        code=job.made_with,
        **facts,
    )
