"""ADWM-DiCNN: DiCNN whose feature maps are weighted by their correlations (Huang et al., CVPR 2025)."""

from __future__ import annotations

from torch import nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._adwm import DualWeightedNetwork, DualWeighting
from waldbench.methods.deep._layers import convolution

WIDTH, LAYERS, HIDDEN = 32, 3, 19


@register(
    tasks={"ms", "hs"},
    title="ADWM-DiCNN",
    year=2025,
    paper="Huang, Chen, Ren, Peng, Deng, CVPR 2025; arXiv:2503.13214",
    licence="MIT (Jie-1203/ADWM); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula",
    inferred=(
        "a channel that is zero everywhere correlates with nothing, where the released code gives NaN",
        "ratios other than 4: bicubic enlargement by the ratio; several guide bands: stacked with the image",
    ),
)
class ADWMDiCNN(DualWeightedNetwork):
    """Three convolutions of stacked guide and enlarged image; all their outputs count, by weights of channels and layers."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.head = nn.Sequential(convolution(sensor.count + guide_bands, WIDTH))
        self.chain = nn.ModuleList(nn.Sequential(convolution(WIDTH, WIDTH), nn.LeakyReLU()) for _ in range(LAYERS))
        self.weighting = DualWeighting(WIDTH, LAYERS, HIDDEN)
        self.tail = nn.Sequential(convolution(WIDTH, sensor.count))
