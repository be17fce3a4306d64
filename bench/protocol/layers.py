"""Protocols that say only what differs from another one: `extends`, `--set` and `--sweep`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from waldbench.bench.errors import UsageError
from waldbench.bench.plain_yaml import PlainYamlError, parse

# Exactly one of the two is given; whoever changes one need not null the other.
LENGTHS = ("steps", "epochs")
# What may stand before the name of a field that is not about scoring.
PREFIX = "training."
# Fields that decide which images are tested and how; all others are about training.
TESTING = ("reduced_images", "full_images", "holdout", "scoring")


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a protocol with others in their place; `scoring` is merged track by track and field by field."""
    result = dict(base) | {name: value for name, value in changes.items() if name != "scoring"}
    given = [name for name in LENGTHS if changes.get(name) is not None]
    if len(given) == 1:
        result |= {name: None for name in LENGTHS if name not in changes}
    scoring = changes.get("scoring", {})
    if not isinstance(scoring, Mapping):
        return result | {"scoring": scoring}
    tracks = dict(base.get("scoring", {}))
    for track, rules in scoring.items():
        old = tracks.get(track, {})
        tracks[track] = {**old, **rules} if isinstance(rules, Mapping) and isinstance(old, Mapping) else rules
    return result | {"scoring": tracks}


def assignment(word: str, known: Iterable[str]) -> tuple[str, str]:
    """Name and text of `name=value`; names are fields, with or without `training.`, or `scoring.<track>.<field>`.

    Raises:
        UsageError: for another form, or a field that no protocol has.
    """
    path, separator, text = word.partition("=")
    name, names = path.removeprefix(PREFIX), [name for name in known if name != "scoring"]
    if not separator or not path:
        raise UsageError(f"'{word}': expected FIELD=VALUE, such as lr=1e-3 or steps=800")
    if name not in names and not re.fullmatch(r"scoring\.[a-z-]+\.[a-z]+", name):
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; nearest: {near[0]}" if near else "; expected a field of a protocol or scoring.TRACK.FIELD"
        raise UsageError(f"'{word}': unknown field '{path}'{hint}")
    return name, text


def change(name: str, text: str) -> dict[str, Any]:
    """One field and its value as fields of a protocol.

    Raises:
        UsageError: if the value is not plain YAML.
    """
    try:
        value = parse(text)
    except PlainYamlError as error:
        raise UsageError(f"{name}={text}: {error}") from error
    for part in reversed(name.split(".")):
        value = {part: value}
    return dict(value)


def sweeps(words: Iterable[str], known: Iterable[str]) -> list[dict[str, Any]]:
    """Every combination of the values of `name=a,b,c`, each as fields of a protocol; [{}] for no word."""
    names, axes = tuple(known), []
    for word in words:
        name, text = assignment(word, names)
        values = [value.strip() for value in re.split(r",(?![^\[]*\])", text)]
        if not all(values):
            raise UsageError(f"'{word}': expected values between commas, such as lr=1e-4,3e-4,1e-3")
        axes.append([change(name, value) for value in values])
    found = []
    for parts in product(*axes):
        joined: dict[str, Any] = {}
        for part in parts:
            joined = merge(joined, part) if "scoring" in part else joined | part
        found.append(joined)
    return found


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields of two protocols that differ, but for the name, each with both values; fields of scoring by their full names."""
    flat = [_flat(content) for content in (first, second)]
    names = dict.fromkeys([*flat[0], *flat[1]])
    pairs = {name: (flat[0].get(name), flat[1].get(name)) for name in names if name != "name"}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def only_training(names: Iterable[str]) -> bool:
    """Whether none of these fields decides which images are tested and how."""
    return not any(name.split(".")[0] in TESTING for name in names)


def _flat(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = list(value) if isinstance(value, tuple) else value
    return found


def told(value: Any) -> str:
    """A value of a protocol in a few letters: 0.001, true, 0.9,0.99."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list | tuple):
        return ",".join(map(told, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
