"""HMPNet: an unfolded fusion of hyperspectral, multispectral and PAN images (Tian, Li, Zhang, Wang, Ma, IEEE TNNLS, 2023)."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

ITERATIONS, STEP = 5, 8
WIDTHS = (80, 160, 320)
# What the released code gives the layers that choose the step sizes: weights of the data terms.
TERMS = (0.01, 0.01, 0.01)


def resized(x: Tensor, size: torch.Size) -> Tensor:
    """Resize x (B, C, H, W) bilinearly to the height and width `size`, without antialiasing."""
    return functional.interpolate(x, size=size, mode="bilinear")


class PlainResidual(nn.Module):
    """The sum x + conv(ReLU(conv(x))), 3x3, without biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (convolution(channels, channels, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.second(self.first(x).relu())


class Denoiser(nn.Module):
    """A U-Net of three scales without biases, whose skips are added before each enlargement."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        pairs = list(pairwise(WIDTHS))
        self.head = convolution(bands + 1, WIDTHS[0], bias=False)
        self.down = nn.ModuleList(nn.Sequential(PlainResidual(a), nn.Conv2d(a, b, 2, 2, bias=False)) for a, b in pairs)
        self.body = PlainResidual(WIDTHS[-1])
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(b, a, 2, 2, bias=False), PlainResidual(a)) for a, b in reversed(pairs)
        )
        self.tail = convolution(WIDTHS[0], bands, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, bands + 1, H, W) to (B, bands, H, W)."""
        height, width = x.shape[-2:]
        kept = [self.head(functional.pad(x, (0, -width % STEP, 0, -height % STEP), mode="replicate"))]
        for down in self.down:
            kept.append(down(kept[-1]))
        y = self.body(kept[-1])
        for up in self.up:
            y = up(y + kept.pop())
        return self.tail(y + kept.pop())[..., :height, :width]


def _two_layers(bands: int) -> nn.Sequential:
    return nn.Sequential(convolution(bands, bands), nn.ReLU(), convolution(bands, bands))


def _official() -> dict[str, str]:
    names = {"respond": "z.Rm_conv", "transpose": "z.RmT_conv", "denoiser.head": "x.m_head", "denoiser.tail": "x.m_tail"}
    names |= {f"sizes.{i}": f"h.mlp.{i}" for i in (0, 2, 4)}
    names |= {f"to_pan.{i}": f"x.Rp_conv.{i}" for i in (0, 2)} | {f"from_pan.{i}": f"x.Rp_hat_conv.{i}" for i in (0, 2)}
    blocks = {"denoiser.body": "x.m_body", "denoiser.down.0.0": "x.m_down1.0", "denoiser.down.1.0": "x.m_down2.0"}
    blocks |= {"denoiser.up.0.1": "x.m_up2.1", "denoiser.up.1.1": "x.m_up1.1"}
    layers = {"first": "res.0", "second": "res.2"}
    names |= {f"{own}.{layer}": f"{theirs}.{name}" for own, theirs in blocks.items() for layer, name in layers.items()}
    names |= {"denoiser.down.0.1": "x.m_down1.1", "denoiser.down.1.1": "x.m_down2.1"}
    return names | {"denoiser.up.0.0": "x.m_up2.0", "denoiser.up.1.0": "x.m_up1.0"}


@register(
    tasks={"hs"},
    title="HMPNet",
    year=2023,
    paper="Tian, Li, Zhang, Wang, Ma, IEEE TNNLS, 2023",
    doi="10.1109/TNNLS.2023.3278928",
    licence="Apache-2.0 (CF2N's copy); written from a fact sheet, not from that code",
    faithful="with all three images equal to the released network with weights given by a formula, five iterations",
    inferred=(
        "the published method fuses three images; the benchmark has no multispectral one, whose term is then left out",
        "a guide of several bands: PAN first, the others are the multispectral image, brought to half the guide's size",
        "the loss takes forward differences down and to the right as the gradient",
    ),
)
class HMPNet(OfficialNetwork):
    """Five rounds of gradient descent on the data terms, each followed by a denoiser that sees what PAN lacks.

    Args:
        sensor: sensor of the images.
        guide_bands: 1 for PAN alone, more for PAN and a multispectral image.
    """

    official: ClassVar = _official()

    recipe = Recipe(
        "L1 + 0.3 L1 of absolute gradients",
        6.25e-5,
        10,
        301,
        weight_decay=1e-8,
        notes=("published: 5e-4, halved at the steps (not epochs) 25, 50 and 100; the rate after these is taken",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands, multispectral = sensor.count, guide_bands - 1
        if multispectral:
            self.respond = nn.Conv2d(bands, multispectral, 1, bias=False)
            self.transpose = nn.Conv2d(multispectral, bands, 1, bias=False)
        widths = (len(TERMS), 64, 64, len(TERMS) * ITERATIONS)
        layers = [nn.Conv2d(a, b, 1) for a, b in pairwise(widths)]
        self.sizes = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.denoiser = Denoiser(bands)
        self.to_pan, self.from_pan = _two_layers(bands), _two_layers(bands)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse ms with PAN and, where the guide has more bands, with the multispectral image they form."""
        height, width = guide.shape[-2:]
        rest = resized(guide[:, 1:], torch.Size((height // 2, width // 2))) if self.guide_bands > 1 else None
        return self.unfold(ms, rest, guide[:, :1])

    def unfold(self, ms: Tensor, multispectral: Tensor | None, pan: Tensor) -> Tensor:
        """Fuse ms (B, C, h, w), a multispectral image of a size between or None, and pan (B, 1, H, W) into (B, C, H, W)."""
        sizes = functional.softplus(self.sizes(pan.new_tensor(TERMS).view(1, -1, 1, 1))) + 1e-6
        x = resized(ms, pan.shape[-2:])
        for step, weight, noise in sizes.view(len(TERMS), ITERATIONS).T:
            z = x - step * resized(resized(x, ms.shape[-2:]) - ms, pan.shape[-2:])
            if multispectral is not None:
                error = self.respond(resized(x, multispectral.shape[-2:])) - multispectral
                z = z - step * weight * resized(self.transpose(error), pan.shape[-2:])
            missing = torch.cat([self.to_pan(fast_layout(z)) - pan, noise.expand_as(pan)], 1)
            x = self.from_pan(pan + self.denoiser(missing))
        return x

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Mean absolute error of the image, and of its absolute differences of neighbours."""
        fused = self.fuse(ms, lms, guide)
        edges = [functional.l1_loss(fused.diff(dim=axis).abs(), gt.diff(dim=axis).abs()) for axis in (2, 3)]
        return functional.l1_loss(fused, gt) + 0.3 * (edges[0] + edges[1])
