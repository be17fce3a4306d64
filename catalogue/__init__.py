"""Finds methods, metrics and datasets by reading their files instead of importing them.

A plugin is a class or function under `@register(...)` with literal arguments. Its file is parsed, not run, so that listing
every key costs milliseconds and one broken file cannot hide the others. Sources of files, in this order: the package's own
folder, the entry-point group `waldbench.<package>`, and files added with `add_file` (the option `--plugin`).
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

# The folder that holds the packages: the checkout, or `waldbench` in site-packages.
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "catalogue", "datasets", "imaging", "methods", "metrics")


class UnknownNameError(LookupError):
    """A key that is not in the registry; the message names the nearest keys."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:8]
        super().__init__(f"unknown {kind} '{name}'; nearest: {', '.join(near)} (all: run_bench.py list)")


class UnavailableError(UnknownNameError):
    """A key of something published that is not in the registry; the message says why."""

    def __init__(self, name: str, reason: str) -> None:
        LookupError.__init__(self, f"'{name}' is not available: {reason}")


@dataclass(frozen=True)
class Entry:
    """What a file says about one plugin, known without importing it."""

    key: str
    package: str
    path: Path
    module: str
    attribute: str
    heading: str
    summary: str
    facts: dict[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    # Keyword-only constructor arguments of a class with their defaults, those of its bases in the same file included.
    options: dict[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """Import the file and return the registered class or function."""
        return getattr(_import(self.module, self.path), self.attribute)


class Catalogue:
    """The registry of one package: the entries of its files, entry points and plugin files, by key.

    Args:
        package: "methods", "metrics" or "datasets".
        unavailable: keys that users look for and that the package does not have, with the reason.
    """

    def __init__(self, package: str, unavailable: dict[str, str] | None = None) -> None:
        self.package = package
        self.unavailable = unavailable or {}
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
                if entry.key in found:
                    self.problems.append(f"{path}: key '{entry.key}' is already taken by {found[entry.key].path}; skipped")
                else:
                    found[entry.key] = entry
        return found

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self.folder.rglob("*.py")):
            if not path.name.startswith("_"):
                yield ".".join(("waldbench", *path.relative_to(ROOT).with_suffix("").parts)), path
        for point in metadata.entry_points(group=f"waldbench.{self.package}"):
            spec = _find(point.module)
            if spec is None or spec.origin is None:
                self.problems.append(f"plugin {point.name} skipped: module '{point.module}' not found")
            else:
                yield point.module, Path(spec.origin)
        for path in self._extra:
            yield plugin_module(path), path


def plugin_module(path: Path) -> str:
    """Module name of a plugin file: its own, whatever module or other plugin has the name of the file."""
    stem = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    return f"waldbench_plugin_{stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"


def read_entries(package: str, module: str, path: Path) -> Iterator[Entry]:
    """Yield the entries that the file at `path` registers with the `register` of `package`."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    heading = (ast.get_docstring(tree) or "").split("\n")[0]
    own = path.is_relative_to(ROOT / package)
    if not own:
        _refuse_bare_names(tree)
        own = _imports_register(tree, package)
    for node in tree.body if own else ():
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and _is_register(call.func, package):
                    yield replace(_entry(package, module, path, heading, node, call), options=_options(tree, node.name))


def _entry(package: str, module: str, path: Path, heading: str, node: ast.ClassDef | ast.FunctionDef, call: ast.Call) -> Entry:
    facts = {word.arg: _literal(word.value, word.arg) for word in call.keywords if word.arg}
    is_class = isinstance(node, ast.ClassDef)
    default = path.stem.replace("_", "-") if is_class else node.name
    key = _literal(call.args[0], "the key") if call.args else default
    arguments = () if isinstance(node, ast.ClassDef) else tuple(a.arg for a in (*node.args.args, *node.args.kwonlyargs))
    summary = (ast.get_docstring(node) or "").split("\n")[0]
    return Entry(key, package, path, module, node.name, heading, summary, facts, arguments)


def _options(tree: ast.Module, name: str) -> dict[str, Any]:
    """Options of the class `name`; a constructor without **keywords hides those of its bases."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found: dict[str, Any] = {}
    while name in classes:
        node = classes[name]
        for init in (item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"):
            pairs = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
            found = {word.arg: _default(value) for word, value in pairs} | found
            if init.args.kwarg is None:
                return found
        name = next((base.id for base in node.bases if isinstance(base, ast.Name)), "")
    return found


def _default(value: ast.expr | None) -> Any:
    try:
        return None if value is None else ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value) if value else None


def _literal(value: ast.expr, name: str) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        raise ValueError(
            f"line {value.lineno}: {name} of @register must be a literal, got '{ast.unparse(value)}': the file is read, not run"
        ) from None


def _imports_register(tree: ast.Module, package: str) -> bool:
    """Whether a file imports from `waldbench.<package>`, in any of the forms that Python knows."""
    return any(f"{name}.".startswith(f"waldbench.{package}.") for _, name in _imported(tree))


def _refuse_bare_names(tree: ast.Module) -> None:
    """Raise ValueError where a file imports a package of this project without the leading `waldbench`.

    A bare `datasets` is Hugging Face's, unless what is imported from it is ours.
    """
    for line, name in _imported(tree):
        first, _, rest = name.partition(".")
        if first in PACKAGES and (first != "datasets" or _is_ours(rest.split(".")[0])):
            raise ValueError(f"line {line}: imports '{name}'; the import name is waldbench: write waldbench.{name}")
    if any(name == "datasets" for _, name in _imported(tree)):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "datasets.register":
                raise ValueError(f"line {node.lineno}: `datasets` is another package; write `from waldbench import datasets`")


def _is_ours(name: str) -> bool:
    folder = ROOT / "datasets"
    return name == "register" or (name != "" and ((folder / f"{name}.py").is_file() or (folder / name).is_dir()))


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything that a file imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _is_register(func: ast.expr, package: str) -> bool:
    if isinstance(func, ast.Attribute):
        return func.attr == "register" and isinstance(func.value, ast.Name) and func.value.id == package
    return isinstance(func, ast.Name) and func.id == "register"


def _find(module: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None


def _import(module: str, path: Path) -> ModuleType:
    if module in sys.modules:
        return sys.modules[module]
    if not module.startswith("waldbench_plugin_"):
        return importlib.import_module(module)
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load plugin {path}")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[module]
        raise
    return loaded
