"""Layers of the networks whose 3x3 kernels adapt to the content: LAGConv, AWFLN and MMAPP."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.methods.deep._adaptive import padding_positions, shared_adaptive_conv
from waldbench.methods.deep._layers import Pointwise, convolution

TAPS = 9


class TapWeightedConvolution(nn.Module):
    """A static 3x3 kernel without bias whose nine taps are weighted by numbers that all channels share.

    Subclasses register the layers that produce those numbers.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=sqrt(5))

    def contract(self, x: Tensor, taps: Tensor) -> Tensor:
        """Convolve x (B, inputs, H, W), each pixel with its own tap weights (B, 9, H, W), into (B, outputs, H, W)."""
        return shared_adaptive_conv(x, taps, self.weight, self.weight.new_zeros(len(self.weight)))

    def padding_macs(self, x: Tensor) -> int:
        """Products of `contract` with the zeros between image rows, which the definition does not know."""
        return self.weight.numel() * padding_positions(x, 3)

    def contract_globally(self, x: Tensor, taps: Tensor) -> Tensor:
        """Convolve x (B, inputs, H, W), each image with its own tap weights (B, 9, 1, 1), into (B, outputs, H, W)."""
        batch, _, height, width = x.shape
        kernels = self.weight * taps.view(batch, 1, 1, 3, 3)
        grouped = functional.conv2d(x.reshape(1, -1, height, width), kernels.flatten(0, 1), padding=1, groups=batch)
        return grouped.view(batch, -1, height, width)


def global_taps(inputs: int) -> nn.Sequential:
    """Nine unbounded tap weights (B, 9, 1, 1) from the channel means of an image (B, inputs, H, W)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), Pointwise(inputs, TAPS), nn.ReLU(), Pointwise(TAPS, TAPS))


class LocalAdaptiveConvolution(TapWeightedConvolution):
    """LAG layer: tap weights in (0, 1) at every pixel, and a bias per image ("global harmonic bias") from the channel means.

    Jin et al., AAAI 2022; the TSAM of MMAPP is the same layer.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        squeeze = (convolution(inputs, TAPS), nn.ReLU(), Pointwise(TAPS, TAPS), nn.ReLU(), Pointwise(TAPS, TAPS))
        self.taps = nn.Sequential(*squeeze, nn.Sigmoid())
        mean = nn.AdaptiveAvgPool2d(1)
        self.bias = nn.Sequential(mean, Pointwise(inputs, outputs), nn.ReLU(), Pointwise(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.contract(x, self.taps(x)) + self.bias(x)


class AdaptiveResidualBlock(nn.Module):
    """x + layer(ReLU(layer(x))) for one kind of adaptive layer."""

    def __init__(self, layer: type[TapWeightedConvolution], channels: int) -> None:
        super().__init__()
        self.first = layer(channels, channels)
        self.second = layer(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.second(functional.relu(self.first(x)))
