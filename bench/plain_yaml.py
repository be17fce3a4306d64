"""YAML from anybody: plain values only, few aliases, small files.

What is read is null, true, false, numbers, text, lists and mappings. Tags (`!!python`, `!!binary`, `!!timestamp`), merge keys,
repeated keys and nests of aliases that unfold to millions of values are errors of one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar, cast

import yaml

# Of a file; a protocol with all its comments has 2 kB.
LARGEST = 1 << 20
# Aliases in a file: so few unfold to some thousand values at most.
ALIASES = 16
DEEPEST = 20
INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
# As in YAML 1.2: 1e-3 is a number; PyYAML follows YAML 1.1, where it is text.
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
FLAG = re.compile(r"true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF")
NULL = re.compile(r"~|null|Null|NULL|")


class PlainYamlError(ValueError):
    """Text that is not plain YAML; the message is one line and tells where."""


def read(path: Path) -> Any:
    """Content of a YAML file.

    Raises:
        PlainYamlError: if it cannot be read, is larger than 1 MiB, or is not plain YAML.
    """
    try:
        if not path.is_file():
            raise PlainYamlError(f"{path}: expected a file, found {'something else' if path.exists() else 'nothing'}")
        if path.stat().st_size > LARGEST:
            raise PlainYamlError(f"{path}: expected a YAML file of at most {LARGEST >> 20} MiB")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlainYamlError(f"{path} cannot be read: {error}") from error
    try:
        return parse(text)
    except PlainYamlError as error:
        raise PlainYamlError(f"{path} is not a YAML file of plain values: {error}") from error


def parse(text: str) -> Any:
    """Content of a text; see `read`."""
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PlainYamlError(_line(error)) from error


def _line(error: Exception) -> str:
    """One line of an error that PyYAML tells in several."""
    if isinstance(error, yaml.MarkedYAMLError):
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        return f"{place}{error.problem or error.context or 'not YAML'}"
    return str(error).split("\n")[0] or type(error).__name__


def _refusal(reason: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, reason, event.start_mark)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]
    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.aliases = 0
        self.open: list[str | None] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = cast(Any, self.peek_event())  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > ALIASES or event.anchor in self.open:
                reason = f"at most {ALIASES} aliases are read, and none inside its own anchor"
                raise _refusal(reason, event)
            return super().compose_node(parent, index)
        if len(self.open) >= DEEPEST:
            reason = f"values are nested more than {DEEPEST} deep"
            raise _refusal(reason, event)
        self.open.append(event.anchor)
        try:
            return super().compose_node(parent, index)
        finally:
            self.open.pop()

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"expected a name, got {key!r}", key_node.start_mark)
            if key in found:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' is given twice", key_node.start_mark)
            found[key] = self.construct_object(value_node, deep=True)
        return found


def _mapping(loader: _Loader, node: Any) -> Any:
    return loader.construct_mapping(node)


def _sequence(loader: _Loader, node: Any) -> Any:
    return loader.construct_sequence(node, deep=True)


def _text(loader: Any, node: Any) -> str:
    return str(loader.construct_scalar(node))


def _unknown(loader: Any, node: Any) -> Any:
    return loader.construct_undefined(node)


def _flag(loader: _Loader, node: Any) -> bool:
    return str(loader.construct_scalar(node)).lower() in {"true", "yes", "on"}


def _float(loader: _Loader, node: Any) -> float:
    text = str(loader.construct_scalar(node)).lower()
    known = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
    return known[text] if text in known else float(text)


# Kind of value: pattern of its plain form, characters that it may begin with, and how it is made.
_KINDS: dict[str, tuple[re.Pattern[str], str, Any]] = {
    "null": (NULL, "~nN", lambda _loader, _node: None),
    "bool": (FLAG, "tTfFyYnNoO", _flag),
    "int": (INTEGER, "+-0123456789", lambda loader, node: int(_text(loader, node))),
    "float": (FLOAT, "+-.0123456789", _float),
}
for _name, (_pattern, _first, _make) in _KINDS.items():
    _tag = f"tag:yaml.org,2002:{_name}"
    # An empty value is null: PyYAML asks for it under the empty string.
    _Loader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern.pattern})$"), [*_first, *([""] if _name == "null" else [])])
    _Loader.add_constructor(_tag, _make)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.add_constructor("tag:yaml.org,2002:seq", _sequence)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
# Any other tag has no constructor.
_Loader.add_constructor(None, _unknown)
