"""GPPNN: gradient projection unrolled into a network (Xu, Zhang, Zhao, Sun, Liu, Zhang, CVPR, 2021)."""

from __future__ import annotations

from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import Network, register
from waldbench.methods.deep._blocks import bicubic
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH, STAGES = 64, 8


class Unit(nn.Sequential):
    """Two convolutions without bias and a ReLU between them."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__(convolution(inputs, WIDTH, size, bias=False), nn.ReLU(), convolution(WIDTH, outputs, size, bias=False))


class ImageStep(nn.Module):
    """Correct the estimate by what the observed ms says about it (3x3 units)."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.observe = Unit(bands, bands, 3)
        self.correct = Unit(bands, bands, 3)
        self.project = Unit(bands, bands, 3)

    def forward(self, estimate: Tensor, ms: Tensor) -> Tensor:
        """Map the estimate (B, C, H, W) to a better one."""
        error = ms - bicubic(self.observe(estimate), ms.shape[-2:], align_corners=True)
        return self.project(estimate + bicubic(self.correct(error), estimate.shape[-2:], align_corners=True))


class GuideStep(nn.Module):
    """Correct the estimate by what the observed guide says about it (1x1 units)."""

    def __init__(self, bands: int, guide_bands: int) -> None:
        super().__init__()
        self.observe = Unit(bands, guide_bands, 1)
        self.correct = Unit(guide_bands, bands, 1)
        self.project = Unit(bands, bands, 1)

    def forward(self, estimate: Tensor, guide: Tensor) -> Tensor:
        """Map the estimate (B, C, H, W) to a better one."""
        return self.project(estimate + self.correct(guide - self.observe(estimate)))


@register(
    tasks={"ms", "hs"},
    title="GPPNN",
    year=2021,
    paper="Xu, Zhang, Zhao, Sun, Liu, Zhang, CVPR 2021, arXiv:2103.04584",
    licence="none stated (xsxjtu/GPPNN); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula, bicubic resizing with aligned corners included",
    inferred=(
        "images divided by the sensor's scale, where the released code divides each by its own maximum",
        "several guide bands: the guide's observation model has as many outputs",
    ),
)
class GPPNN(Network):
    """Eight pairs of learnt gradient-projection steps, one towards ms and one towards the guide; lms is not used.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    recipe = Recipe(
        "l1",
        5e-4,
        16,
        100,
        schedule="every",
        every=20,
        gamma=0.5,
        notes=("the released code divides every image by its own maximum and takes patches of 32 pixels",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.image_steps = nn.ModuleList(ImageStep(sensor.count) for _ in range(STAGES))
        self.guide_steps = nn.ModuleList(GuideStep(sensor.count, guide_bands) for _ in range(STAGES))

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Improve the enlarged ms step by step."""
        estimate = fast_layout(bicubic(ms, guide.shape[-2:], align_corners=True))
        for image_step, guide_step in zip(self.image_steps, self.guide_steps, strict=True):
            estimate = guide_step(image_step(estimate, ms), guide)
        return estimate
