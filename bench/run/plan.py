"""The plan of an experiment: for each cell whether it runs, is done before or is skipped, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waldbench import datasets, methods
from waldbench.bench import environment, zoo
from waldbench.bench.protocol import Protocol
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell, Store
from waldbench.bench.run import names
from waldbench.bench.run.cell import record_failure
from waldbench.bench.run.job import Job
from waldbench.bench.run.settings import Settings
from waldbench.datasets.base import Dataset, DatasetError, DatasetNotFoundError, facts
from waldbench.imaging import tracks

# What stands behind the key of a method that was trained without its guide.
NO_GUIDE = "~no-guide"


@dataclass
class Plan:
    """What will run and what will not, and why."""

    jobs: list[Job] = field(default_factory=list)
    done: list[Cell] = field(default_factory=list)
    skipped: list[tuple[Cell, str]] = field(default_factory=list)
    broken: list[Record] = field(default_factory=list)
    opened: dict[str, Dataset] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        """Every cell that the user asked for and that can run."""
        return [job.cell for job in self.jobs] + self.done


def dataset_options(settings: Settings, name: str) -> dict[str, Any]:
    """Arguments of `datasets.open` that follow from the settings."""
    if name.startswith("scene:"):
        options: dict[str, Any] = {"holdout": settings.protocol.holdout, "patch": settings.protocol.patch}
        asked = {"sensor": settings.sensor, "ratio": settings.ratio, "response": settings.response, "task": settings.task}
        return options | {name: value for name, value in asked.items() if value}
    found = tracks.of_task(datasets.card(name)["task"])
    track = {"track": settings.track or found[0].key} if len(found) > 1 else {}
    return {"root": settings.data_root, "source": settings.source} | track


def plan(settings: Settings, store: Store) -> Plan:
    """Open the datasets and decide for each cell whether it runs, is done or is skipped.

    Raises:
        UnknownNameError, DatasetError, UsageError: for names, files or options that do not fit.
    """
    result = Plan()
    for name in settings.datasets:
        options = dataset_options(settings, name)
        try:
            dataset = datasets.open(name, **options)
        except DatasetNotFoundError:
            raise
        except DatasetError as error:
            result.broken += [_broken(settings, key, name, options, str(error), store) for key in settings.methods]
            continue
        result.opened[name] = dataset
        result.notices += [f"{dataset.label}: {notice}" for notice in dataset.notices]
        for key in settings.methods:
            _plan_method(result, settings, store, key, name, options, dataset)
    return result


def _plan_method(
    result: Plan, settings: Settings, store: Store, key: str, name: str, options: dict[str, Any], dataset: Dataset
) -> None:
    base, arguments = names.parse(key)
    try:
        reason = methods.supports(base, dataset.sensor, dataset.task)
        method = methods.create(base, sensor=dataset.sensor, **arguments) if reason is None else None
        trainable = method is not None and method.trainable
        card = zoo.find(settings.zoo, base, dataset) if settings.zoo and trainable and not arguments else None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        result.broken.append(_broken(settings, key, name, options, reason, store, dataset))
        return
    if reason is None and trainable:
        reason = _without_weights(settings, key, dataset, card, getattr(method, "recipe", None))
    for cell in _cells(settings, key, dataset, trainable):
        if reason is not None:
            result.skipped.append((cell, reason))
        elif not settings.force and _finished(store.read(cell), dataset, card):
            result.done.append(cell)
        else:
            result.jobs.append(_job(settings, cell, name, options, dataset, trainable, card))


def _without_weights(settings: Settings, key: str, dataset: Dataset, card: Path | None, recipe: Any) -> str | None:
    """Why a trainable method cannot get its weights; None if it can."""
    if settings.zoo and card is None:
        return f"no weights for {key} and {dataset.sensor.title} in {settings.zoo}; train it without --weights"
    if settings.weights or settings.zoo:
        return None
    if not len(dataset.split("train")):
        return "needs training, and this dataset has nothing to train on"
    if settings.protocol.recipe == "published" and recipe is None:
        return "no recipe was published for it; use a protocol with recipe: unified"
    return None


def _cells(settings: Settings, key: str, dataset: Dataset, trainable: bool) -> list[Cell]:
    """Cells of one method: one a seed where it trains, one in all where the seed changes nothing."""
    rules, label = settings.protocol.on(dataset.track).id, dataset.label
    if not trainable:
        return [Cell(rules, label, key, 0)]
    if settings.zoo:
        return [Cell(rules, label, f"{key}@zoo", 0)]
    if settings.weights:
        return [Cell(rules, label, f"{key}@{Path(settings.weights).stem}", 0)]
    names = [key, key + NO_GUIDE] if "guide" in settings.ablate else [key]
    return [Cell(rules, label, name, seed) for name in names for seed in settings.seeds]


def _broken(
    settings: Settings, key: str, name: str, options: dict[str, Any], reason: str, store: Store, dataset: Dataset | None = None
) -> Record:
    label = dataset.label if dataset else re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(name).stem if ":" in name else name)
    cell = Cell(_rules(settings, dataset).id, label, key, 0)
    return record_failure(_job(settings, cell, name, options, dataset, False), store, reason)


def _rules(settings: Settings, dataset: Dataset | None) -> Protocol:
    return settings.protocol.on(dataset.track) if dataset else settings.protocol


def _job(
    settings: Settings,
    cell: Cell,
    name: str,
    options: dict[str, Any],
    dataset: Dataset | None,
    trainable: bool,
    card: Path | None = None,
) -> Job:
    method, arguments = names.parse(cell.method.partition("@")[0].removesuffix(NO_GUIDE))
    return Job(
        cell=cell,
        results=str(settings.results),
        protocol=_rules(settings, dataset),
        dataset=name,
        dataset_options=options,
        facts=facts(name, dataset),
        method=method,
        arguments=arguments,
        ablate="guide" if cell.method.endswith(NO_GUIDE) else None,
        seed=cell.seed,
        trains=trainable and not settings.weights and not card,
        weights=settings.weights if trainable else None,
        card=str(card) if card else None,
        device=settings.device,
        execution=settings.execution,
        threads=settings.threads,
        plugins=settings.plugins,
        code=environment.code(),
    )


def _finished(record: Record | None, dataset: Dataset, card: Path | None) -> bool:
    if record is None or not record.ok or record.dataset["fingerprint"] != dataset.fingerprint:
        return False
    return card is None or record.zoo.get("sha256") == zoo.read(card)["sha256"]
