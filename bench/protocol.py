"""Protocol: everything that can change a number, nothing else. Its sha256 is the protocol id that stands in every row."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from waldbench.bench.errors import UsageError
from waldbench.imaging.tracks import TRACKS
from waldbench.methods.recipes import LOSSES, SCHEDULES

PRESETS = Path(__file__).parent / "protocols"
CHOICES = {
    "loss": tuple(LOSSES),
    "select": ("ergas", "sam"),
    "recipe": ("unified", "published"),
    "precision": ("32-true", "bf16-mixed"),
}


def schedules() -> tuple[str, ...]:
    """Schedules of the learning rate whose fields a protocol has."""
    known = {field.name for field in fields(Protocol)}
    return tuple(name for name, schedule in SCHEDULES.items() if known.issuperset(schedule.fields))


@dataclass(frozen=True)
class Scoring:
    """How the images of one track are scored.

    Attributes:
        border: guide pixels left out around reduced-resolution images, the toolbox's way.
        block: side of the blocks of Q2n, D_lambda, D_s in guide pixels.
        convention: named convention of the indices; an index that does not know it uses its default.
        reduced, full: keys of the indices with and without reference, in the order of the tables.
    """

    border: int
    block: int
    convention: str
    reduced: tuple[str, ...]
    full: tuple[str, ...]

    def keys(self, split: str) -> tuple[str, ...]:
        """Indices of a split, `reduced` or `full`."""
        return self.reduced if split == "reduced" else self.full


@dataclass(frozen=True)
class Protocol:
    """One way to train and to evaluate; equal for all methods of a table.

    Attributes:
        name: for the reader; not part of the id.
        train_images, valid_images, reduced_images, full_images: images used of each split, from the first; None: all.
        patch: side of a training patch in guide pixels, cut at random from the stored patches; where the ratio does not
            divide it, the largest multiple below.
        batch: patches per step.
        accumulate: equal parts in which the patches of one step are processed, to save memory; the gradients are averaged.
        steps, epochs: length of the training; exactly one of them is given.
        recipe: "unified" (the fields below for every network) or "published" (each network's own loss, optimiser and schedule).
        precision: "32-true", or "bf16-mixed" (bfloat16 where autocast allows it).
        loss: "l1" or "mse", on images divided by the sensor's scale.
        lr, betas, weight_decay: of Adam.
        schedule: "constant", "one-cycle" (linear warm-up over `warmup` of the steps, then cosine to zero) or "milestones"
            (times `gamma` at each epoch in `milestones`).
        flips, rotations: random mirror images, random quarter turns of the patches.
        patience: stop after that many validations without an improvement; None: never.
        validate_every: steps between validations; None: once an epoch.
        select: index whose mean over the validation split picks the checkpoint; see `selector`.
        holdout: share of a user's scene that is kept for testing (its right-hand side); see the scene reader.
        scoring: how images are scored, by track; see `imaging.tracks`.
    """

    name: str
    train_images: int | None
    valid_images: int | None
    reduced_images: int | None
    full_images: int | None
    patch: int
    batch: int
    steps: int | None
    epochs: int | None
    accumulate: int
    recipe: str
    precision: str
    loss: str
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    schedule: str
    warmup: float
    milestones: tuple[int, ...]
    gamma: float
    flips: bool
    rotations: bool
    validate_every: int | None
    patience: int | None
    select: str
    holdout: float
    scoring: dict[str, Scoring]

    @property
    def id(self) -> str:
        """Name and the first eight hex digits of the sha256 over every field but the name."""
        content = {key: value for key, value in asdict(self).items() if key != "name"}
        return f"{self.name}-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]}"

    def on(self, track: str) -> Protocol:
        """The same protocol with the scoring of one track only: what other tracks print cannot change its numbers, nor its id.

        Raises:
            UsageError: if the protocol does not say how that track is scored.
        """
        if track not in self.scoring:
            raise UsageError(f"protocol '{self.name}' has no scoring for {track}; it knows {', '.join(self.scoring)}")
        return replace(self, scoring={track: self.scoring[track]})

    def selector(self, track: str) -> str:
        """Index that picks the checkpoint on a track: `select` where the track prints it, else the first that the track prints.

        Cloud removal does not print ERGAS, which divides by the means of bands that see next to nothing (B10 of Sentinel-2).
        """
        printed = self.scoring[track].reduced
        return self.select if self.select in printed or not printed else printed[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for YAML and JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def total_steps(self, images: int) -> int:
        """Training steps for a split of `images` patches; a last partial batch is dropped."""
        if self.steps is not None:
            return self.steps
        return int(self.epochs or 0) * self.steps_per_epoch(images)

    def steps_per_epoch(self, images: int) -> int:
        """Full batches in one pass over the training split (at least one)."""
        return max(images // self.batch, 1)


def presets() -> list[str]:
    """Names of the protocols that ship with waldbench."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load(name: str) -> Protocol:
    """Read a preset by name, or a YAML file by path.

    Raises:
        UsageError: for an unknown preset, an unreadable file, or a field that is unknown, missing or out of range.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PRESETS / f"{name}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(name, presets(), n=1) or presets()
        raise UsageError(f"unknown protocol '{name}'; expected {', '.join(presets())} or a YAML file (nearest: {near[0]})")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected fields of a protocol, got {type(content).__name__}; copy {PRESETS / 'quick.yaml'}")
    return from_dict(content, path.stem)


def from_dict(content: dict[str, Any], name: str) -> Protocol:
    """Build and check a protocol; see `load`."""
    given = {"name": name} | content
    known = [field.name for field in fields(Protocol)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise UsageError(f"protocol '{name}': unknown field '{key}'" + (f"; nearest: {near[0]}" if near else ""))
    missing = [key for key in known if key not in given]
    if missing:
        raise UsageError(f"protocol '{name}': missing field(s) {', '.join(missing)}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    values["scoring"] = _scoring(given["scoring"], name)
    protocol = Protocol(**values)
    _check(protocol)
    return protocol


def _scoring(content: Any, name: str) -> dict[str, Scoring]:
    if not isinstance(content, dict) or not content or set(content) - set(TRACKS):
        raise UsageError(f"protocol '{name}': scoring must map tracks ({', '.join(TRACKS)}) to their rules, got {content!r}")
    known = {field.name for field in fields(Scoring)}
    for track, rules in content.items():
        if not isinstance(rules, dict) or set(rules) != known:
            raise UsageError(
                f"protocol '{name}': scoring of {track} must have the fields {', '.join(sorted(known))}, got {rules!r}"
            )
        if (
            not isinstance(rules["border"], int)
            or not isinstance(rules["block"], int)
            or rules["border"] < 0
            or rules["block"] < 1
        ):
            raise UsageError(f"protocol '{name}': scoring of {track}: border must be 0 or more and block at least 1")
    return {track: Scoring(**rules | {key: tuple(rules[key]) for key in ("reduced", "full")}) for track, rules in content.items()}


def _check(p: Protocol) -> None:
    for field, choices in (CHOICES | {"schedule": schedules()}).items():
        if getattr(p, field) not in choices:
            raise UsageError(f"protocol '{p.name}': {field} is '{getattr(p, field)}'; expected one of {', '.join(choices)}")
    if (p.steps is None) == (p.epochs is None):
        raise UsageError(f"protocol '{p.name}': give exactly one of steps and epochs (the other null)")
    positive = {key: getattr(p, key) for key in ("patch", "batch", "accumulate", "lr")} | {"length": p.steps or p.epochs or 0}
    for field, value in positive.items():
        if not isinstance(value, int | float) or value <= 0:
            raise UsageError(f"protocol '{p.name}': {field} must be a positive number, got {value!r}")
    if p.batch % p.accumulate:
        raise UsageError(f"protocol '{p.name}': batch {p.batch} must be a multiple of accumulate {p.accumulate}")
    if not 0 <= p.holdout <= 0.8 or not 0 <= p.warmup < 1:
        raise UsageError(f"protocol '{p.name}': holdout must lie in 0..0.8 and warmup in 0..1, got {p.holdout}, {p.warmup}")
