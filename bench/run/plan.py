"""The plan of an experiment: for each cell whether it runs, is done before or is skipped, and why."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from waldbench import datasets, methods
from waldbench.bench import environment, zoo
from waldbench.bench.protocol import Protocol
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell, Store
from waldbench.bench.run import dry, fingerprints, names
from waldbench.bench.run.cell import new_record
from waldbench.bench.run.job import Job
from waldbench.bench.run.settings import Settings
from waldbench.catalogue import UnknownNameError
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
    failed: list[tuple[Cell, Record]] = field(default_factory=list)
    # Failures of a time when a dataset could not be opened; they tell nothing about the methods.
    outdated: list[Cell] = field(default_factory=list)
    # Finished before with other code: what has changed, for each cell that runs again or is kept all the same.
    changed: list[tuple[Cell, str]] = field(default_factory=list)
    stale: list[tuple[Cell, str]] = field(default_factory=list)
    # Finished before by code that the record does not name.
    unknown: list[Cell] = field(default_factory=list)
    # What earlier results say that have to be put back, as their code is today's again.
    restored: list[tuple[Cell, Path, Record]] = field(default_factory=list)
    opened: dict[str, Dataset] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[Record]:
        """Records of what cannot be run."""
        return [record for _, record in self.failed]

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
            for key in settings.methods:
                result.failed += _broken(settings, key, name, options, str(error))
            continue
        except UnknownNameError:
            raise
        except Exception as error:  # of a plugin
            reason = f"dataset '{name}': {type(error).__name__}: {error}".split("\n")[0]
            for key in settings.methods:
                result.failed += _broken(settings, key, name, options, reason, details=traceback.format_exc())
            continue
        result.outdated += _failures_unopened(settings, name, store)
        dry.check_indices(settings.protocol.on(dataset.track), dataset.track)
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
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        result.failed += _broken(settings, key, name, options, reason, dataset, traceback.format_exc())
        return
    if reason is None and trainable:
        reason = _without_weights(settings, key, dataset, card, getattr(method, "recipe", None))
    for cell in _cells(settings, key, dataset, trainable):
        if reason is not None:
            result.skipped.append((cell, reason))
        else:
            _plan_cell(result, settings, store, _job(settings, cell, name, options, dataset, trainable, card))


def _plan_cell(result: Plan, settings: Settings, store: Store, job: Job) -> None:
    """Run the cell, unless today's code has finished it before."""
    cell, record = job.cell, store.read(job.cell)
    if settings.force or record is None or not fingerprints.same_data(record, job):
        result.jobs.append(job)
        return
    if not record.made_with_known:
        result.unknown.append(cell)
        result.done.append(cell)
        return
    change = fingerprints.change(record.code, job.made_with)
    lost = job.trains and not store.weights(cell).is_file()
    if change is None and not lost:
        result.done.append(cell)
        return
    back = None if lost else next((item for item in store.history(cell) if fingerprints.is_today(item[1], job)), None)
    if change is None:
        result.changed.append((cell, "its weights are missing"))
        result.jobs.append(job)
    elif back is not None:
        result.restored.append((cell, *back))
        result.done.append(cell)
    elif settings.keep_stale:
        result.stale.append((cell, f"{change.text} changed since"))
        result.done.append(cell)
    else:
        result.changed.append((cell, f"{change.text} changed since"))
        result.jobs.append(replace(job, rescores=job.trains and change.scores_only and not lost))


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
        return [Cell(rules, label, f"{key}@{names.of_weights(Path(settings.weights))}", 0)]
    keys = [key, key + NO_GUIDE] if "guide" in settings.ablate else [key]
    return [Cell(rules, label, name, seed) for name in keys for seed in settings.seeds]


def _broken(
    settings: Settings,
    key: str,
    name: str,
    options: dict[str, Any],
    reason: str,
    dataset: Dataset | None = None,
    details: str = "",
) -> list[tuple[Cell, Record]]:
    """Failed records of a method under every seed that was asked; whether it trains is not known."""
    records = []
    for seed in settings.seeds:
        cell = Cell(_rules(settings, dataset).id, dataset.label if dataset else _label(name), key, seed)
        job = _job(settings, cell, name, options, dataset, False)
        records.append((cell, new_record(job, "failed", reason=reason, details=details)))
    return records


def _label(name: str) -> str:
    """Folder of the failed cells of a dataset that could not be opened."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(name).stem if ":" in name else name).lstrip(".-") or "scene"


def _failures_unopened(settings: Settings, name: str, store: Store) -> Iterator[Cell]:
    for key in settings.methods:
        for path in (store.root / settings.protocol.id / _label(name) / key).glob("seed-*"):
            seed = path.name.removeprefix("seed-")
            if seed.isdecimal():
                yield Cell(settings.protocol.id, _label(name), key, int(seed))


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
    ablate = "guide" if cell.method.endswith(NO_GUIDE) else None
    trains, rules = trainable and not settings.weights and not card, _rules(settings, dataset)
    made_with: dict[str, Any] = {}
    if dataset is not None:
        made_with = fingerprints.describe(method, arguments, ablate, name, rules, dataset.track, trains)
        if trainable and settings.weights:
            made_with["weights"] = fingerprints.sha256_of(Path(settings.weights))
    return Job(
        cell=cell,
        results=str(settings.results),
        protocol=rules,
        dataset=name,
        dataset_options=options,
        facts=facts(name, dataset),
        method=method,
        arguments=arguments,
        ablate=ablate,
        seed=cell.seed,
        trains=trains,
        weights=settings.weights if trainable else None,
        card=str(card) if card else None,
        device=settings.device,
        execution=settings.execution,
        threads=settings.threads,
        plugins=settings.plugins,
        code=environment.code(),
        made_with=made_with,
        force=settings.force,
    )
