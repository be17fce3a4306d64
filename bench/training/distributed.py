"""Several processes that train one network together, started by torchrun; the first one leads, the others only train.

The leader plans, measures, evaluates and writes; when a cell trains it sends the others the job, and all of them run the same
loop on their part of each batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from waldbench.bench.errors import TrainingDivergedError, UsageError

if TYPE_CHECKING:
    import torch

    from waldbench.bench.cells import Job

# Followers wait while the leader measures and evaluates; a process that dies is noticed by torchrun, not by this limit.
PATIENCE = timedelta(days=1)


class DistributedError(RuntimeError):
    """A process failed alone, so that the others can no longer train with it."""


def size() -> int:
    """Number of processes; 1 unless torchrun started this one."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """Number of this process; 0 leads."""
    return int(os.environ.get("RANK", "0")) if size() > 1 else 0


def device(name: str) -> torch.device:
    """Device of this process: the one of its place on the machine where the job says cuda."""
    import torch

    if size() > 1 and name.startswith("cuda"):
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)


def fabric_options() -> dict[str, Any]:
    """Arguments of Fabric that make it use the processes of torchrun; empty for one process."""
    if size() == 1:
        return {}
    from lightning.fabric.strategies.ddp import DDPStrategy

    local = int(os.environ["LOCAL_WORLD_SIZE"])
    # Some networks have parameters that a recipe leaves without gradient (heads of other scales).
    strategy = DDPStrategy(find_unused_parameters=True, timeout=PATIENCE)
    return {"strategy": strategy, "devices": local, "num_nodes": size() // local}


def start() -> None:
    """Join the other processes; objects travel over gloo, gradients on a GPU over nccl."""
    import torch

    if size() > 1 and not torch.distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend, timeout=PATIENCE)


def broadcast(value: Any) -> Any:
    """The leader's value, in every process."""
    import torch

    if size() == 1:
        return value
    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


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


def finish() -> None:
    """Leave the other processes."""
    import torch

    if size() > 1 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def jobs() -> Iterator[Job]:
    """What a follower is asked to join, until it is dismissed."""
    while (job := broadcast(None)) is not None:
        yield job
    finish()
