"""Folders that are searched for published files: the user's or the default ones, with the subfolders of the distributions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

VARIABLE = "WALDBENCH_DATA"
# Names of subfolders in the mirrors and in the instructions of other toolboxes.
INSIDE = ("", "training_data", "test_data", "reduced_examples_h5", "full_examples_h5", "reduced_examples", "full_examples", "h5")

COLLECTIONS = ("PanCollection", "pancollection", "HyperPanCollection", "hyperpancollection")


def roots(root: Path | None) -> list[Path]:
    """Folders to search: `root` alone, or else $WALDBENCH_DATA (where set), then `data` in the current folder."""
    if root is not None:
        return [Path(root).expanduser()]
    named = os.environ.get(VARIABLE)
    return [*([Path(named).expanduser()] if named else []), Path("data")]


def find(names: Iterable[str], root: Path | None, dataset: str) -> Path | None:
    """Find the first file with one of several names.

    Args:
        names: accepted file names; case does not matter.
        root: folder to search; None: the default ones.
        dataset: registry key; subfolders of this name are searched too.

    Returns:
        The path, or None if there is no such file.
    """
    wanted = {name.lower() for name in names}
    for folder in _folders(root, dataset):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.name.lower() in wanted and path.is_file():
                    return path
    return None


def _folders(root: Path | None, dataset: str) -> Iterable[Path]:
    own = ("", dataset, dataset.upper())
    for base in roots(root):
        for outer in (*own, *COLLECTIONS):
            for inner in INSIDE:
                # The folder of the sensor may be inside the folder of the split or contain it.
                for last in own if not outer or outer not in own else ("",):
                    yield base / outer / inner / last
