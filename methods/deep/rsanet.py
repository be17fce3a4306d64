"""RSANet: 3x3 kernels whose taps come from recursive self-attention (Liu, Wei, Zhang, Feng, Xiang, IEEE JSTARS 16, 2023)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._adaptive_layers import TAPS, AdaptiveResidualBlock, TapWeightedConvolution
from waldbench.methods.deep._layers import fast_layout
from waldbench.methods.deep._mixed_attention import WindowSelfAttention
from waldbench.methods.deep._released import RenamedNetwork
from waldbench.methods.recipes import Recipe

WIDTH, BLOCKS, RECURSIONS = 32, 3, 4


class ReleasedSelfAttention(WindowSelfAttention):
    """Self-attention with the 3x3 convolution that the released layer owns and never calls."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs)
        self.unused = nn.Conv2d(27, 9, 3, groups=3, bias=False).requires_grad_(False)


class RecursiveAttentionConvolution(TapWeightedConvolution):
    """RSAM: tap weights in (0, 1) at every pixel from four self-attentions in a row; neither bias nor harmonic term."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        layers: list[nn.Module] = [ReleasedSelfAttention(inputs)]
        for _ in range(RECURSIONS - 1):
            layers += [nn.ReLU(), ReleasedSelfAttention(TAPS)]
        self.taps = nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.contract(x, self.taps(x))


@register(
    tasks={"ms", "hs"},
    title="RSANet",
    year=2023,
    paper="Liu, Wei, Zhang, Feng, Xiang, IEEE JSTARS 16:10067-10083, 2023",
    doi="10.1109/JSTARS.2023.3327167",
    licence="Apache-2.0 (RSMIF_Project); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula, with a convolution in each of its 32 "
    "attentions that is never used (`unused`, 23,328 parameters)",
    inferred=(
        "its own recipe is not published: that of CF2N, by the same first author and in the same repository, stands in",
        "published sizes (0.039 and 0.18 million parameters, 0.47 GFLOPs) agree neither with the code, 0.097 million, nor "
        "with each other",
        "several guide bands: all are concatenated, the first layer widens",
        "the adaptive convolution also computes the zeros between image rows: 1.3 % more multiplications at 64x64 than released",
    ),
)
class RSANet(RenamedNetwork):
    """lms plus the details that eight convolutions with attentive taps find in the guide and lms.

    What a pixel gets depends on its place in the image, through the map of positions: a tile is not a part of the whole.
    """

    renamed: ClassVar = (
        (r"^head\.", "head_conv.0."),
        (r"^tail\.", "tail_conv."),
        *((rf"^blocks\.{i}\.", f"RB{i + 1}.") for i in range(BLOCKS)),
        (r"\.first\.", ".conv1."),
        (r"\.second\.", ".conv2."),
        (r"\.taps\.", ".attention1."),
        (r"\.attention_rate$", ".rate1"),
        (r"\.query\.", ".conv1."),
        (r"\.key\.", ".conv2."),
        (r"\.value\.", ".conv3."),
        (r"\.position\.", ".conv_p."),
        (r"\.unused\.", ".dep_conv."),
    )

    recipe = Recipe(
        "l1",
        3e-4,
        32,
        600,
        schedule="milestones",
        milestones=(100,),
        gamma=0.9,
        notes=("of CF2N in the same repository: RSANet's own training is not published",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.head = RecursiveAttentionConvolution(sensor.count + guide_bands, WIDTH)
        self.blocks = nn.Sequential(*(AdaptiveResidualBlock(RecursiveAttentionConvolution, WIDTH) for _ in range(BLOCKS)))
        self.tail = RecursiveAttentionConvolution(WIDTH, sensor.count)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details found in cat(guide, lms)."""
        features = self.head(fast_layout(torch.cat([guide, lms], 1))).relu()
        return lms + self.tail(self.blocks(features))
