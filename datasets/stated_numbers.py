"""Reads a number that a file states (a header field, a variable), with the range that it may have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from waldbench.datasets.base import DatasetError

# Longest text that is taken for a number.
DIGITS = 40


def stated_number(value: Any, label: str, low: float, high: float) -> float:
    """One finite number from `low` to `high`.

    Args:
        value: as the file gives it: a number, its text, or an array of one element.
        label: where it stands, for the message, such as "scene.hdr: data ignore value".
        low: smallest allowed value.
        high: largest allowed value.

    Raises:
        DatasetError: for anything else: NaN, infinity, truth values, complex numbers, several numbers, other text.
    """
    return _checked(value, label, low, high, f"a number from {low:g} to {high:g}")


def stated_integer(value: Any, label: str, low: int, high: int) -> int:
    """One whole number from `low` to `high`; as `stated_number`, and 4.0 counts as 4.

    Raises:
        DatasetError: for anything else.
    """
    expected = f"a whole number from {low} to {high}"
    number = _checked(value, label, low, high, expected)
    if number != int(number):
        raise DatasetError(f"{label}: expected {expected}, got {_short(value)}")
    return int(number)


def stated_integers(value: Any, label: str, low: int, high: int, count: int) -> tuple[int, ...]:
    """Exactly `count` whole numbers from `low` to `high`, from a list or an array of any shape.

    Raises:
        DatasetError: for anything else.
    """
    try:
        items = list(np.asarray(value).reshape(-1)) if isinstance(value, np.ndarray | list | tuple) else []
    except ValueError:  # lists of unequal length
        items = []
    if len(items) != count:
        raise DatasetError(f"{label}: expected {count} whole numbers from {low} to {high}, got {_short(value)}")
    return tuple(stated_integer(item, label, low, high) for item in items)


def _checked(value: Any, label: str, low: float, high: float, expected: str) -> float:
    single = value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    try:
        # float() would also read True, NaN, "1_000" and texts of any length.
        plain = isinstance(single, int | float | np.integer | np.floating) and not isinstance(single, bool)
        plain |= isinstance(single, str) and len(single) <= DIGITS and "_" not in single
        number = float(single) if plain else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or not low <= number <= high:
        raise DatasetError(f"{label}: expected {expected}, got {_short(value)}")
    return number


def _short(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # integers of thousands of digits, deep nests
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
