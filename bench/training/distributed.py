"""Several processes that train one network together, started by torchrun; the first one leads, the others only train.

All of them run the same loop on their part of each batch.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Followers wait while the leader measures and evaluates; a process that dies is noticed by torchrun, not by this limit.
PATIENCE = timedelta(days=1)


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


def finish() -> None:
    """Leave the other processes."""
    import torch

    if size() > 1 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
