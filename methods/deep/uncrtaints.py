"""UnCRtainTS: cloud removal with a variance for every value (Ebel, Garnot, Schmitt, Wegner, Zhu, CVPR Workshops, 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import Network, register
from waldbench.methods.deep._layers import fast_layout, reflecting
from waldbench.methods.recipes import Recipe

WIDTH, EXPANSION, SQUEEZE, GROUPS, DECODERS = 128, 2, 4, 4, 5
Norm = Callable[[int], nn.Module]


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(GROUPS, channels)


class SqueezeExcite(nn.Module):
    """Weight every channel by what the mean of all channels says."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, hidden, bias=False), nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        weights = self.excite(functional.gelu(self.squeeze(x.mean((2, 3))))).sigmoid()
        return x * weights[..., None, None]


class MBConv(nn.Module):
    """Inverted residual block (Sandler et al., 2018) with normalisation first and squeeze-excitation."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        wide = EXPANSION * channels
        self.branch = nn.Sequential(
            norm(channels),
            nn.Conv2d(channels, wide, 1, bias=False),
            norm(wide),
            nn.GELU(),
            reflecting(wide, wide, groups=wide, bias=False),
            norm(wide),
            nn.GELU(),
            SqueezeExcite(wide, channels // SQUEEZE),
            nn.Conv2d(wide, channels, 1, bias=False),
            norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.branch(x)


@register(
    tasks={"sar"},
    title="UnCRtainTS",
    year=2023,
    paper="Ebel, Garnot, Schmitt, Wegner, Zhu, CVPR Workshops 2023, arXiv 2304.05464",
    licence="MIT headers (PatrickTUM/UnCRtainTS); written from a fact sheet, not from that code",
    faithful="layers, parameters and products of the released mono-temporal network; its images were not compared",
    inferred=(
        "unified recipe: trained on the means only, without the published likelihood of means and variances",
        "sensors other than Sentinel-2: as many bands as the sensor has",
    ),
)
class UnCRtainTS(Network):
    """Inverted residual blocks at full resolution that predict mean and variance of every clear value.

    Published training: diagonal Gaussian negative log-likelihood, Adam at 1e-2, 20 epochs, batches of 4.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    recipe = Recipe("Gaussian negative log-likelihood of means and variances", 1e-2, 4, 20)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 2) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        inputs = nn.Conv2d(sensor.count + guide_bands, WIDTH, 1)
        self.encode = nn.Sequential(inputs, _group_norm(WIDTH), nn.ReLU(), MBConv(WIDTH, _group_norm))
        self.decode = nn.Sequential(*(MBConv(WIDTH, nn.BatchNorm2d) for _ in range(DECODERS)))
        self.tail = nn.Conv2d(WIDTH, 2 * sensor.count, 1)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """The means, in [0, 1]."""
        return self.distribution(lms, guide)[0]

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Negative log-likelihood of the clear image under independent normal distributions."""
        means, variances = self.distribution(lms, guide)
        return functional.gaussian_nll_loss(means.float(), gt, variances.float())

    def distribution(self, lms: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Means in [0, 1] and variances above 0 of the clear image, (B, C, H, W) each."""
        x = self.encode(fast_layout(torch.cat([lms, guide], 1)))
        means, variances = self.tail(self.decode(x)).chunk(2, 1)
        return means.sigmoid(), functional.softplus(variances)
