"""ADWM-FusionNet: FusionNet whose block outputs are weighted by their correlations (Huang et al., CVPR 2025)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._adwm import DualWeightedNetwork, DualWeighting
from waldbench.methods.deep._layers import convolution
from waldbench.methods.deep._naming import Renames

WIDTH, BLOCKS, HIDDEN = 32, 4, 32


class LeakyResidual(nn.Module):
    """The sum x + conv(LReLU(conv(x))), 3x3."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = convolution(WIDTH, WIDTH), convolution(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 32, H, W) to the same shape."""
        return x + self.second(functional.leaky_relu(self.first(x)))


@register(
    tasks={"ms", "hs"},
    title="ADWM-FusionNet",
    year=2025,
    paper="Huang, Chen, Ren, Peng, Deng, CVPR 2025; arXiv:2503.13214",
    licence="MIT (Jie-1203/ADWM); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula",
    inferred=(
        "a channel that is zero everywhere correlates with nothing, where the released code gives NaN",
        "ratios other than 4: bicubic enlargement by the ratio; a guide of several channels enters as their mean",
    ),
)
class ADWMFusionNet(DualWeightedNetwork):
    """Four residual blocks on the guide minus each enlarged band; all block outputs count, by weights of channels and blocks."""

    renames: ClassVar[Renames] = (
        *DualWeightedNetwork.renames,
        (r"^(layers\.\d)\.first\.", r"\1.conv20."),
        (r"^(layers\.\d)\.second\.", r"\1.conv21."),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.head = nn.Sequential(convolution(sensor.count, WIDTH))
        self.chain = nn.ModuleList(LeakyResidual() for _ in range(BLOCKS))
        self.weighting = DualWeighting(WIDTH, BLOCKS, HIDDEN)
        self.tail = nn.Sequential(convolution(WIDTH, sensor.count))

    def entrance(self, image: Tensor, guide: Tensor) -> Tensor:
        """The guide minus every band."""
        return guide.mean(1, keepdim=True) - image
