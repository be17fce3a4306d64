"""What each field of a protocol may be: type and range, told with the field's name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from waldbench.bench.errors import UsageError
from waldbench.methods.recipes import LOSSES

# Names become folders.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+=-]{0,99}")


@dataclass(frozen=True)
class Kind:
    """A kind of value: what is expected in words, whether a value fits, and the form in which it is kept."""

    expected: str
    fits: Callable[[Any], bool]
    keep: Callable[[Any], Any] = lambda value: value

    def read(self, value: Any, place: str) -> Any:
        """The value as it is kept, or UsageError naming the place."""
        if not self.fits(value):
            raise UsageError(f"{place}: expected {self.expected}, got {short(value)}")
        return self.keep(value)


def short(value: Any) -> str:
    """A value as it is shown in an error."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any, low: int) -> bool:
    return _is_number(value) and value == int(value) and low <= value < 2**53


def whole(low: int, null: str = "") -> Kind:
    """A whole number from `low` on, or null where `null` says what that means."""
    expected = f"a whole number from {low} on" + (f", or null ({null})" if null else "")
    return Kind(
        expected,
        lambda value: (bool(null) and value is None) or _is_whole(value, low),
        lambda value: None if value is None else int(value),
    )


def number(expected: str, fits: Callable[[float], bool]) -> Kind:
    """A finite number in a range."""
    return Kind(expected, lambda value: _is_number(value) and fits(value))


def choice(*known: str) -> Kind:
    """One of some words."""
    return Kind(f"one of {', '.join(known)}", lambda value: value in known if isinstance(value, str) else False)


def _list(expected: str, fits: Callable[[list[Any]], bool]) -> Kind:
    return Kind(expected, lambda value: isinstance(value, list | tuple) and fits(list(value)), tuple)


FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TEXT = Kind("text", lambda value: isinstance(value, str) and bool(value))
KEYS = _list(
    "a list of keys, each once",
    lambda value: all(isinstance(item, str) and item for item in value) and len(set(value)) == len(value),
)
_NAME = Kind(
    "a name of letters, digits and _ . + = -, at most 100", lambda value: isinstance(value, str) and bool(NAME.fullmatch(value))
)
_BETAS = _list(
    "two numbers from 0 to below 1, such as [0.9, 0.999]",
    lambda value: len(value) == 2 and all(_is_number(item) and 0 <= item < 1 for item in value),
)
_MILESTONES = _list(
    "a rising list of epochs, such as [100, 200]",
    lambda value: all(_is_whole(item, 0) for item in value) and value == sorted(set(value)),
)


def kinds(schedules: tuple[str, ...]) -> dict[str, Kind]:
    """Kinds of the fields of a protocol by name, but for `scoring`."""
    return {
        "name": _NAME,
        **dict.fromkeys(("train_images", "valid_images", "reduced_images", "full_images"), whole(1, "all")),
        **dict.fromkeys(("patch", "batch", "accumulate"), whole(1)),
        "steps": whole(1, "epochs decide"),
        "epochs": whole(1, "steps decide"),
        "recipe": choice("unified", "published"),
        "precision": choice("32-true", "bf16-mixed"),
        "loss": choice(*LOSSES),
        "lr": number("a number above 0", lambda value: value > 0),
        "betas": _BETAS,
        "weight_decay": number("a number from 0 on", lambda value: value >= 0),
        "schedule": choice(*schedules),
        "warmup": number("a number from 0 to below 1", lambda value: 0 <= value < 1),
        "milestones": _MILESTONES,
        "gamma": number("a number above 0", lambda value: value > 0),
        "flips": FLAG,
        "rotations": FLAG,
        "validate_every": whole(1, "once an epoch"),
        "patience": whole(1, "never stop early"),
        "select": choice("ergas", "sam"),
        "holdout": number("a number from 0 to 0.8", lambda value: 0 <= value <= 0.8),
    }


SCORING = {"border": whole(0), "block": whole(1), "convention": TEXT, "reduced": KEYS, "full": KEYS}


def check(values: Mapping[str, Any], rules: Mapping[str, Kind], place: str) -> dict[str, Any]:
    """Every value in the form in which it is kept; `place` stands before the field's name in errors."""
    return {name: rules[name].read(value, f"{place}: {name}") if name in rules else value for name, value in values.items()}
