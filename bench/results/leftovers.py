"""What killed runs left in a results folder: commits to finish, scratch folders and temporary files to remove."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

from waldbench.bench.results import locks

# Of a temporary file or folder: `.<name>.<process>`, perhaps with an ending.
TEMPORARY = re.compile(r"\..+\.(\d+)(\.npz|\.new|\.tmp)?")
CELL = re.compile(r"\.(seed-\d+)\.(partial|old|lock)")
# A file that a process of another machine still writes is younger than this.
SECONDS = 60


def clear(root: Path) -> list[str]:
    """Finish or remove what killed runs left below `root`; returns what was removed, relative to it.

    A scratch folder goes only where its cell is finished and nobody holds the cell's lock: any other holds the checkpoint from
    which the next run resumes.
    """
    removed = []
    for path in sorted([*root.glob(".*"), *root.glob("*/.*"), *root.glob("*/*/.*"), *root.glob("*/*/*/.*")]):
        cell, temporary = CELL.fullmatch(path.name), TEMPORARY.fullmatch(path.name)
        if cell:
            gone = _clear_cell(path, path.with_name(cell[1]), cell[2])
        else:
            gone = temporary is not None and _is_abandoned(path, int(temporary[1])) and _remove(path)
        if gone:
            removed.append(path.relative_to(root).as_posix())
    return removed


def _clear_cell(path: Path, folder: Path, kind: str) -> bool:
    lock = folder.with_name(f".{folder.name}.lock")
    if not path.exists() or locks.holder(lock) is not None:
        return False
    if kind == "lock":
        return _remove(path)
    if kind == "old":  # killed between the two renames of a commit
        scratch = folder.with_name(f".{folder.name}.partial")
        if not folder.exists():
            os.replace(scratch if (scratch / "record.json").is_file() else path, folder)
        return not path.exists() or _remove(path)
    finished = folder / "record.json"
    if not (finished.is_file() and (folder / "scores.csv").is_file()):
        return False
    return finished.stat().st_mtime >= _newest(path) and _remove(path)


def _newest(folder: Path) -> float:
    return max((path.stat().st_mtime for path in [folder, *folder.rglob("*")] if path.exists()), default=0.0)


def _is_abandoned(path: Path, pid: int) -> bool:
    return not locks.exists(pid) and time.time() - path.lstat().st_mtime > SECONDS


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return not path.exists()
