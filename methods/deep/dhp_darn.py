"""DHP-DARN: a deep prior and a residual attention network (Zheng, Li, Li, Guo, Wu, Chanussot, IEEE TGRS, 2020)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._deep_prior import fit_prior
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH, SQUEEZED, BLOCKS = 64, 4, 4
LAYERS = ("first", "second", "squeeze", "expand", "place")
PRIORS = ("lms", "dhp")


class AttentionBlock(nn.Module):
    """CSA: a residual block whose branch is weighted by channel and, in parallel, by place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = convolution(WIDTH, WIDTH), convolution(WIDTH, WIDTH)
        self.squeeze, self.expand = nn.Conv2d(WIDTH, SQUEEZED, 1), nn.Conv2d(SQUEEZED, WIDTH, 1)
        self.place = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 64, H, W) to the same shape."""
        u = self.second(self.first(x).relu())
        channels = self.expand(self.squeeze(u.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return x + u * (channels + self.place(u).sigmoid())


@register(
    tasks={"hs", "ms"},
    title="DHP-DARN",
    year=2020,
    paper="Zheng, Li, Li, Guo, Wu, Chanussot, IEEE TGRS 58(11), 2020",
    doi="10.1109/TGRS.2020.2986313",
    licence="CC BY-NC-SA 4.0 (hyperspectral pansharpening toolbox); written from a fact sheet, not from that code",
    faithful=(
        "DARN is equal to the network of Ciotola et al.'s toolbox (2024) with its published weights for PRISMA; "
        "the prior's layers, size and fit as published"
    ),
    inferred=(
        "by default the interpolated image stands in for the deep prior, whose fit takes 10,000 steps an image: "
        "prior='dhp' fits it, for training and evaluation alike",
        "the prior's image is cropped from a multiple of 32 pixels of at least 64",
        "the result is not clipped to [0, 1]",
        "several guide bands: stacked",
    ),
)
class DHPDARN(OfficialNetwork):
    """Residual blocks with channel and spatial attention on a prior image and the guide.

    Published training: mean absolute error, Adam at 1e-3, 1,500 epochs, batches of 64.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        prior: "lms" (the interpolated image) or "dhp" (a network fitted to every image, in every call).
        iterations: gradient steps of the fit of the prior "dhp".

    Raises:
        ValueError: if prior is neither or iterations below 1.
    """

    official: ClassVar = {"head": "FEN", "tail": "RRN"} | {
        f"blocks.{i}.{name}": f"CSA{i + 1}.conv{n}" for i in range(BLOCKS) for n, name in enumerate(LAYERS, 1)
    }

    recipe = Recipe("l1", 1e-3, 64, 1_500)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, prior: str = "lms", iterations: int = 10_000) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        if prior not in PRIORS:
            raise ValueError(f"prior: expected one of {', '.join(PRIORS)}, got '{prior}'")
        if iterations < 1:
            raise ValueError(f"iterations: expected at least 1, got {iterations}")
        self.prior, self.iterations = prior, iterations
        self.head = convolution(sensor.count + guide_bands, WIDTH)
        self.blocks = nn.Sequential(*(AttentionBlock() for _ in range(BLOCKS)))
        self.tail = convolution(WIDTH, sensor.count)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to the prior the details that the residual network finds."""
        if self.prior == "dhp":
            height, width = lms.shape[-2:]
            lms = fit_prior(ms, (height, width), self.sensor, self.iterations)
        return lms + self.tail(self.blocks(self.head(fast_layout(torch.cat([lms, guide], 1)))))
