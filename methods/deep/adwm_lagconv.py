"""ADWM-LAGConv: LAGConv whose block outputs are weighted by their correlations (Huang et al., CVPR 2025)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._adaptive_layers import LocalAdaptiveConvolution
from waldbench.methods.deep._adwm import DualWeightedNetwork, DualWeighting
from waldbench.methods.deep._naming import Renames

WIDTH, BLOCKS, HIDDEN, DROP = 48, 6, 38, 0.05


class LeakyAdaptiveConvolution(LocalAdaptiveConvolution):
    """The LAG layer with leaky ReLUs."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        for branch in (self.taps, self.bias):
            for place, layer in enumerate(branch):
                if isinstance(layer, nn.ReLU):
                    branch[place] = nn.LeakyReLU()


class NormalisedAdaptiveBlock(nn.Module):
    """x + layer(LReLU(BN(layer(x))))."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = LeakyAdaptiveConvolution(WIDTH, WIDTH), LeakyAdaptiveConvolution(WIDTH, WIDTH)
        self.norm = nn.BatchNorm2d(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 48, H, W) to the same shape."""
        return x + self.second(functional.leaky_relu(self.norm(self.first(x))))


@register(
    tasks={"ms", "hs"},
    title="ADWM-LAGConv",
    year=2025,
    paper="Huang, Chen, Ren, Peng, Deng, CVPR 2025; arXiv:2503.13214",
    licence="MIT (Jie-1203/ADWM); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula",
    inferred=(
        "the released weights were trained before the released code got its layer normalisation: they fit `norm=False`",
        "a channel that is zero everywhere correlates with nothing, where the released code gives NaN",
        "ratios other than 4: bicubic enlargement by the ratio; several guide bands: stacked with the image",
        "the adaptive convolution also computes the zeros between image rows: about 1 % more multiplications than released",
    ),
)
class ADWMLAGConv(DualWeightedNetwork):
    """Six blocks of locally adaptive convolutions; all block outputs count, by weights of channels and blocks.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        norm: whether correlations are normalised before they are weighed, as in the released code.
    """

    renames: ClassVar[Renames] = (
        *DualWeightedNetwork.renames,
        (r"\.taps\.", ".attention1."),
        (r"^((?:raise_dim|layers|to_output).*)\.bias\.(\d)", r"\1.attention3.\2"),
        (r"^(layers\.\d)\.first\.", r"\1.conv1."),
        (r"^(layers\.\d)\.second\.", r"\1.conv2."),
        (r"^(layers\.\d)\.norm\.", r"\1.bn1."),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, norm: bool = True) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.head = nn.Sequential(LeakyAdaptiveConvolution(sensor.count + guide_bands, WIDTH))
        self.chain = nn.ModuleList(NormalisedAdaptiveBlock() for _ in range(BLOCKS))
        self.weighting = DualWeighting(WIDTH, BLOCKS, HIDDEN, DROP, norm)
        self.tail = nn.Sequential(LeakyAdaptiveConvolution(WIDTH, sensor.count))
