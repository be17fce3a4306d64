"""Methods as a user names them: a key, or a key with constructor options, as in `tv:variant=toolbox`."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

from waldbench import methods
from waldbench.bench.errors import UsageError
from waldbench.bench.run.fingerprints import sha256_of

# Between key and options in the names of cells, which are folders too.
MARK = "~"
OPTION = re.compile(r"[a-z_]+=[A-Za-z0-9_.+-]+")


def canonical(word: str) -> str:
    """The name of a method's cells, `tv~variant=toolbox`, from what the user wrote; a plain key stays as it is.

    Raises:
        UnknownNameError: for an unknown key.
        UsageError: for options that are not name=value, or that the method does not take.
    """
    key, separator, text = word.partition(":")
    methods.card(key)
    if not separator:
        return key
    parts = text.split(",")
    wrong = [part for part in parts if not OPTION.fullmatch(part)]
    if wrong:
        raise UsageError(f"'{word}': expected KEY:name=value,name=value with plain values, got '{wrong[0]}'")
    known = methods.options(key)
    for name in (part.partition("=")[0] for part in parts):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; nearest: {near[0]}" if near else ""
            raise UsageError(f"{key} takes {', '.join(known) or 'no options'}, got '{name}'{hint}")
    return key + MARK + ",".join(sorted(parts))


def parse(name: str) -> tuple[str, dict[str, Any]]:
    """Key and constructor options of a canonical name."""
    key, _, text = name.partition(MARK)
    return key, {part.partition("=")[0]: yaml.safe_load(part.partition("=")[2]) for part in text.split(",") if part}


def of_weights(path: Path) -> str:
    """What stands behind the key of a method that is evaluated with a file of weights: the file's name, and its content."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip(".-")[:60] or "weights"
    return f"{stem}-{sha256_of(path)[:8]}"
