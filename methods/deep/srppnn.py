"""SRPPNN: progressive super-resolution with guide details at each scale (Cai, Huang, IEEE TGRS 59(6), 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import Network, register
from waldbench.methods.deep._blocks import PReLUResidualBlock, ShuffleUpscale, bicubic, damp_, last_of_blocks, two_scales
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH, BLOCKS, SLOPE = 32, 11, 0.5


class Stage(nn.Sequential):
    """Eleven residual blocks between two convolutions, with an enlargement before the last if `factor` is above 1."""

    def __init__(self, inputs: int, outputs: int, factor: int = 1) -> None:
        layers: list[nn.Module] = [convolution(inputs, WIDTH, bias=False), nn.PReLU(init=SLOPE)]
        layers += [PReLUResidualBlock(WIDTH, SLOPE, twice=True) for _ in range(BLOCKS)]
        if factor > 1:
            layers += [ShuffleUpscale(WIDTH, factor), nn.PReLU(init=SLOPE)]
        super().__init__(*layers, convolution(WIDTH, outputs, bias=False), nn.PReLU(init=SLOPE))


def _shrink(x: Tensor, factor: int) -> Tensor:
    return bicubic(x, (x.shape[-2] // factor, x.shape[-1] // factor))


def _enlarge(x: Tensor, factor: int) -> Tensor:
    return bicubic(x, (x.shape[-2] * factor, x.shape[-1] * factor))


def _details(guide: Tensor, factor: int) -> Tensor:
    """What the guide loses when it is shrunk by `factor`, as one band."""
    return (guide - _enlarge(_shrink(guide, factor), factor)).mean(1, keepdim=True)


@register(
    tasks={"ms", "hs"},
    title="SRPPNN",
    year=2021,
    paper="Cai, Huang, IEEE TGRS 59(6), 2021",
    doi="10.1109/TGRS.2020.3015878",
    licence="Apache-2.0 (CF2N's port); written from a fact sheet, not from that code",
    faithful="equal to the port in the CF2N repository on shared weights given by a formula",
    inferred=(
        "the port, which other comparisons use, is not the authors' code; ports of this network differ",
        "residual scaling by 0.1, meant by the port and lost there, only scales each block's second convolution at the start",
        "ratios other than 4: two steps that multiply to the ratio, 3 and 2 for 6, 1 and the ratio if it is odd",
        "several guide bands: all enter the stages, the mean of their details is added",
    ),
)
class SRPPNN(Network):
    """Two enlargements, each followed by an injection of the guide, all on top of bicubic images and guide details.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    recipe = Recipe("mse", 1e-4, 64, 1_000, notes=("of the community port in the CF2N repository, not the authors'",))

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        self.coarse, self.fine = two_scales(sensor.ratio)
        self.coarse_enlarge = Stage(bands, bands, self.coarse)
        self.coarse_inject = Stage(bands + guide_bands, bands)
        self.fine_enlarge = Stage(bands, bands, self.fine)
        self.fine_inject = Stage(bands + guide_bands, bands)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
        damp_(last_of_blocks(self), 10)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Pass the intermediate scale, then the final one."""
        low_guide, middle = _shrink(guide, self.fine), _enlarge(ms, self.coarse)
        x = self.coarse_enlarge(fast_layout(ms)) + middle
        x = self.coarse_inject(torch.cat([x, low_guide], 1)) + middle + _details(low_guide, self.coarse)
        x = self.fine_enlarge(x) + lms
        return self.fine_inject(torch.cat([x, guide], 1)) + lms + _details(guide, self.ratio)
