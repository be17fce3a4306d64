"""Plugin files: more methods, indices and datasets than the tree holds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from waldbench import datasets, methods, metrics

PACKAGES = (methods, metrics, datasets)


def add(files: Iterable[str]) -> None:
    """Make the entries of Python files known to every registry; broken ones become problems of their catalogue."""
    for name in files:
        for package in PACKAGES:
            package.catalogue.add_file(Path(name))


def problems() -> list[str]:
    """One line for each plugin, file or installed package, that could not be used."""
    found: dict[str, None] = {}
    for package in PACKAGES:
        package.catalogue.names()
        found |= dict.fromkeys(package.catalogue.problems)
    return list(found)
