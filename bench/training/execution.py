"""How the machine works: what may change speed and memory, and is recorded, but is no part of the protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

LAYOUTS = ("auto", "channels-last", "contiguous")


@dataclass(frozen=True)
class Execution:
    """Options of a training that leave its recipe alone.

    Attributes:
        compile: compile network and loss with `torch.compile`.
        layout: of images and weights in memory; "auto" is channels-last, which is faster, but contiguous for bfloat16 on a CPU,
            where torch computes NaN gradients for dilated convolutions in channels-last layout (seen in torch 2.13).
        deterministic: let torch refuse operations that give other bits each time (some on a GPU).
    """

    compile: bool = False
    layout: str = "auto"
    deterministic: bool = False

    def memory_format(self, device: torch.device, precision: str) -> torch.memory_format:
        """Layout of four-dimensional tensors."""
        trap = device.type == "cpu" and precision != "32-true"
        last = not trap if self.layout == "auto" else self.layout == "channels-last"
        return torch.channels_last if last else torch.contiguous_format


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Make torch refuse operations that are not deterministic, and restore what was before."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
