"""Looks at what a path is before it is opened, and at the size that a header declares before anything is allocated.

Opening a pipe waits for ever, a device has no end, and a header of a few bytes can declare terabytes. Readers call
`require_file` with the path and `check_declared` with what the header says, and only then read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from waldbench.datasets.base import DatasetError, DatasetNotFoundError

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Share of the free memory that one array may take: readers convert, which needs as much again.
SHARE = 0.5


def require_file(path: Path, expected: str) -> int:
    """Check that `path` is a regular file that may be read, without opening it.

    Args:
        path: what the user or a folder names.
        expected: what should be there, for the message, such as "an HDF5 file".

    Returns:
        Its size in bytes.

    Raises:
        DatasetNotFoundError: if there is nothing.
        DatasetError: if it is a folder, pipe, socket or device, a link that leads nowhere or in a circle, or may not be read.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        nowhere = "a link that leads nowhere" if path.is_symlink() else "none"
        raise DatasetNotFoundError(f"{path}: expected {expected}, found {nowhere}; check the path") from error
    except (OSError, ValueError) as error:  # circles of links, folders without permission, names with a null byte
        reason = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"{path}: expected {expected}, cannot look at it ({reason}); check the path") from error
    for is_kind, name in KINDS:
        if is_kind(found.st_mode):
            raise DatasetError(f"{path}: expected {expected}, found {name}; check the path")
    if not os.access(path, os.R_OK):
        raise DatasetError(f"{path}: expected {expected}, permission to read it is denied; check its owner and mode")
    return found.st_size


def check_declared(path: Path, declared: int, what: str, *, stored: int | None = None) -> None:
    """Compare the bytes that a header declares with those of the file and with the free memory.

    Args:
        path: the file, for the message.
        declared: bytes of the array in memory, a Python integer (NumPy's overflow).
        what: what is declared, for the message, such as "shape (4, 512, 512) of uint16".
        stored: bytes after the header, where values are stored uncompressed; None where they may be compressed.

    Raises:
        DatasetError: if the file is too short for it, or the memory.
    """
    if stored is not None and declared > stored:
        raise DatasetError(
            f"{path}: the header declares {what}, {size_text(declared)}, but {size_text(stored)} follow it; is it complete?"
        )
    limit = int(free_memory() * SHARE)
    if declared > limit:
        raise DatasetError(
            f"{path}: the header declares {what}, {size_text(declared)}, more than may be read at once here "
            f"({size_text(limit)}); is it damaged? If not, cut it, or use a machine with more memory"
        )


def size_text(count: int) -> str:
    """A number of bytes for people: 512 bytes, 1.5 MiB, 7 TiB."""
    if count < 1024:
        return f"{count} bytes"
    size, units = float(count), iter(("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))
    unit = next(units)
    size /= 1024
    for larger in units:
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.4g} {unit}"


def free_memory() -> int:
    """Bytes that this process may still allocate: free memory of the machine, its control group and its own limits.

    Where the system does not tell, 4 GiB.
    """
    known = [found for found in (_of_machine(), _of_group(), *_of_process()) if found is not None]
    return max(min(known, default=4 << 30), 0)


def _of_machine() -> int | None:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None


def _of_group() -> int | None:
    group = Path("/sys/fs/cgroup")
    limit, used = (next(iter(_lines(group / name)), "") for name in ("memory.max", "memory.current"))
    return int(limit) - int(used) if limit.isdecimal() and used.isdecimal() else None


def _of_process() -> list[int]:
    """What `ulimit -v` and `ulimit -d` leave."""
    try:
        import resource
    except ImportError:  # not on Windows
        return []
    left = []
    used = {line.partition(":")[0]: line.split()[1] for line in _lines(Path("/proc/self/status")) if line.endswith(" kB")}
    for kind, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY and name in used:
            left.append(limit - (int(used[name]) << 10))
    return left


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
