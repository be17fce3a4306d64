"""Protocol: everything that can change a number, nothing else. Its sha256 is the protocol id that stands in every row."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from waldbench.bench.errors import UsageError
from waldbench.bench.plain_yaml import PlainYamlError, read
from waldbench.bench.protocol import layers
from waldbench.bench.protocol.values import SCORING, check, kinds, short
from waldbench.imaging.tracks import TRACKS
from waldbench.methods.recipes import SCHEDULES

PRESETS = Path(__file__).parents[1] / "protocols"
# Files that extend one another.
LONGEST_CHAIN = 8


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

    A field that is added later has a default, with which a protocol that does not name it trains and evaluates as before and
    keeps its id.

    Attributes:
        name: for the reader, and the beginning of a folder's name; not part of the hash.
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
        """Name and the first eight hex digits of the sha256 over every field but the name and defaults of later fields."""
        content = {key: value for key, value in _essential(self).items() if key != "name"}
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


def _essential(value: Any) -> Any:
    """A protocol as plain data without the fields that have their default."""
    if is_dataclass(value) and not isinstance(value, type):
        given = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: _essential(own) for field, own in given if field.default is MISSING or own != field.default}
    if isinstance(value, Mapping):
        return {key: _essential(own) for key, own in value.items()}
    return value


def presets() -> list[str]:
    """Names of the protocols that ship with waldbench."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load(name: str | Mapping[str, Any]) -> Protocol:
    """Read a preset by name, a YAML file by path, or take the fields themselves.

    Raises:
        UsageError: for an unknown preset, an unreadable file, or a field that is unknown, missing, of a wrong type or out of
            range.
    """
    if not isinstance(name, str):
        return from_dict(dict(name), "own")
    path = _find(name, Path())
    return from_dict(_read(path), re.sub(r"[^A-Za-z0-9_.+=-]+", "-", path.stem).strip("-.") or "own", path.parent)


def _find(name: str, folder: Path) -> Path:
    """File of a protocol: a preset by name, or a path as seen from a folder."""
    if not name.endswith((".yaml", ".yml")):
        if name in presets():
            return PRESETS / f"{name}.yaml"
    elif (folder / name).exists():
        return folder / name
    near = difflib.get_close_matches(name, presets(), n=1) or presets()
    raise UsageError(f"unknown protocol '{name}'; expected {', '.join(presets())} or a YAML file (nearest: {near[0]})")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read(path)
    except PlainYamlError as error:
        raise UsageError(str(error)) from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected fields of a protocol, got {type(content).__name__}; copy {PRESETS / 'quick.yaml'}")
    return content


def from_dict(content: Mapping[str, Any], name: str, folder: Path = Path(), chain: int = 0) -> Protocol:
    """Build and check a protocol; see `load`.

    Args:
        content: every field, or `extends` (a preset, or a file as seen from `folder`) and the fields that differ.
        name: where the content has none.
        folder: of the file that the content was read from.
        chain: how many protocols extend one another so far.
    """
    given = dict(content)
    known = [field.name for field in fields(Protocol)]
    for key in given:
        if key not in (*known, "extends"):
            near = difflib.get_close_matches(str(key), known, n=1)
            raise UsageError(f"protocol '{name}': unknown field '{key}'" + (f"; nearest: {near[0]}" if near else ""))
    if "extends" in given:
        given = _extended(given, name, folder, chain)
    given = {"name": name} | given
    missing = [field.name for field in fields(Protocol) if field.name not in given and field.default is MISSING]
    if missing:
        raise UsageError(f"protocol '{name}': missing field(s) {', '.join(missing)}; name them, or begin with extends: quick")
    values = check(given, kinds(schedules()), f"protocol '{name}'")
    values["scoring"] = _scoring(given["scoring"], name)
    protocol = Protocol(**values)
    _agree(protocol)
    return protocol


def _extended(given: dict[str, Any], name: str, folder: Path, chain: int) -> dict[str, Any]:
    """All fields of a protocol that says only what differs from another one."""
    parent = given.pop("extends")
    if not isinstance(parent, str):
        raise UsageError(f"protocol '{name}': extends: expected the name of a protocol or a file, got {short(parent)}")
    if chain >= LONGEST_CHAIN:
        raise UsageError(f"protocol '{name}': more than {LONGEST_CHAIN} protocols extend one another; is there a circle?")
    path = _find(parent, folder)
    base = from_dict(_read(path), "base", path.parent, chain + 1).to_dict()
    return layers.merge({field: value for field, value in base.items() if field != "name"}, given)


def change(protocol: Protocol, words: Iterable[str] = (), fields_: Mapping[str, Any] | None = None) -> Protocol:
    """A protocol with some fields changed, by words as in `lr=1e-3` or as fields; its name tells which.

    Raises:
        UsageError: for an unknown field or a wrong value.
    """
    before = protocol.to_dict()
    content: dict[str, Any] = layers.merge(before, fields_ or {})
    for word in words:
        content = layers.merge(content, layers.change(*layers.assignment(word, content)))
    changed = from_dict(content, protocol.name)
    found = layers.differing(before, changed.to_dict())
    # Who sets the number of steps knows that epochs no longer count.
    shown = {name: pair[1] for name, pair in found.items() if not (name in layers.LENGTHS and pair[1] is None)}
    marks = [f"{name.removeprefix('scoring.')}{layers.told(value)}" for name, value in shown.items()]
    suffix = re.sub(r"[^A-Za-z0-9_.+=-]+", "_", "-".join(["", *marks]))
    return replace(changed, name=(protocol.name + suffix)[:100])


def sweep(protocol: Protocol, words: Iterable[str]) -> list[Protocol]:
    """The protocols of every combination of `name=a,b,c`; the protocol itself for no word."""
    found = [change(protocol, fields_=part) for part in layers.sweeps(words, protocol.to_dict())]
    return list({rules.id: rules for rules in found}.values())


def _scoring(content: Any, name: str) -> dict[str, Scoring]:
    if not isinstance(content, dict) or not content or set(content) - set(TRACKS):
        raise UsageError(f"protocol '{name}': scoring must map tracks ({', '.join(TRACKS)}) to their rules, got {short(content)}")
    known = {field.name for field in fields(Scoring)}
    for track, rules in content.items():
        if not isinstance(rules, dict) or set(rules) != known:
            raise UsageError(
                f"protocol '{name}': scoring of {track} must have the fields {', '.join(sorted(known))}, got {short(rules)}"
            )
    return {track: Scoring(**check(rules, SCORING, f"protocol '{name}': scoring of {track}")) for track, rules in content.items()}


def _agree(p: Protocol) -> None:
    """Fields that fit one by one must also fit together."""
    if (p.steps is None) == (p.epochs is None):
        raise UsageError(f"protocol '{p.name}': give exactly one of steps and epochs (the other null)")
    if p.batch % p.accumulate:
        raise UsageError(f"protocol '{p.name}': batch {p.batch} must be a multiple of accumulate {p.accumulate}")
