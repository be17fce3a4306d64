"""One case: sound files, one damage, one reading, one verdict. Runs in a worker process with limits on time and memory."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

VERDICTS = ("clear", "right", "traceback", "hang", "wrong")
# Seconds that reading one damaged file may take.
LIMIT = 20
# Memory that a worker may allocate, Python and torch included.
MEMORY = 3 << 30


class HangError(BaseException):
    """Raised by the alarm; no reader catches it."""


@dataclass(frozen=True)
class Result:
    """Verdict on one case.

    Attributes:
        case: SEED/SUBJECT/NUMBER.
        verdict: one of VERDICTS.
        damage: what was done to the files.
        details: the error's line, or the traceback.
        seconds: that the reading took.
        peak: largest memory of the worker so far, bytes.
    """

    case: str
    verdict: str
    damage: str
    details: str
    seconds: float = 0.0
    peak: int = 0


def run_case(case: str, sound: Path) -> Result:
    """Damage a copy of the sound files, read it, and judge what happened; `sound` keeps the files of each subject."""
    from tests.fuzz.subjects import table

    name = case.split("/")[1]
    subject = table()[name]
    if not (sound / name).is_dir():
        (sound / name).mkdir(parents=True)
        subject.write(sound / name)
    draw = random.Random(case)
    with tempfile.TemporaryDirectory(dir=sound) as scratch, contextlib.chdir(scratch):
        # A short name: the path of a socket has at most 107 characters.
        folder = Path(scratch) / "f"
        shutil.copytree(sound / name, folder)
        done, hopeless = subject.damage(folder, draw)
        started = time.monotonic()
        verdict, details = _read(subject.read, folder, hopeless)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return Result(case, verdict, done, details, time.monotonic() - started, peak)


def _read(read: object, folder: Path, hopeless: bool) -> tuple[str, str]:
    from tests.fuzz.subjects import WrongError
    from waldbench.bench.errors import UsageError
    from waldbench.catalogue import UnknownNameError
    from waldbench.datasets.base import DatasetError

    signal.signal(signal.SIGALRM, _Clock())
    signal.alarm(LIMIT)
    try:
        read(folder)  # type: ignore[operator]
        return ("wrong", "accepted") if hopeless else ("right", "")
    except (DatasetError, UsageError, UnknownNameError) as error:
        lines = str(error).splitlines()
        return (
            ("clear", lines[0]) if len(lines) == 1 and len(lines[0]) < 2000 else ("traceback", f"no single line: {error!r}"[:600])
        )
    except WrongError as error:
        return "wrong", str(error)
    except HangError:
        return "hang", traceback.format_exc(limit=-6)
    except BaseException:
        return "traceback", traceback.format_exc()
    finally:
        signal.alarm(0)


class _Clock:
    """Rings for what waits, and for what computes LIMIT seconds; what other work on the machine takes away does not count."""

    def __init__(self) -> None:
        self.start = self.last = time.process_time()

    def __call__(self, _signal: int, _frame: object) -> None:
        now = time.process_time()
        # A process that others keep from the cores still gets some of them; one that waits gets nothing.
        waits = now - self.last < 0.02
        if waits or now - self.start > LIMIT:
            raise HangError
        self.last = now
        signal.alarm(max(LIMIT // 2, 1))


def serve(connection: Connection, sound: str) -> None:
    """Run the cases that come through a connection until it closes; the main function of a worker process."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(1000)
    warnings.simplefilter("ignore")
    logging.disable()
    # What libraries print about damaged files is of no interest here.
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            connection.send(run_case(connection.recv(), Path(sound)))
