"""What networks share that ask too much of a CPU: HyperKite, MDA-Net, FPFNet."""

from __future__ import annotations

from typing import ClassVar

import torch

from waldbench.imaging import Sensor
from waldbench.methods.deep._blocks import OfficialNetwork

# Guide side up to which a CPU computes them in seconds.
CPU_SIDE = 64


class LargeNetwork(OfficialNetwork):
    """A network whose cost limits it to small images unless there is a CUDA device; `cost_256` names products and memory."""

    cost_256: ClassVar[str]

    @classmethod
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None where there is a CUDA device, else what an image costs."""
        if torch.cuda.is_available():
            return None
        return (
            f"{cls.__name__} takes {cls.cost_256} for 256x256 guide pixels, too much for a CPU above {CPU_SIDE}x{CPU_SIDE}; "
            "run it on a machine with a CUDA device, or create it in Python for small patches"
        )
