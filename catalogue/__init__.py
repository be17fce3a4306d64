"""Finds methods, metrics and datasets by reading their files instead of importing them.

A plugin is a class or function under `@register(...)` with literal arguments. Its file is parsed, not run, so that listing
every key costs milliseconds and one broken file cannot hide the others. Sources of files, in this order: the package's own
folder, the entry-point group `waldbench.<package>`, and files added with `add_file` (the option `--plugin`).
"""

from __future__ import annotations

import difflib
import importlib.machinery
import importlib.util
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import metadata
from pathlib import Path

from waldbench.catalogue.loading import plugin_module
from waldbench.catalogue.naming import check_name
from waldbench.catalogue.reading import CardError, Entry, Fact, check_facts, read_entries
from waldbench.catalogue.trees import PACKAGES, ROOT, is_own

__all__ = ["PACKAGES", "ROOT", "CardError", "Catalogue", "Entry", "Fact", "UnavailableError", "UnknownNameError", "plugin_module"]
__all__ += ["check_name", "is_own", "read_entries"]


class UnknownNameError(LookupError):
    """A key that is not in the registry; the message names the nearest keys."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:8]
        super().__init__(f"unknown {kind} '{name}'; nearest: {', '.join(near)} (all: run_bench.py list)")


class UnavailableError(UnknownNameError):
    """A key of something published that is not in the registry; the message says why."""

    def __init__(self, name: str, reason: str) -> None:
        LookupError.__init__(self, f"'{name}' is not available: {reason}")


class Catalogue:
    """The registry of one package: the entries of its files, entry points and plugin files, by key.

    Args:
        package: "methods", "metrics" or "datasets".
        unavailable: keys that users look for and that the package does not have, with the reason.
        required: arguments of `@register` without which there is no card; a plugin that lacks one is a line in `problems`.
    """

    def __init__(
        self, package: str, unavailable: dict[str, str] | None = None, required: Mapping[str, Fact] | None = None
    ) -> None:
        self.package = package
        self.unavailable = unavailable or {}
        self.required = required or {}
        self.folder = ROOT / package
        self.problems: list[str] = []
        self._extra: list[Path] = []

    def names(self) -> list[str]:
        """All keys, sorted."""
        return sorted(self.entries)

    def __getitem__(self, key: str) -> Entry:
        if key not in self.entries and key in self.unavailable:
            raise UnavailableError(key, self.unavailable[key])
        if key not in self.entries:
            raise UnknownNameError(self.package.removesuffix("s"), key, self.names())
        return self.entries[key]

    def __iter__(self) -> Iterator[Entry]:
        return (self.entries[key] for key in self.names())

    @property
    def files(self) -> list[Path]:
        """Plugin files that were added."""
        return list(self._extra)

    def add_file(self, path: Path) -> None:
        """Add a plugin file; a file that cannot be read becomes a line in `problems`."""
        if path.resolve() not in self._extra:
            self._extra.append(path.resolve())
            self.__dict__.pop("entries", None)

    def remove_file(self, path: Path) -> None:
        """Forget a plugin file."""
        self._extra.remove(path.resolve())
        self.__dict__.pop("entries", None)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every entry, read once; own files win over plugins of the same key."""
        self.problems.clear()
        found: dict[str, Entry] = {}
        for module, path in self._files():
            try:
                new = list(read_entries(self.package, module, path))
            except (OSError, SyntaxError, ValueError) as error:
                self.problems.append(f"plugin {path} skipped: {error}")
                continue
            for entry in new:
                self._take(found, entry)
        return found

    def _take(self, found: dict[str, Entry], entry: Entry) -> None:
        """Add an entry, or say why it cannot be used; the project's own cards are checked by the tests."""
        try:
            if not entry.path.is_relative_to(self.folder):
                check_name("key", entry.key)
                check_facts(entry, self.required)
        except ValueError as error:
            self.problems.append(f"plugin {entry.path} skipped: {error}")
            return
        if entry.key in found:
            self.problems.append(f"{entry.path}: key '{entry.key}' is already taken by {found[entry.key].path}; skipped")
        else:
            found[entry.key] = entry

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self.folder.rglob("*.py")):
            if not path.name.startswith("_"):
                yield ".".join(("waldbench", *path.relative_to(ROOT).with_suffix("").parts)), path
        for point in metadata.entry_points(group=f"waldbench.{self.package}"):
            spec = _find(point.module)
            if spec is None or spec.origin is None:
                self.problems.append(f"plugin {point.name} skipped: module '{point.module}' cannot be found or imported")
            else:
                yield point.module, Path(spec.origin)
        for path in self._extra:
            yield plugin_module(path), path


def _find(module: str) -> importlib.machinery.ModuleSpec | None:
    """Where an installed plugin lies; None if it is not there, or if the package around it fails or exits when it is imported."""
    try:
        return importlib.util.find_spec(module)
    except (Exception, SystemExit):
        return None
