"""The record of a cell: what `record.json` holds, checked when it is read, so that its readers need not check again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SCHEMA = 1
STATES = ("ok", "failed")
Facts = dict[str, Any]


class RecordError(ValueError):
    """A record that does not have the documented form; the message names the field, what was expected and what came."""


@dataclass(frozen=True)
class Kind:
    """A kind of value in a record: how it is called, how it is told, and what stands for a missing one."""

    name: str
    fits: Callable[[Any], bool]
    default: Any = None

    def check(self, value: Any, place: str) -> Any:
        """The value, or RecordError."""
        if value is None or self.fits(value):
            return self.default if value is None else value
        raise RecordError(f"{place}: expected {self.name}, got {_short(value)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


TEXT = Kind("text", lambda value: isinstance(value, str), "")
NUMBER = Kind("a number", _is_number)
COUNT = Kind("a whole number from 0 on", _is_count)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TEXTS = Kind(
    "a list of texts", lambda value: isinstance(value, list | tuple) and all(isinstance(item, str) for item in value), ()
)
FACTS = Kind("a mapping", lambda value: isinstance(value, dict), {})
CURVE = Kind("a list of mappings", lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value), ())

# Fields of each part that readers use; others are kept as they are.
PARTS: dict[str, dict[str, Kind]] = {
    "method": dict.fromkeys(("key", "title", "family", "paper", "doi", "licence", "summary", "faithful"), TEXT)
    | {"tasks": TEXTS, "inferred": TEXTS, "year": COUNT},
    "dataset": dict.fromkeys(("key", "name", "label", "task", "track", "sensor", "source", "fingerprint"), TEXT)
    | {"notices": TEXTS},
    "protocol": {"id": TEXT, "name": TEXT, "content": FACTS},
    "environment": dict.fromkeys(("python", "torch", "platform", "processor", "device", "commit"), TEXT)
    | {"threads": COUNT, "dirty": FLAG},
    "cost": dict.fromkeys(("cpu_ms_256", "cpu_iqr_ms_256", "cuda_ms_256", "cuda_iqr_ms_256", "peak_mib_512"), NUMBER)
    | dict.fromkeys(("parameters", "parameters_fixed", "macs_64", "macs_256", "flops_256", "cpu_threads"), COUNT)
    | dict.fromkeys(("cpu_spread", "calibration_ms", "load"), NUMBER)
    | {"cuda_device": TEXT, "quiet": FLAG},
    "timings": {"train_s": NUMBER, "evaluate_s": NUMBER},
    "training": {"curve": CURVE, "steps": COUNT, "best_step": COUNT},
    "counts": {"reduced": COUNT, "full": COUNT, "valid_share": NUMBER},
    "code": dict.fromkeys(("method", "dataset", "engine", "evaluator", "weights", "stale"), TEXT)
    | {"indices": FACTS, "files": FACTS},
    "zoo": {},
}


@dataclass
class Record:
    """One cell: what it was, what it was made with, and how it ended.

    Attributes:
        status: "ok" or "failed"; reason, details: why it failed, in one line and as a traceback.
        method: the method's card.
        dataset: key, task, track, sensor, source, fingerprint and notices of the data, the name that was asked for and the label.
        protocol: id, name and content.
        seed: of the training.
        date: ISO 8601, UTC.
        recipe: "unified" or "published" where the method was trained, else None.
        weights: "trained", "zoo", a file, or None for a method without weights.
        environment: versions, processor, device, threads, commit.
        cost: parameters, operations, latency, memory; see `bench.cost.summary.measure`.
        timings: seconds of training and evaluation.
        training: steps, curve and recipe of a training.
        counts: images scored, by split.
        zoo: card of the zoo's weights, where such were used.
        code: fingerprints of the code it was made with (method, dataset of plugins, engine, evaluator, indices, files) and sha256
            of given weights; `stale` says what has changed since, where the user keeps it all the same. Empty: unknown code.
    """

    status: str
    method: Facts
    dataset: Facts
    protocol: Facts
    seed: int
    reason: str = ""
    details: str = ""
    date: str = ""
    recipe: str | None = None
    weights: str | None = None
    environment: Facts = field(default_factory=dict)
    cost: Facts = field(default_factory=dict)
    timings: Facts = field(default_factory=dict)
    training: Facts = field(default_factory=dict)
    counts: Facts = field(default_factory=dict)
    zoo: Facts = field(default_factory=dict)
    code: Facts = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in STATES:
            raise RecordError(f"status: expected {' or '.join(STATES)}, got {_short(self.status)}")
        if not _is_count(self.seed):
            raise RecordError(f"seed: expected a whole number from 0 on, got {_short(self.seed)}")
        for name in ("reason", "details", "date", "recipe", "weights"):
            TEXT.check(getattr(self, name), name)
        for name, kinds in PARTS.items():
            part = FACTS.check(getattr(self, name), name)
            for key, kind in kinds.items():
                kind.check(part.get(key), f"{name}.{key}")

    @property
    def ok(self) -> bool:
        """Whether the cell was finished."""
        return self.status == "ok"

    @property
    def made_with_known(self) -> bool:
        """Whether the record names the code that made it."""
        return bool(self.code.get("method"))

    @property
    def made_with(self) -> str:
        """Short name of the code that made it; "unknown" where the record does not say."""
        if not self.made_with_known:
            return "unknown"
        told = {name: value for name, value in self.code.items() if value and name not in {"stale", "files"}}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def scoring(self) -> Facts:
        """The rules by which the images were scored; empty where the record does not hold them."""
        rules = FACTS.check(self.protocol["content"].get("scoring"), "protocol.content.scoring")
        track = self.dataset["track"] or self.dataset["task"]
        return dict(FACTS.check(rules.get(track), f"protocol.content.scoring.{track}"))

    def to_json(self) -> dict[str, Any]:
        """Plain content of `record.json`."""
        content = {"schema": SCHEMA} | asdict(self)
        return {name: value for name, value in content.items() if name not in {"zoo", "details", "code"} or value}

    @classmethod
    def from_json(cls, content: Any) -> Record:
        """Read and check the content of `record.json`; fields that readers use and that are missing get their defaults.

        Raises:
            RecordError: naming the field that is missing or of a wrong kind.
        """
        if not isinstance(content, dict):
            raise RecordError(f"expected a mapping, got {_short(content)}")
        if content.get("schema") != SCHEMA:
            raise RecordError(f"schema: expected {SCHEMA}, got {_short(content.get('schema'))}")
        names = {item.name for item in fields(cls)}
        missing = [name for name in ("status", "method", "dataset", "protocol", "seed") if name not in content]
        if missing:
            raise RecordError(f"{missing[0]} is missing")
        record = cls(**{name: value for name, value in content.items() if name in names and value is not None})
        for name, kinds in PARTS.items():
            part = getattr(record, name)
            setattr(record, name, part | {key: kind.check(part.get(key), key) for key, kind in kinds.items()})
        return record


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
