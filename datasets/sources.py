"""Published files or the simulated twin: the rule by which every dataset that has both chooses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from waldbench.datasets.base import Dataset, DatasetError
from waldbench.datasets.data_roots import VARIABLE, roots

SOURCES = ("auto", "published", "simulated")


def choose(
    key: str,
    root: Path | None,
    source: str,
    present: Callable[[], bool],
    published: Callable[[], Dataset],
    twin: Callable[[], Dataset],
) -> Dataset:
    """Open published files where they are asked for or there, else the twin, with a notice if nobody asked for it.

    Args:
        key: of the dataset.
        root: folder of the published files; None: the usual ones.
        source: "auto", "published" or "simulated".
        present: whether the test images are there; asked for "auto" only.
        published: opens the files.
        twin: opens the twin.

    Raises:
        DatasetError: for missing or broken files, or an unknown source.
    """
    if source not in SOURCES:
        raise DatasetError(f"source: expected auto, published or simulated, got '{source}'")
    if source == "published" or (source == "auto" and present()):
        return published()
    dataset = twin()
    if source == "auto":
        places = ", ".join(str(folder) for folder in roots(root))
        dataset.notices = [
            f"published files of {key} not found in {places}: using the embedded SIMULATED twin; "
            f"run `run_bench.py data {key}` to see which files are expected",
            *dataset.notices,
        ]
    return dataset


def not_found(key: str, root: Path | None, expected: str, download: str) -> str:
    """What to say where published files are asked for and are not there.

    Args:
        key: of the dataset.
        root: folder that was searched; None: the usual ones.
        expected: files that would do.
        download: from where they come.
    """
    places = ", ".join(f"root='{folder}'" for folder in roots(root))
    return (
        f"published files of {key} not found in {places}: expected {expected}; either give another folder (--data-root, or "
        f"${VARIABLE}), download the files by hand from {download} (`run_bench.py data {key}` checks them), "
        "or use source 'simulated'"
    )
