"""What a file registers, read from its syntax tree: nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from waldbench.catalogue.loading import load_module
from waldbench.catalogue.trees import PACKAGES, ROOT, tree_of

# What is told apart in a card: the kinds of value that a fact may have, and how they are called.
Fact = tuple[tuple[type, ...], str]


class CardError(ValueError):
    """A plugin whose `@register` does not say what a card needs."""


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
    line: int = 0

    def load(self) -> Any:
        """Import the file and return the registered class or function."""
        return getattr(load_module(self.module, self.path), self.attribute)


def read_entries(package: str, module: str, path: Path) -> Iterator[Entry]:
    """Yield the entries that the file at `path` registers with the `register` of `package`."""
    tree = tree_of(path)
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


def check_facts(entry: Entry, required: Mapping[str, Fact]) -> None:
    """Raise CardError, naming the line, for a missing or wrong fact of an entry."""
    place = f"line {entry.line}: @register of '{entry.key}'"
    missing = [name for name in required if name not in entry.facts]
    if missing:
        raise CardError(f"{place} lacks {', '.join(missing)}; expected {', '.join(required)}")
    for name, (kinds, expected) in required.items():
        value = entry.facts[name]
        if not isinstance(value, kinds) or isinstance(value, bool) or value in ("", (), [], set()):
            raise CardError(f"{place}: {name} must be {expected}, got {value!r}")


def _entry(package: str, module: str, path: Path, heading: str, node: ast.ClassDef | ast.FunctionDef, call: ast.Call) -> Entry:
    facts = {word.arg: _literal(word.value, word.arg) for word in call.keywords if word.arg}
    is_class = isinstance(node, ast.ClassDef)
    default = path.stem.replace("_", "-") if is_class else node.name
    key = _literal(call.args[0], "the key") if call.args else default
    arguments = () if isinstance(node, ast.ClassDef) else tuple(a.arg for a in (*node.args.args, *node.args.kwonlyargs))
    summary = (ast.get_docstring(node) or "").split("\n")[0]
    return Entry(key, package, path, module, node.name, heading, summary, facts, arguments, line=node.lineno)


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
