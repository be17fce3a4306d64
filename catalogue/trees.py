"""Syntax trees of Python files, read once while a file does not change."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

# The folder that holds the packages: the checkout, or `waldbench` in site-packages.
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "catalogue", "datasets", "imaging", "methods", "metrics")
Stamp = tuple[int, int]


@lru_cache(maxsize=4096)
def is_own(path: Path) -> bool:
    """Whether a file is part of this project: of one of its packages, not of examples or tests beside them."""
    return any(path.is_relative_to(ROOT / package) for package in PACKAGES)


def stamp_of(path: Path) -> Stamp:
    """What changes with the content of a file: time of its last change in ns, and size."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file, which callers must not change. Raises OSError, SyntaxError, ValueError."""
    return _tree(path, stamp_of(path))


@lru_cache(maxsize=1024)
def _tree(path: Path, _stamp: Stamp) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
