"""LAGConv (LAGNet): local-context adaptive convolution kernels with global harmonic bias (Jin et al., AAAI 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import Network, register
from waldbench.methods.deep._adaptive_layers import AdaptiveResidualBlock, LocalAdaptiveConvolution
from waldbench.methods.deep._layers import fast_layout
from waldbench.methods.recipes import Recipe

WIDTH = 32


@register(
    tasks={"ms", "hs"},
    title="LAGConv",
    year=2022,
    paper="Jin, Zhang, Jiang, Vivone, Deng, AAAI 2022",
    licence="none seen; written from a description of its layers, not from the code",
    faithful="layers and parameters as released",
    inferred=(
        "guide of two bands: both are concatenated, the first layer widens by one",
        "the adaptive convolution also computes the zeros between image rows: 1.2 % more multiplications at 64x64 than released",
        "trained by the benchmark's recipe, not by the paper's",
    ),
)
class LAGConv(Network):
    """lms plus the details that five residual blocks of locally adaptive convolutions find in the guide and lms."""

    recipe = Recipe("mse", 3e-4, 32, 500)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        blocks = [AdaptiveResidualBlock(LocalAdaptiveConvolution, WIDTH) for _ in range(5)]
        head = LocalAdaptiveConvolution(sensor.count + guide_bands, WIDTH)
        self.layers = nn.Sequential(head, nn.ReLU(), *blocks, LocalAdaptiveConvolution(WIDTH, sensor.count))

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details found in cat(guide, lms)."""
        return lms + self.layers(fast_layout(torch.cat([guide, lms], 1)))
