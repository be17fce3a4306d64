"""TDNet: triple-double network, two levels, two branches, two directions (Zhang, Deng, Huang, Chanussot, Vivone, TNNLS 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork, ShuffleUpscale
from waldbench.methods.deep._layers import Pointwise, convolution, fast_layout
from waldbench.methods.deep._ratio_four import RatioFourNetwork, lecun_normal
from waldbench.methods.deep.msdcnn import MSDCNN, MultiScaleBranch
from waldbench.methods.recipes import Recipe

WIDTH = 64
# Our names of the guide branch's layers and those of the released weight file.
GUIDE_NAMES = {"head": "conv_input", "to_bands": "conv_output1"} | {
    "fine.0": "conv_1",
    "fine.1": "conv_2",
    "coarse.0": "conv_12",
    "coarse.1": "conv_22",
}


class GuidePyramid(nn.Module):
    """Details of the guide in every band at full and at half resolution; both scales share the last convolution."""

    def __init__(self, guide_bands: int, bands: int) -> None:
        super().__init__()
        self.head = convolution(guide_bands, WIDTH)
        self.fine = nn.ModuleList([convolution(WIDTH, WIDTH), convolution(WIDTH, WIDTH)])
        self.to_bands = convolution(WIDTH, bands)
        self.coarse = nn.ModuleList([convolution(WIDTH, WIDTH), convolution(WIDTH, WIDTH)])

    def forward(self, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Details (B, bands, H, W) and (B, bands, H/2, W/2) of guide (B, G, H, W)."""
        full = _residual(self.fine, self.head(guide))
        half = _residual(self.coarse, functional.max_pool2d(full, 2))
        return self.to_bands(full).relu(), self.to_bands(half).relu()


def _residual(pair: nn.ModuleList, x: Tensor) -> Tensor:
    return x + pair[1](pair[0](x).relu())


class MultiResolutionAttention(nn.Module):
    """MRAB: x plus the details, weighted by a gate per pixel that sees both."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        squeeze = (convolution(2 * bands, 1), nn.ReLU(), convolution(1, 1, 5), nn.ReLU(), Pointwise(1, 1))
        self.gate = nn.Sequential(*squeeze, nn.Sigmoid())

    def forward(self, x: Tensor, details: Tensor) -> Tensor:
        """Map x and details (B, bands, H, W) to the same shape."""
        return x + self.gate(torch.cat([x, details], 1)) * details


@register(
    tasks={"ms", "hs"},
    title="TDNet",
    year=2022,
    paper="Zhang, Deng, Huang, Chanussot, Vivone, IEEE TNNLS 2022; arXiv:2112.02237",
    licence="GPL-3.0; written from a description of its layers, not from the code",
    faithful="layers, parameters and multiplications as released; the result is the second level's output, no skip from lms",
    inferred=(
        "the released forward pass names no valid result: which tensors it returns was found by running the published weights",
        "guide of two bands: the first convolution of the guide branch takes both",
        "unified recipe: trained on the final output only, without the published loss on the half-resolution output",
    ),
)
class TDNet(RatioFourNetwork, OfficialNetwork):
    """The image climbs from ms in two steps of 2; at each level details of the guide are injected through a gate."""

    official = (
        {f"guide_pyramid.{ours}": f"pan_branch.{theirs}" for ours, theirs in GUIDE_NAMES.items()}
        | {"enlarge.0.conv": "conv_up", "enlarge.1.conv": "conv_up2.0"}
        | {
            f"blocks.{level}.{ours.removeprefix('deep.')}": f"{block}.{theirs}"
            for level, block in enumerate(("mulnet", "mulnet2"))
            for ours, theirs in MSDCNN.official.items()
            if ours.startswith("deep.")
        }
        | {
            f"inject.{level}.gate.{place}": f"{gate}.pa.{place}"
            for level, gate in enumerate(("mrab", "mrab2"))
            for place in (0, 2, 4)
        }
    )

    recipe = Recipe("0.4 MSE at H/2 + 0.6 MSE", 1e-3, 32, 300)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        self.guide_pyramid = GuidePyramid(guide_bands, bands)
        self.enlarge = nn.ModuleList([ShuffleUpscale(bands, 2), ShuffleUpscale(bands, 2)])
        self.blocks = nn.ModuleList([MultiScaleBranch(2 * bands, bands), MultiScaleBranch(2 * bands, bands)])
        self.inject = nn.ModuleList([MultiResolutionAttention(bands), MultiResolutionAttention(bands)])
        lecun_normal(self)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """The output of the second level."""
        return self.stages(ms, lms, guide)[-1]

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Weighted mean squared errors of both levels; the reference is thinned out for the first."""
        half, full = self.stages(ms, lms, guide)
        low = functional.mse_loss(half, functional.interpolate(gt, half.shape[-2:]))
        return 0.4 * low + 0.6 * functional.mse_loss(full, gt)

    def stages(self, ms: Tensor, lms: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """The images (B, C, H/2, W/2) and (B, C, H, W) of both levels."""
        full, half = self.guide_pyramid(fast_layout(guide))
        outputs = []
        image = fast_layout(ms)
        for level, details in enumerate((half, full)):
            injected = self.inject[level](self.enlarge[level](image), details)
            image = self.blocks[level](torch.cat([injected, details], 1))
            outputs.append(image)
        return outputs[0], outputs[1]
