"""What the networks share that climb from the low-resolution grid in two steps of 2: MMAPP, MUCNN and TDNet."""

from __future__ import annotations

from math import sqrt

from torch import nn

from waldbench.imaging import Sensor
from waldbench.methods.base import Network

# Standard deviation of a unit normal variable cut at two standard deviations.
TRUNCATED = 0.8796256610342398


class RatioFourNetwork(Network):
    """A network that climbs twice by 2 and is therefore tied to ratio 4.

    Raises:
        ValueError: for a sensor of another ratio.
    """

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        reason = self.supports(sensor, "ms")
        if reason is not None:
            raise ValueError(reason)
        super().__init__(sensor=sensor, guide_bands=guide_bands)

    @classmethod
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None for ratio 4, else the reason why not."""
        if sensor.ratio == 4:
            return None
        return f"{cls.__name__} enlarges twice by 2, so it needs a sensor of ratio 4; {sensor.title} has ratio {sensor.ratio}"


def lecun_normal(module: nn.Module) -> None:
    """Normal weights of variance 1 / fan-in, cut at two standard deviations, and zero biases in every convolution."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            deviation = 1 / sqrt(part.weight[0].numel()) / TRUNCATED
            nn.init.trunc_normal_(part.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
