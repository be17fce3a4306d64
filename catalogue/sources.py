"""Fingerprints of source code: what a method, an index or the training depends on, whatever its comments and layout.

A fingerprint covers the file of a definition and the files that it imports from this project and, of a plugin, from the files
beside it or from its own package. Files are compared by their syntax trees without docstrings, and without what `@register` says
for readers; names of files are relative, so that a checkout, a wheel and an editable installation give the same.
Other registered definitions of the same file count only where they are used.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from waldbench.catalogue.loading import PREFIX, sibling
from waldbench.catalogue.reading import Entry
from waldbench.catalogue.trees import ROOT, Stamp, is_own, stamp_of, tree_of

# Parts of this project that are followed; the rest decides where results go and how they look, not what they are.
FOLLOWED = ("imaging", "methods", "metrics", "datasets")
# Texts about methods, and the finding of files.
IGNORED = ("waldbench.methods.cards", "waldbench.methods.unavailable", "waldbench.catalogue")
# Arguments of @register that change numbers; the others are for readers.
COUNTED = {"direction", "product_of"}
EVERYTHING = "*"
DIGITS = 12


@dataclass(frozen=True)
class _Place:
    """Where a plugin lies: its folder, and the first name of its modules, empty for a file beside which others may lie."""

    folder: Path
    package: str

    def find(self, name: str) -> Path | None:
        first, *rest = name.split(".")
        if first == "waldbench":
            return _module_file(ROOT, rest) if rest else None
        if self.package:
            return _module_file(self.folder, [first, *rest]) if first == self.package else None
        return sibling(self.folder, name)

    def label(self, path: Path) -> str:
        base = ROOT if is_own(path) else self.folder
        return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name


@dataclass(frozen=True)
class _Statement:
    """One statement of a file: its text, the names it uses, and the registered name that it defines, if any."""

    text: str
    names: frozenset[str]
    registered: str | None


def of_entry(entry: Entry) -> dict[str, str]:
    """Digest of every file on which an entry depends, by relative name."""
    if entry.module.startswith("waldbench."):
        place = _Place(ROOT, "waldbench")
    elif entry.module.startswith(PREFIX):
        place = _Place(entry.path.parent, "")
    else:
        depth = entry.module.count(".") + (entry.path.name == "__init__.py")
        place = _Place(entry.path.parents[depth], entry.module.split(".")[0])
    return _digests(place, {entry.path: {entry.attribute}}, FOLLOWED)


def of_modules(modules: Iterable[str], followed: tuple[str, ...] = FOLLOWED) -> dict[str, str]:
    """Digest of modules of this project, such as "bench.training.loop", and of every file below `followed` that they import."""
    start = {path: {EVERYTHING} for name in modules if (path := _module_file(ROOT, name.split("."))) is not None}
    return _digests(_Place(ROOT, "waldbench"), start, followed)


def combine(files: dict[str, str], *more: str) -> str:
    """One fingerprint of several digests."""
    text = "\n".join([*(f"{name} {digest}" for name, digest in sorted(files.items())), *more])
    return _sha(text)


def _digests(place: _Place, start: dict[Path, set[str]], followed: tuple[str, ...]) -> dict[str, str]:
    wanted = {path: set(names) for path, names in start.items()}
    waiting = list(wanted)
    while waiting:
        for path, names in _imports(place, waiting.pop(), followed):
            if path not in wanted:
                waiting.append(path)
            wanted.setdefault(path, set()).update(names)
    return {place.label(path): _digest(path, stamp_of(path), frozenset(names)) for path, names in wanted.items()}


def _imports(place: _Place, path: Path, followed: tuple[str, ...]) -> Iterable[tuple[Path, set[str]]]:
    """Files that a file imports, and the names that it takes from each."""
    if is_own(path):
        return _own_imports(path, stamp_of(path), followed)
    return _resolved(place, path, followed)


@lru_cache(maxsize=2048)
def _own_imports(path: Path, _stamp: Stamp, followed: tuple[str, ...]) -> tuple[tuple[Path, set[str]], ...]:
    return tuple(_resolved(_Place(ROOT, "waldbench"), path, followed))


def _resolved(place: _Place, path: Path, followed: tuple[str, ...]) -> Iterator[tuple[Path, set[str]]]:
    for name, taken in _imported(path, stamp_of(path)):
        found = _resolve(place, path, name, taken, followed)
        if found is not None:
            yield found


def _resolve(place: _Place, path: Path, name: str, taken: str | None, followed: tuple[str, ...]) -> tuple[Path, set[str]] | None:
    absolute = _absolute(place, path, name)
    if absolute is None:
        return None
    if taken is not None and _is_followed(f"{absolute}.{taken}", followed):
        inner = place.find(f"{absolute}.{taken}")
        if inner is not None:
            return inner, {EVERYTHING}
    if not _is_followed(absolute, followed):
        return None
    found = place.find(absolute)
    return None if found is None else (found, {EVERYTHING if taken is None else taken})


def _absolute(place: _Place, path: Path, name: str) -> str | None:
    """Full name of a module that a file imports, relative to that file where it starts with dots."""
    dots = len(name) - len(name.lstrip("."))
    if not dots:
        return name
    base = path.parent
    for _ in range(dots - 1):
        base = base.parent
    inside = ROOT if is_own(path) else place.folder
    if not base.is_relative_to(inside):
        return None
    return ".".join([*(("waldbench",) if inside == ROOT else ()), *base.relative_to(inside).parts, *filter(None, [name[dots:]])])


def _is_followed(name: str, followed: tuple[str, ...]) -> bool:
    if any(f"{name}.".startswith(f"{ignored}.") for ignored in IGNORED):
        return False
    return not name.startswith("waldbench.") or any(f"{name}.".startswith(f"waldbench.{part}.") for part in followed)


def _module_file(folder: Path, parts: list[str]) -> Path | None:
    stem = folder.joinpath(*parts)
    for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


@lru_cache(maxsize=2048)
def _imported(path: Path, _stamp: Stamp) -> tuple[tuple[str, str | None], ...]:
    """Modules that a file imports, functions included, types for checkers left out; with the name taken, None for the module."""
    found: list[tuple[str, str | None]] = []
    waiting: list[ast.AST] = [tree_of(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _is_for_checkers(node):
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [("." * node.level + (node.module or ""), alias.name) for alias in node.names]
        elif isinstance(node, ast.stmt | ast.Module | ast.ExceptHandler | ast.match_case):
            waiting += ast.iter_child_nodes(node)
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4096)
def _digest(path: Path, stamp: Stamp, names: frozenset[str]) -> str:
    """Digest of a file; of what it registers, only what is in `names` or used."""
    statements = _statements(path, stamp)
    used = set(names).union(*(item.names for item in statements if item.registered is None))
    kept = [item for item in statements if item.registered is None]
    rest = [item for item in statements if item.registered is not None]
    while chosen := [item for item in rest if EVERYTHING in used or item.registered in used]:
        kept += chosen
        rest = [item for item in rest if item not in chosen]
        used = used.union(*(item.names for item in chosen))
    return _sha("\n".join(item.text for item in statements if item in kept))


@lru_cache(maxsize=1024)
def _statements(path: Path, _stamp: Stamp) -> tuple[_Statement, ...]:
    found = []
    for node in _without_docstring(tree_of(path).body):
        if isinstance(node, ast.If) and _is_for_checkers(node):
            continue
        words: list[str] = []
        names: set[str] = set()
        _describe(node, words, names)
        defines = isinstance(node, ast.ClassDef | ast.FunctionDef) and any(map(_is_register, node.decorator_list))
        found.append(_Statement(_sha("\0".join(words)), frozenset(names), node.name if defines else None))
    return tuple(found)


def _describe(node: ast.AST, words: list[str], names: set[str]) -> None:
    """Append what a node says, the same for all versions of Python that read it: no positions, no empty fields."""
    words.append(node.__class__.__name__)
    if isinstance(node, ast.Name):
        names.add(node.id)
    for name in node._fields:
        value = getattr(node, name, None)
        if value is None or isinstance(value, ast.expr_context):
            continue
        if isinstance(value, ast.AST):
            words.append(name)
            _describe(value, words, names)
        elif not isinstance(value, list):
            words += name, repr(value)
        elif value:
            words.append(name)
            _describe_list(node, name, value, words, names)


def _describe_list(node: ast.AST, name: str, values: list[Any], words: list[str], names: set[str]) -> None:
    if name == "body" and isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        values = list(_without_docstring(values))
    elif name == "keywords" and _is_register(node):
        values = [word for word in values if isinstance(word, ast.keyword) and word.arg in COUNTED]
    words.append(str(len(values)))
    for value in values:
        if isinstance(value, ast.AST):
            _describe(value, words, names)
        else:
            words.append(repr(value))


def _without_docstring(body: list[Any]) -> list[Any]:
    first = body[0] if body else None
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return body[1:] if text else body


def _is_register(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
    return name == "register"


def _is_for_checkers(node: ast.If) -> bool:
    return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
