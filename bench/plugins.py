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
    return [*found, *_empty("\n".join(found))]


def _empty(problems: str) -> list[str]:
    """One line for each file that registers nothing and of which no problem tells why."""
    used = {entry.path for package in PACKAGES for entry in package.catalogue}
    files = dict.fromkeys(path for package in PACKAGES for path in package.catalogue.files)
    kinds = ", ".join(f"waldbench.{package.catalogue.package}" for package in PACKAGES)
    return [
        f"plugin {path} registers nothing; expected @register(...) imported from {kinds} on a class or function"
        for path in files
        if path not in used and str(path) not in problems
    ]
