"""SFIIN: spatial and frequency features of image and guide, integrated five times over (Zhou et al., ECCV, 2022)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.deep._released import RenamedNetwork
from waldbench.methods.recipes import Recipe

BLOCKS, GROWTH = 5, 8
# Slopes of the leaky ReLUs, inside the units and after them; limit of the logarithm of the scales; what keeps spectra off zero.
INNER_SLOPE, OUTER_SLOPE, LIMIT, SHIFT = 0.1, 0.2, 0.8, 1e-8


def _pair(inputs: int, middle: int, outputs: int, size: int, activation: nn.Module | None = None) -> nn.Sequential:
    layers = convolution(inputs, middle, size), activation or nn.LeakyReLU(INNER_SLOPE), convolution(middle, outputs, size)
    return nn.Sequential(*layers)


class Unit(nn.Module):
    """Two activated 3x3 convolutions and a 1x1 convolution beside them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.identity = convolution(inputs, outputs, 1)
        self.convolutions = _pair(inputs, outputs, outputs, 3).append(nn.LeakyReLU(INNER_SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.convolutions(x) + self.identity(x)


class DenseBlock(nn.Module):
    """Two units and a convolution of everything before it; starts near zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.units = nn.ModuleList((Unit(channels, GROWTH), Unit(GROWTH, GROWTH)))
        self.join = convolution(channels + 2 * GROWTH, channels)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.xavier_normal_(layer.weight, 0.1)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        stack = [x]
        for unit in self.units:
            stack.append(functional.leaky_relu(unit(stack[-1]), OUTER_SLOPE))
        return functional.leaky_relu(self.join(torch.cat(stack, 1)), OUTER_SLOPE)


class InvertibleMixing(nn.Module):
    """A 1x1 convolution whose matrix is kept as the factors P L U of its start, a random rotation (Kingma, Dhariwal, 2018).

    Only what lies below the diagonal of `lower` and above that of `upper` has an effect.
    """

    permutation: Tensor
    signs: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("permutation", permutation)
        self.register_buffer("signs", upper.diagonal().sign())
        self.lower = nn.Parameter(lower)
        self.log_scales = nn.Parameter(upper.diagonal().abs().log())
        self.upper = nn.Parameter(upper.triu(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        lower = self.lower.tril(-1) + torch.eye(len(self.lower), device=x.device, dtype=self.lower.dtype)
        upper = self.upper.triu(1) + (self.signs * self.log_scales.exp()).diag()
        return functional.conv2d(x, (self.permutation @ lower @ upper)[..., None, None])


class Coupling(nn.Module):
    """A mixing and two affine steps, in which each half of the channels changes the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = InvertibleMixing(2 * channels)
        self.shift_first, self.shift_second, self.scale_second = (DenseBlock(channels) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 2 C, H, W) to the same shape."""
        first, second = self.mix(x).chunk(2, 1)
        first = first + self.shift_first(second)
        gain = LIMIT * (2 * self.scale_second(first).sigmoid() - 1)
        return torch.cat([first, second * gain.exp() + self.shift_second(first)], 1)


class FrequencyFusion(nn.Module):
    """Amplitudes and phases of image and guide, fused by 1x1 convolutions over the spectrum of the whole image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_image, self.of_guide = convolution(channels, channels, 1), convolution(channels, channels, 1)
        self.amplitude = _pair(2 * channels, channels, channels, 1)
        self.phase = _pair(2 * channels, channels, channels, 1)
        self.out = convolution(channels, channels, 1)

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """Map image and guide (B, C, H, W) to features of the same shape."""
        spectra = [_spectrum(self.of_image(image)), _spectrum(self.of_guide(guide))]
        amplitude = self.amplitude(torch.cat([z.abs() for z in spectra], 1))
        phase = self.phase(torch.cat([z.angle() for z in spectra], 1))
        return self.out(_image(amplitude.to(spectra[0].real), phase.to(spectra[0].real), image.shape[-1]).abs())


def _spectrum(x: Tensor) -> Tensor:
    # Half precision has no Fourier transform of every size.
    x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    return torch.fft.rfft2(x.contiguous() + SHIFT)


def _image(amplitude: Tensor, phase: Tensor, width: int) -> Tensor:
    """The real image of a half spectrum that need not be that of a real image.

    Row by row its imaginary parts at zero and at the highest frequency do not count. The two transforms one after the other say
    so on every device; a two-dimensional one leaves it open.
    """
    spectrum = torch.complex(amplitude * phase.cos() + 2 * SHIFT, amplitude * phase.sin() + SHIFT)
    return torch.fft.irfft(torch.fft.ifft(spectrum, dim=-2), n=width, dim=-1)


class IntegrationBlock(nn.Module):
    """Spatial and frequency features, gated per pixel and per channel and added to those of the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.next_guide = convolution(channels, channels)
        self.guide = convolution(channels, channels, 1)
        self.spatial = nn.Sequential(Coupling(channels), convolution(2 * channels, channels, 1))
        self.frequency = FrequencyFusion(channels)
        self.pixel_gate = _pair(channels, channels // 2, channels, 3)
        self.channel_gate = _pair(2 * channels, channels // 2, 2 * channels, 1)
        self.out = convolution(2 * channels, channels)

    def forward(self, image: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Map the features of image and guide (B, C, H, W) to the next ones."""
        following = self.next_guide(guide)
        guide = self.guide(following)
        spatial = self.spatial(torch.cat([image, guide], 1))
        frequency = self.frequency(image, guide)
        both = torch.cat([frequency * self.pixel_gate(spatial - frequency).sigmoid() + spatial, frequency], 1)
        spread = both.std((2, 3), correction=0, keepdim=True) + both.mean((2, 3), keepdim=True)
        return image + self.out(self.channel_gate(spread).sigmoid() * both), following


class Refinement(nn.Module):
    """Two convolutions around a constant per channel, which depends on the channel means of further ones."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.describe = _pair(channels, channels, channels, 3, nn.ReLU())
        self.gate = _pair(channels, channels // 4, channels, 1, nn.ReLU())
        self.last = convolution(channels, bands)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, bands, H, W)."""
        x = self.first(x)
        means = self.describe(x).mean((2, 3), keepdim=True)
        return self.last(x + means * self.gate(means).sigmoid())


@register(
    tasks={"ms", "hs"},
    title="SFIIN",
    year=2022,
    paper="Zhou, Huang, Yan, Yu, Fu, Liu, Wei, Zhao, ECCV 2022",
    doi="10.1007/978-3-031-19797-0_16",
    licence="none stated (manman1995/Awaresome-pansharpening); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula, parameters without effect in its invertible "
    "convolutions included",
    inferred=(
        "8 channels, as in a community port (LGTEUN): the authors' number is not in their code; `width` sets another",
        "several guide bands: the first layer of the guide reads them all",
        "the released code enlarges ms by bicubic interpolation; here lms is what the benchmark gives every network",
    ),
)
class SFIIN(RenamedNetwork):
    """lms plus what five blocks gather from pixels and from the Fourier transforms of the whole image.

    A phase near pi jumps to -pi by rounding alone: two machines agree to about 1e-5 of the scale in single precision.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        width: channels of the features, a multiple of 4.

    Raises:
        ValueError: for another width.
    """

    renamed: ClassVar = (
        (r"^image_head\.", "process.conv_p."),
        (r"^guide_head\.", "process.conv_p1."),
        (r"^blocks\.0\.", "process.block."),
        (r"^blocks\.(\d)\.", r"process.block\1."),
        (r"^join\.", "process.fuse."),
        (r"\.next_guide\.", ".panprocess."),
        (r"^(process\.block\d?)\.guide\.", r"\1.panpre."),
        (r"\.spatial\.", ".spa_process."),
        (r"\.mix\.permutation$", ".invconv.p"),
        (r"\.mix\.signs$", ".invconv.sign_s"),
        (r"\.mix\.lower$", ".invconv.l"),
        (r"\.mix\.log_scales$", ".invconv.log_s"),
        (r"\.mix\.upper$", ".invconv.u"),
        (r"\.shift_first\.", ".F."),
        (r"\.shift_second\.", ".G."),
        (r"\.scale_second\.", ".H."),
        *((rf"\.units\.{i}\.", f".conv{i + 1}.") for i in range(2)),
        (r"\.([FGH])\.join\.", r".\1.conv3."),
        (r"\.convolutions\.0\.", ".conv_1."),
        (r"\.convolutions\.2\.", ".conv_2."),
        (r"\.frequency\.of_image\.", ".fre_process.pre1."),
        (r"\.frequency\.of_guide\.", ".fre_process.pre2."),
        (r"\.frequency\.amplitude\.", ".fre_process.amp_fuse."),
        (r"\.frequency\.phase\.", ".fre_process.pha_fuse."),
        (r"\.frequency\.out\.", ".fre_process.post."),
        (r"\.pixel_gate\.", ".spa_att."),
        (r"\.channel_gate\.", ".cha_att."),
        (r"^(process\.block\d?)\.out\.", r"\1.post."),
        (r"^refine\.first\.", "refine.conv_in."),
        (r"^refine\.last\.", "refine.conv_last."),
        (r"^refine\.gate\.", "refine.process.0.conv_du."),
        (r"^refine\.describe\.", "refine.process.0.process."),
    )

    recipe = Recipe(
        "L1 summed over all pixels and bands, divided by twice the batch",
        5e-4,
        4,
        500,
        schedule="every",
        every=200,
        gamma=0.1,
        clip=40.0,
        notes=("the released code reads images of 8 bits",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, width: int = 8) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        if width < 4 or width % 4:
            raise ValueError(f"width: expected a multiple of 4, got {width}")
        self.image_head = convolution(sensor.count, width)
        self.guide_head = convolution(guide_bands, width)
        self.blocks = nn.ModuleList(IntegrationBlock(width) for _ in range(BLOCKS))
        self.join = convolution(BLOCKS * width, width, 1)
        self.refine = Refinement(width, sensor.count)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms what the blocks find in it and the guide."""
        image, detail = self.image_head(fast_layout(lms)), self.guide_head(fast_layout(guide))
        kept = []
        for block in self.blocks:
            image, detail = block(image, detail)
            kept.append(image)
        return lms + self.refine(self.join(torch.cat(kept, 1)))

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Sum of the absolute errors, divided by twice the batch."""
        return (self.fuse(ms, lms, guide) - gt).abs().sum() / (2 * len(gt))
