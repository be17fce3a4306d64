"""SpanConv (LightNet): kernels spanned by two rank-one parts (Chen, Jin, Zhang, Wu, Deng, IJCAI 2022)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import Pointwise, convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH = 32
# Where the layers of the released weight files stand here.
PLACES = (
    {place: f"head_conv.{place}" for place in range(3)}
    | {4: "res_block.0.conv1", 6: "res_block.0.conv2", 7: "res_block.1.conv1", 9: "res_block.1.conv2"}
    | {10 + place: f"tail_conv.{place}" for place in range(3)}
)


class SpanConvolution(nn.Module):
    """The sum of two depth-wise separable 3x3 convolutions, each with both biases."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(Pointwise(inputs, outputs), convolution(outputs, outputs, groups=outputs))
        self.second = nn.Sequential(Pointwise(inputs, outputs), convolution(outputs, outputs, groups=outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.first(x) + self.second(x)


@register(
    tasks={"ms", "hs"},
    title="SpanConv",
    year=2022,
    paper="Chen, Jin, Zhang, Wu, Deng, IJCAI 2022",
    licence="GPL-3.0 with an AGPL-3.0 header in the source; written from a description of its layers, not from the code",
    faithful="layers, parameters and multiplications as released (no skips inside; linear between the two middle blocks)",
    inferred=(
        "guide of two bands: both are concatenated, the first layers widen by one",
        "trained by the benchmark's recipe, not by the paper's",
    ),
)
class SpanConv(OfficialNetwork):
    """LightNet: lms plus the details that a chain of SpanConv layers finds in the guide and lms."""

    official: ClassVar = {
        f"layers.{place}.{branch}.{part}": f"{name}.{kind}_{number}"
        for place, name in PLACES.items()
        for number, branch in enumerate(("first", "second"), start=1)
        for part, kind in enumerate(("point_wise", "depth_wise"))
    }

    recipe = Recipe("l1", 2.5e-3, 8, 800, schedule="every", every=120, gamma=0.75)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        inputs = bands + guide_bands
        head = (SpanConvolution(inputs, inputs), SpanConvolution(inputs, 20), SpanConvolution(20, WIDTH), nn.ReLU())
        belly = [SpanConvolution(WIDTH, WIDTH), nn.ReLU(), SpanConvolution(WIDTH, WIDTH)]
        belly += [SpanConvolution(WIDTH, WIDTH), nn.ReLU(), SpanConvolution(WIDTH, WIDTH)]
        tail = (SpanConvolution(WIDTH, 16), SpanConvolution(16, bands), SpanConvolution(bands, bands))
        self.layers = nn.Sequential(*head, *belly, *tail)
        for part in self.modules():
            if isinstance(part, nn.Conv2d) and part.bias is not None:
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(part.bias)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details found in cat(guide, lms)."""
        return lms + self.layers(fast_layout(torch.cat([guide, lms], 1)))
