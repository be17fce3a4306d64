"""What several plain convolutional networks share: official weights by name, initialisation, scales, residual blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.methods.base import Network
from waldbench.methods.deep._layers import convolution


class OfficialNetwork(Network):
    """A network that reads the weight files of its released code.

    `official` maps our layers to the names in those files; layers whose names begin with one of `copies` are stored there twice.
    """

    official: ClassVar[Mapping[str, str]]
    copies: ClassVar[tuple[str, ...]] = ()

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Load the state dictionary of a released weight file; every tensor must find its place.

        Raises:
            ValueError: if tensors are missing, left over or of another shape; the message names them.
        """
        own = self.state_dict()
        theirs = {name: self._official_name(name) for name in own}
        differing = [key for key, name in theirs.items() if name in state and state[name].shape != own[key].shape]
        problems = {
            "missing": [name for name in theirs.values() if name not in state],
            "left over": [name for name in state if name not in theirs.values() and not name.startswith(self.copies)],
            "unexpected shapes": [f"{theirs[key]} {tuple(state[theirs[key]].shape)}" for key in differing],
        }
        found = ", ".join(f"{problem} {_short(names)}" for problem, names in problems.items() if names)
        if found:
            names_differ = problems["missing"] or problems["left over"]
            raise self._misfit(found, "this network" if names_differ else f"a sensor with {self.sensor.count} bands")
        self.load_state_dict({key: state[name] for key, name in theirs.items()})

    def _official_name(self, name: str) -> str:
        layer, _, kind = name.rpartition(".")
        return f"{self.official[layer]}.{kind}"

    def _misfit(self, problem: str, remedy: str) -> ValueError:
        return ValueError(f"these weights do not fit {type(self).__name__}: {problem}; use the file of {remedy}")


def _short(names: list[str], limit: int = 6) -> str:
    return f"{names[:limit]}" + (f" and {len(names) - limit} more" if len(names) > limit else "")


def truncated_he_(network: nn.Module) -> None:
    """Start every Conv2d from a normal distribution of deviation sqrt(2.6 / fan-in), cut at two deviations, with bias 0.

    This is the initialisation of the DLPan toolbox (Deng et al., IEEE GRSM, 2022); after the cut it is nearly He's.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            deviation = sqrt(2.6 / layer.weight[0].numel())
            nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def damp_(layers: Iterable[nn.Conv2d], divisor: float) -> None:
    """Divide the initial weights of `layers`: deep stacks without normalisation otherwise start far from the image's range."""
    with torch.no_grad():
        for layer in layers:
            layer.weight /= divisor


def last_of_blocks(network: nn.Module) -> list[nn.Conv2d]:
    """The second convolution of every residual block of `network`."""
    return [block.second for block in network.modules() if isinstance(block, PReLUResidualBlock)]


def two_scales(ratio: int) -> tuple[int, int]:
    """Split a ratio into a coarse and a fine factor: 4 = 2 x 2, 6 = 3 x 2, an odd ratio = 1 x ratio."""
    fine = ratio if ratio % 2 else 2
    return ratio // fine, fine


def bicubic(x: Tensor, size: Iterable[int], align_corners: bool = False) -> Tensor:
    """Resize x (B, C, H, W) by cubic convolution without antialiasing, as the released networks do."""
    return functional.interpolate(x, size=tuple(size), mode="bicubic", align_corners=align_corners)


class ShuffleUpscale(nn.Module):
    """A 3x3 convolution to factor^2 times the outputs, arranged as an image `factor` times as large."""

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv = convolution(channels, channels * factor**2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, factor H, factor W)."""
        return functional.pixel_shuffle(self.conv(x), self.factor)


class PReLUResidualBlock(nn.Module):
    """x + conv(PReLU(conv(x))), 3x3, one slope; with `twice` the same PReLU follows the second convolution too."""

    def __init__(self, channels: int, slope: float, twice: bool = False) -> None:
        super().__init__()
        self.twice = twice
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)
        self.act = nn.PReLU(init=slope)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        y = self.second(self.act(self.first(x)))
        return x + (self.act(y) if self.twice else y)
