"""Long computations in parts: the buffers of one part at a time, in training computed again instead of kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Elements of a part's largest buffer: near the second-level cache of a CPU core; a GPU wants few launches instead.
CPU_BUDGET = 1 << 19
GPU_BUDGET = 1 << 26


def rows_per_part(row: int, device: torch.device) -> int:
    """How many rows of `row` buffer elements one part may hold, at least 1."""
    return max((CPU_BUDGET if device.type == "cpu" else GPU_BUDGET) // row, 1)


def in_parts(function: Callable[..., Tensor], parts: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    """The results of `function`, which must be deterministic, for the arguments of every part."""
    if len(parts) == 1 or not torch.is_grad_enabled():
        return [function(*part) for part in parts]
    return [checkpoint(function, *part, use_reentrant=False, preserve_rng_state=False) for part in parts]
