"""The registry of datasets: published files, user scenes and simulated twins behind one interface."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from waldbench.catalogue import Catalogue, Fact, is_own

if TYPE_CHECKING:
    from waldbench.datasets.base import Dataset, register

__all__ = ["card", "catalogue", "names", "open", "register"]

_REQUIRED: dict[str, Fact] = dict.fromkeys(("task", "sensor", "title"), ((str,), "text"))
catalogue = Catalogue("datasets", required=_REQUIRED)


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
        root: folder of the published files; None: $WALDBENCH_DATA where it is set, then `data/`.
        source: "published", "simulated", or "auto": published where the files are found, else the simulated twin.
        options: arguments of that dataset (`sensor=`, `holdout=`, `ratio=`, `response=` for scenes, `seed=` for simulated twins).

    Returns:
        The dataset; `split("reduced")[0]` is its first test image, with ground truth.

    Raises:
        UnknownNameError: for an unknown key.
        DatasetError: if files are missing (source "published") or broken; the message says what to do.

    Example:
        >>> from waldbench import datasets
        >>> dataset = datasets.open("qb", source="simulated")
        >>> dataset.task, dataset.sensor.title, dataset.sensor.ratio
        ('ms', 'QuickBird', 4)
        >>> {name: len(dataset.split(name)) for name in ("train", "valid", "reduced", "full")}
        {'train': 17139, 'valid': 1905, 'reduced': 20, 'full': 20}
    """
    from waldbench.datasets.base import DatasetError, check_contract

    key, _, path = name.partition(":")
    if key == "scene" and path:
        dataset: Dataset = catalogue["scene"].load()(path=path, **options)
        return dataset
    entry = catalogue[name]
    if name == "scene":
        raise DatasetError("scene needs a path: scene:FILE.mat, scene:FOLDER or scene:MS.tif,PAN.tif[,GT.tif]")
    factory = entry.load()
    if not callable(getattr(factory, "open", None)):
        raise DatasetError(f"dataset '{name}': {factory.__name__} must define the class method open(root, source) -> Dataset")
    opened = factory.open(root=None if root is None else Path(root), source=source, **options)
    return opened if is_own(entry.path) else check_contract(opened, name)


def __getattr__(name: str) -> Any:
    """Import the base class on first use."""
    if name == "register":
        from waldbench.datasets.base import register

        return register
    raise AttributeError(f"module 'waldbench.datasets' has no attribute '{name}'")
