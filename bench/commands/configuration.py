"""A run as a file: options by their names, read from YAML, written as they were resolved.

methods: [gsa, cf2n]
dataset: wv3
protocol: {extends: quick, steps: 800}
seeds: [1, 2, 3]
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waldbench.bench.errors import UsageError

if TYPE_CHECKING:
    from waldbench.bench.run.settings import Settings

# Options that say something about one start of a program and nothing about the run.
PASSING = ("help", "config", "save_config", "force", "dry_run", "quiet", "changes")
FOLDER = "runs"


def read(path: Path) -> dict[str, Any]:
    """Options of a file.

    Raises:
        UsageError: if it is not a mapping in plain YAML.
    """
    from waldbench.bench.plain_yaml import PlainYamlError
    from waldbench.bench.plain_yaml import read as read_yaml

    try:
        content = read_yaml(path)
    except PlainYamlError as error:
        raise UsageError(str(error)) from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected options by name, such as methods: [gsa], got {type(content).__name__}")
    return content


def words(content: Mapping[str, Any], parser: argparse.ArgumentParser, place: str) -> list[str]:
    """Options by name as words of a command line; a protocol that is given by its fields becomes the parser's default.

    Args:
        content: values by the names of options, with hyphens or underscores.
        parser: of the command.
        place: stands before the name in errors.

    Raises:
        UsageError: for an unknown option or a value that no command line could have.
    """
    actions = {name.removeprefix("--"): action for action in parser._actions for name in action.option_strings}
    known = {name.replace("-", "_"): action for name, action in actions.items() if action.dest not in {"help", "config"}}
    result: list[str] = []
    for name, value in content.items():
        action = known.get(str(name).replace("-", "_"))
        if action is None:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise UsageError(f"{place}: unknown option '{name}'" + (f"; nearest: {near[0]}" if near else ""))
        if value is None:
            continue
        if action.dest == "protocol" and isinstance(value, Mapping):
            parser.set_defaults(protocol=dict(value))
            continue
        result += _words(action, value, f"{place}: {name}")
    return result


def _words(action: argparse.Action, value: Any, place: str) -> list[str]:
    option = action.option_strings[-1]
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UsageError(f"{place}: expected true or false, got {value!r}")
        return [option] if value else []
    values = list(value) if isinstance(value, list | tuple | set) else [value]
    if not values:
        return []
    wrong = [item for item in values if isinstance(item, bool) or not isinstance(item, str | int | float | Path)]
    if wrong or (len(values) > 1 and action.nargs is None):
        expected = "text or a number" if action.nargs is None else "a list of texts or numbers"
        raise UsageError(f"{place}: expected {expected}, got {value!r}"[:300])
    if len(values) == 1:
        return [f"{option}={values[0]}"]
    return [option, *map(str, values)]


def resolved(options: argparse.Namespace, parser: argparse.ArgumentParser, settings: Settings) -> str:
    """The run as a file: every option that is not as it is without it, methods and protocol in full."""
    import yaml

    from waldbench import __version__

    found: dict[str, Any] = {}
    for action in parser._actions:
        value = getattr(options, action.dest, None)
        if action.dest in PASSING or value == parser.get_default(action.dest):
            continue
        found[action.option_strings[-1].removeprefix("--")] = _plain(value)
    found["methods"] = [name.replace("~", ":", 1) for name in settings.methods]
    found["seeds"] = list(settings.seeds)
    found["protocol"] = settings.protocol.to_dict()
    order = [action.option_strings[-1].removeprefix("--") for action in parser._actions]
    text = yaml.safe_dump({name: found[name] for name in order if name in found}, sort_keys=False, allow_unicode=True, width=120)
    return f"# waldbench {__version__}; run_bench.py --config FILE runs it again.\n{text}"


def keep(text: str, results: Path) -> Path:
    """Keep a resolved run in the results folder; the same run has the same name."""
    from waldbench.bench.files import write_atomically

    path = results / FOLDER / f"run-{hashlib.sha256(text.encode()).hexdigest()[:8]}.yaml"
    write_atomically(path, text.encode())
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
