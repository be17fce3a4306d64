"""Processes that torchrun started beside the leader: they train along with it, job by job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from waldbench.bench.errors import DistributedError, TrainingDivergedError, UsageError
from waldbench.bench.run.job import Job
from waldbench.bench.training.distributed import broadcast, finish, rank, size


@contextmanager
def together(job: Job) -> Iterator[None]:
    """Training with the followers, which join here.

    Raises:
        DistributedError: if this process failed in a way that the others cannot know of.
    """
    if size() == 1:
        yield
        return
    broadcast(job)
    try:
        yield
    except (TrainingDivergedError, UsageError):  # every process finds out alike
        raise
    except Exception as error:
        raise DistributedError(f"process {rank()} of {size()} failed alone: {type(error).__name__}: {error}") from error


def dismiss() -> None:
    """Tell the followers that there is no further job."""
    broadcast(None)
    finish()


def jobs() -> Iterator[Job]:
    """What a follower is asked to join, until it is dismissed."""
    while (job := broadcast(None)) is not None:
        yield job
    finish()
