"""The registry of datasets: published files, user scenes and simulated twins behind one contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from waldbench.catalogue import Catalogue

if TYPE_CHECKING:
    from waldbench.datasets.base import Dataset, register

__all__ = ["card", "catalogue", "names", "open", "register"]

catalogue = Catalogue("datasets")


def names(task: str | None = None) -> list[str]:
    """Sorted keys of all datasets, or of those for `task` ("ms", "hs" or "sar")."""
    return [entry.key for entry in catalogue if task is None or entry.facts["task"] == task]


def card(key: str) -> dict[str, Any]:
    """Facts about a dataset (key, title, task, sensor, summary), without importing it."""
    entry = catalogue[key]
    return {"key": entry.key, "summary": entry.summary, **entry.facts}


def open(name: str, root: str | Path | None = None, source: str = "auto", **options: Any) -> Dataset:
    """Open a dataset.

    Args:
        name: registry key (`wv3`), or `scene:PATH` (several comma-separated paths: ms, pan and optionally gt) for a user's scene.
        root: folder of the published files; None looks into $WALDBENCH_DATA, then `data/`.
        source: "published", "simulated", or "auto": published where the files are found, else the simulated twin.
        options: arguments of that dataset (`sensor=`, `holdout=`, `ratio=`, `response=` for scenes, `seed=` for simulated twins).

    Raises:
        UnknownNameError: for an unknown key.
        DatasetError: if files are missing (source "published") or broken; the message says the remedy.
    """
    from waldbench.datasets.base import DatasetError

    key, _, path = name.partition(":")
    if key == "scene" and path:
        dataset: Dataset = catalogue["scene"].load()(path=path, **options)
        return dataset
    entry = catalogue[name]
    if name == "scene":
        raise DatasetError("scene needs a path: scene:FILE.mat, scene:FOLDER or scene:MS.tif,PAN.tif[,GT.tif]")
    opened: Dataset = entry.load().open(root=None if root is None else Path(root), source=source, **options)
    return opened


def __getattr__(name: str) -> Any:
    """Import the contract on first use."""
    if name == "register":
        from waldbench.datasets.base import register

        return register
    raise AttributeError(f"module 'waldbench.datasets' has no attribute '{name}'")
