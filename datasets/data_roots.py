"""Where published files may lie: the user's folder, or the usual ones, with the layouts in which the files are distributed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

VARIABLE = "WALDBENCH_DATA"
# Folder names of the mirrors and of the toolboxes' instructions.
INSIDE = ("", "training_data", "test_data", "reduced_examples_h5", "full_examples_h5", "reduced_examples", "full_examples", "h5")

COLLECTIONS = ("PanCollection", "pancollection", "HyperPanCollection", "hyperpancollection")


def roots(root: Path | None) -> list[Path]:
    """Folders to search: `root` alone, or else $WALDBENCH_DATA (where set), then `data` in the current folder."""
    if root is not None:
        return [Path(root).expanduser()]
    named = os.environ.get(VARIABLE)
    return [*([Path(named).expanduser()] if named else []), Path("data")]


def find(names: Iterable[str], root: Path | None, dataset: str) -> Path | None:
    """First file of one of these names (case does not matter) in the folders where `dataset` may lie, or None."""
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
                # A folder of the sensor may stand inside the folder of the split as well as around it.
                for last in own if not outer or outer not in own else ("",):
                    yield base / outer / inner / last
