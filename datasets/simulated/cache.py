"""Simulated scenes as files: made on demand, one file a scene, written atomically and verified when they are read."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Made(Protocol):
    """One scene of one split, which makes its images from a seed."""

    @property
    def split(self) -> str:
        """Its split."""

    @property
    def number(self) -> int:
        """Its number within the split."""

    @property
    def names(self) -> tuple[str, ...]:
        """Number of its images."""

    def make(self) -> Arrays:
        """Simulate: images (n, C, H, W) by name."""


def place(fingerprint: str, cache: Path | None) -> Path:
    """Cache folder of a twin below `cache`; None takes $WALDBENCH_CACHE, then `~/.cache/waldbench`."""
    base = cache or Path(os.environ.get("WALDBENCH_CACHE") or Path.home() / ".cache" / "waldbench")
    return Path(base) / "simulated" / fingerprint[:16]


def file_of(chunk: Made, folder: Path) -> Path:
    """The file of a chunk in a cache folder."""
    return folder / chunk.split / f"{chunk.number:05d}.npz"


def load(chunk: Made, folder: Path) -> Arrays:
    """Read a chunk from the cache folder, making (or, where the file is broken, remaking) it first."""
    path = file_of(chunk, folder)
    if path.exists():
        try:
            # Every member carries a CRC-32 that reading checks.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return {name: file[name] for name in chunk.names}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            path.unlink(missing_ok=True)
    arrays = chunk.make()
    _write(path, arrays)
    return arrays


def prepare(chunks: Sequence[Made], folder: Path, workers: int | None = None) -> None:
    """Make the chunks that are not in the cache folder yet, in parallel processes.

    Workers are spawned, so a script that calls this needs the usual `if __name__ == "__main__":`.

    Args:
        chunks: chunks of one twin.
        folder: cache folder of the twin.
        workers: number of processes; None: one a core; 1: this process.
    """
    missing = [(chunk, folder) for chunk in chunks if not file_of(chunk, folder).exists()]
    processes = min(workers or os.cpu_count() or 1, len(missing))
    if processes > 1:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            for _ in pool.map(_prepare, missing):
                pass
    else:
        for task in missing:
            _prepare(task)


def _prepare(task: tuple[Made, Path]) -> None:
    load(*task)


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread: floating-point sums must not depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
