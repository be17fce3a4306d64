"""Which code a cell is made with, and what of it has changed since a result was written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waldbench import datasets, methods, metrics
from waldbench.bench import zoo
from waldbench.catalogue import Entry, is_own, sources

if TYPE_CHECKING:
    from waldbench.bench.protocol import Protocol
    from waldbench.bench.results.record import Record
    from waldbench.bench.run.job import Job

# The training: what it imports from these parts counts.
ENGINE = ("bench.training.loop",)
ENGINE_PARTS = ("bench.training", "imaging", "methods", "metrics", "datasets")
# How images are fused and scored, beside the indices themselves.
EVALUATOR = ("bench.run.evaluation",)
Facts = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """What differs between two pieces of code; `scores_only`: trained weights are not touched by it."""

    text: str
    scores_only: bool


def describe(
    method: str, arguments: dict[str, Any], ablate: str | None, dataset: str, rules: Protocol, track: str, trains: bool
) -> Facts:
    """The part `code` of a record.

    Args:
        method: key.
        arguments: of its constructor.
        ablate: "guide" or None.
        dataset: name that the user gave.
        rules: protocol, with the scoring of the track.
        track: how the images are scored.
        trains: whether the training counts too.
    """
    entry = methods.catalogue[method]
    files = sources.of_entry(entry)
    options = json.dumps([sorted(arguments.items()), ablate], default=str)
    found: Facts = {
        "method": sources.combine(files, options),
        "files": files,
        "evaluator": _of_project(EVALUATOR, ()),
    }
    scoring = rules.scoring[track]
    found["indices"] = {key: of_index(key) for key in (*scoring.reduced, *scoring.full)}
    if trains:
        # The index that picks the checkpoint decides which weights are kept.
        found["engine"] = sources.combine({}, _of_project(ENGINE, ENGINE_PARTS), of_index(rules.selector(track)))
    source = _dataset_entry(dataset)
    if source is not None and not is_own(source.path):
        found["dataset"] = sources.combine(sources.of_entry(source))
    return found


def is_foreign(method: str, dataset: str, indices: list[str]) -> bool:
    """Whether any of them comes from a plugin, whose files may have changed since the run was planned."""
    entries = [methods.catalogue[method], _dataset_entry(dataset), *(metrics.catalogue[key] for key in indices)]
    return any(entry is not None and not is_own(entry.path) for entry in entries)


def of_index(key: str) -> str:
    """Fingerprint of an index and of everything that it computes with."""
    entry = metrics.catalogue[key]
    return _of_own_index(key) if is_own(entry.path) else _of_index(entry)


@lru_cache(maxsize=256)
def _of_own_index(key: str) -> str:
    return _of_index(metrics.catalogue[key])


def _of_index(entry: Entry) -> str:
    return sources.combine(sources.of_entry(entry) | sources.of_modules(("metrics.base",)))


@lru_cache(maxsize=8)
def _of_project(modules: tuple[str, ...], followed: tuple[str, ...]) -> str:
    """Fingerprint of the project's own modules, which do not change while it runs: a worker refuses other ones."""
    return sources.combine(sources.of_modules(modules, followed))


def change(old: Facts, new: Facts) -> Change | None:
    """What has changed between the code of a record and that of today; None where both give the same numbers.

    Parts that the record does not have, because it was not trained or is of unknown code, are not compared.
    """
    texts, deep = [], False
    if old["method"] != new["method"]:
        texts.append(_files(old["files"], new["files"]))
        deep = True
    for part, text in (("dataset", "the dataset's code"), ("engine", "the training"), ("weights", "the weights")):
        if old.get(part) and new.get(part) and old[part] != new[part]:
            texts.append(text)
            deep = True
    indices = sorted(key for key, value in new["indices"].items() if old["indices"].get(key, value) != value)
    if indices:
        texts.append(f"{'index' if len(indices) == 1 else 'indices'} {', '.join(indices)}")
    elif old["evaluator"] != new["evaluator"]:
        texts.append("the evaluation")
    return Change(" and ".join(dict.fromkeys(texts)), not deep) if texts else None


def training_of(made_with: Facts) -> str:
    """What must be the same for a checkpoint to be resumed: everything but the scoring."""
    return sources.combine({part: str(made_with.get(part)) for part in ("method", "dataset", "engine")})


def same_data(record: Record, job: Job) -> bool:
    """Whether a record is finished and of the job's data and zoo card."""
    if not record.ok or record.dataset["fingerprint"] != job.facts["fingerprint"]:
        return False
    return job.card is None or record.zoo.get("sha256") == zoo.read(Path(job.card))["sha256"]


def is_today(record: Record | None, job: Job) -> bool:
    """Whether a record is finished and of the job's data and code."""
    if record is None or not record.made_with_known or not same_data(record, job):
        return False
    return change(record.code, job.made_with) is None


def sha256_of(path: Path) -> str:
    """Content of a file of weights, as hex digits; of a file that did not change it is read once."""
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _sha256(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _dataset_entry(name: str) -> Entry | None:
    key = name.partition(":")[0]
    return datasets.catalogue.entries.get(key)


def _files(old: dict[str, str], new: dict[str, str]) -> str:
    changed = [name for name, digest in new.items() if old.get(name) != digest]
    changed += [name for name in old if name not in new]
    if not changed:
        return "its options"
    shown = [Path(name).name for name in changed[:3]]
    return ", ".join(shown) + (f" and {len(changed) - 3} more files" if len(changed) > 3 else "")
