"""A lock per cell: one process at a time trains and writes it, and others can say who that is."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: only the owner's process number tells
    fcntl = None  # type: ignore[assignment]

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Owner:
    """Who holds a lock: process, when that process started (so that a new one of the same number is told apart), machine."""

    pid: int
    started: str
    host: str
    since: str

    @classmethod
    def this(cls) -> Owner:
        """This process, from now on."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), _start_of(os.getpid()), platform.node(), now)

    @property
    def lives(self) -> bool:
        """Whether the process is there; of another machine, nobody here knows, so yes."""
        return self.host != platform.node() or (exists(self.pid) and _start_of(self.pid) == self.started)

    def __str__(self) -> str:
        where = "" if self.host == platform.node() else f" on {self.host}"
        return f"process {self.pid}{where} since {self.since}"


def holder(path: Path) -> Owner | None:
    """Who holds the lock file at `path`; None if nobody does."""
    if not path.is_file():
        return None
    try:
        with path.open("r+b") as stream:
            return None if _lock(stream.fileno(), path) else _owner(path) or Owner(0, "", "another machine", "a while ago")
    except OSError:
        return None


@contextmanager
def held(path: Path, wait: Callable[[Owner], None]) -> Iterator[bool]:
    """Hold the lock file at `path`; a lock whose owner is dead is taken over.

    Args:
        path: of the lock file; it is removed in the end.
        wait: called once, with who holds the lock, before waiting for it.

    Yields:
        Whether it had to wait.
    """
    waited = told = False
    while (descriptor := _take(path)) is None:
        waited, owner = True, _owner(path)
        if not told and owner is not None and owner.lives:
            wait(owner)
            told = True
        time.sleep(POLL_SECONDS if told else POLL_SECONDS / 10)
    try:
        yield waited
    finally:
        # Removed while it is still held: whoever opened it meanwhile sees that it is gone, and opens a new one.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _take(path: Path) -> int | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        same = _lock(descriptor, path) and _is_still(descriptor, path)
        if same:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(Owner.this())).encode())
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _lock(descriptor: int, path: Path) -> bool:
    """Ask the system for the file; where it has no such locks, believe the file as long as its owner lives."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:
            pass
    owner = _owner(path)
    return owner is None or not owner.lives or owner.pid == os.getpid()


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path) -> Owner | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Owner(int(content["pid"]), str(content["started"]), str(content["host"]), str(content["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def exists(pid: int) -> bool:
    """Whether a process of that number runs on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0


def _start_of(pid: int) -> str:
    """When a process started, in ticks since the start of the machine; empty where the system does not tell."""
    with contextlib.suppress(OSError, IndexError):
        # The name of the program, in parentheses, may hold spaces.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return ""
