"""MUCNN: multi-scale U-shaped network of spatial-spectral convolutions (Wang, Deng, Zhang, Wu, ACM MM 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import ShuffleUpscale
from waldbench.methods.deep._layers import Pointwise, convolution, fast_layout
from waldbench.methods.deep._ratio_four import RatioFourNetwork, lecun_normal
from waldbench.methods.recipes import Recipe

# Training holds the parameters four times over: 2.4 GB at 102 bands, 8.4 GB at 191.
MOST_BANDS = 128


@register(
    tasks={"ms", "hs"},
    title="MUCNN",
    year=2021,
    paper="Wang, Deng, Zhang, Wu, ACM Multimedia 2021",
    licence="GPL-2.0 or GPL-3.0, the sources disagree; written from a description of its layers, not from the code",
    faithful="layers, parameters and multiplications as released, with the 1x1 heads of all three scales; no skip from lms",
    inferred=(
        "guide of two bands: every width that counts the guide's one channel counts two",
        "the widths grow with the bands as published: 2.3 million parameters at 8 bands, about 150 million at 102",
        "unified recipe: trained on the final output only, the heads of the two coarse scales stay as initialised",
    ),
)
class MUCNN(RatioFourNetwork):
    """A U-shaped network over three scales that enlarges by SSconv, a convolution followed by a pixel shuffle."""

    idle = ("heads.0.", "heads.1.")
    recipe = Recipe("0.2 L1 at H/4 + 0.3 L1 at H/2 + 0.5 L1", 1e-3, 32, 1_200, schedule="every", every=200, gamma=0.1)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        inputs = bands + guide_bands
        wide, wider = 4 * inputs, 16 * inputs
        widest = wider + inputs
        self.enlarge_ms = nn.ModuleList([ShuffleUpscale(bands, 2), ShuffleUpscale(bands, 4)])
        self.reduce_guide = nn.ModuleList(nn.Conv2d(guide_bands, guide_bands, step, stride=step) for step in (2, 4))
        self.down = nn.ModuleList([convolution(inputs, wide), convolution(wide + inputs, wider), convolution(widest, widest)])
        self.enlarge_low = ShuffleUpscale(widest, 2)
        self.up_half = convolution(widest + wider, 144)
        self.enlarge_half = ShuffleUpscale(144, 2)
        self.up_full = convolution(144 + wide, 36)
        self.heads = nn.ModuleList([Pointwise(widest, bands), Pointwise(144, bands), Pointwise(36, bands)])
        trained = [part for name, part in self.named_children() if name != "heads"]
        lecun_normal(nn.ModuleList([*trained, self.heads[0]]))

    @classmethod
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None for ratio 4 and up to 128 bands, else the reason why not."""
        if sensor.count <= MOST_BANDS:
            return super().supports(sensor, task)
        return (
            "MUCNN's widths grow with the bands, its parameters with their square (150 million at 102): "
            f"it is run with up to {MOST_BANDS} bands; {sensor.title} has {sensor.count}"
        )

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """The output of the finest scale."""
        return self.stages(ms, lms, guide)[-1]

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Weighted mean absolute errors at the three scales; the reference is thinned out."""
        outputs = self.stages(ms, lms, guide)
        parts = [functional.l1_loss(image, functional.interpolate(gt, image.shape[-2:])) for image in outputs]
        return 0.2 * parts[0] + 0.3 * parts[1] + 0.5 * parts[2]

    def stages(self, ms: Tensor, lms: Tensor, guide: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The images (B, C, H/4, W/4), (B, C, H/2, W/2) and (B, C, H, W) of the three scales."""
        ms, guide = fast_layout(ms), fast_layout(guide)
        ms_half, ms_full = (enlarge(ms) for enlarge in self.enlarge_ms)
        guide_half, guide_low = (reduce(guide) for reduce in self.reduce_guide)
        full = self.down[0](torch.cat([guide, ms_full], 1)).relu()
        half = self.down[1](torch.cat([functional.max_pool2d(full, 2), ms_half, guide_half], 1)).relu()
        low = self.down[2](torch.cat([functional.max_pool2d(half, 2), ms, guide_low], 1)).relu()
        half = self.up_half(torch.cat([self.enlarge_low(low), half], 1)).relu()
        full = self.up_full(torch.cat([self.enlarge_half(half), full], 1)).relu()
        return self.heads[0](low), self.heads[1](half), self.heads[2](full)
