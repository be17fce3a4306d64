"""CF2N: cross fusion with fine-grained detail reconstruction (Liu, Zhang, Wang, Xiang, Xie, Geo-spatial Inf. Sci., 2024).

The network file was never published. This one follows the published framework figure; what the figure leaves open is listed
in the card (`inferred`) and explained in docs/cf2n.md.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import Network, register
from waldbench.methods.deep._adaptive import adaptive_conv, padding_positions, shared_adaptive_conv
from waldbench.methods.deep._layers import (
    AdaptiveWeightedFusion,
    DilatedDepthwise,
    HeadResidualBlock,
    Pointwise,
    convolution,
    fast_layout,
    haar,
    high_pass,
    inverse_haar,
    mean,
    planes,
)
from waldbench.methods.recipes import Recipe

TAPS = 3


class DetailReconstruction(nn.Module):
    """FD2R: details (B, bands, H, W) rebuilt from the Haar sub-bands of the guide's and the image's features."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.across = nn.ModuleList(AdaptiveWeightedFusion(channels) for _ in range(4))
        self.upwards = nn.ModuleList(AdaptiveWeightedFusion(channels) for _ in range(3))
        self.to_bands = nn.Identity() if channels == 4 * bands else Pointwise(channels, 4 * bands)

    def forward(self, guide: Tensor, image: Tensor) -> Tensor:
        """Fuse each pair of sub-bands, then the sub-bands from high to low frequency."""
        pairs = zip(self.across, haar(guide), haar(image), strict=True)
        low_low, high_low, low_high, high_high = (fuse(p, m) for fuse, p, m in pairs)
        details = self.upwards[0](high_low, low_high)
        details = self.upwards[1](details, high_high)
        return inverse_haar(self.to_bands(self.upwards[2](details, low_low)))


class FrequencyAttention(nn.Module):
    """FDA: a kernel per pixel (B, k*k, H, W), shared by all channels, in (0, 1)."""

    planes = staticmethod(planes)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = HeadResidualBlock(channels, channels)
        self.kernel = convolution(2, TAPS**2)

    def forward(self, x: Tensor) -> Tensor:
        """Kernels of x (B, C, H, W)."""
        return self.kernel(self.planes(self.block(x))).sigmoid()


class SpectralAttention(nn.Module):
    """SDA: a weight per channel and image (B, C, 1, 1), in (0, 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = convolution(channels, channels)
        self.fuse = AdaptiveWeightedFusion(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Weights of x (B, C, H, W)."""
        y = self.conv(x)
        return 2 * self.fuse(mean(y, (2, 3)), y.amax((2, 3), keepdim=True)).sigmoid()


class FrequencySelection(nn.Module):
    """FSM: a code per pixel (B, C/2, H, W) that `expand` turns into a kernel per pixel and channel."""

    planes = staticmethod(planes)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = convolution(channels, channels, groups=channels)
        self.far = DilatedDepthwise(channels, dilation=3)
        self.squeeze_near = Pointwise(channels, channels // 2)
        self.squeeze_far = Pointwise(channels, channels // 2)
        self.gates = convolution(2, 2, 7)
        self.fuse = AdaptiveWeightedFusion(channels // 2)
        self.expand = Pointwise(channels // 2, TAPS**2 * channels)
        # Kernels start near 1 with a spread of 1/2 for codes of unit variance.
        nn.init.normal_(self.expand.weight, std=0.5 / sqrt(channels // 2))
        nn.init.constant_(self.expand.bias, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Codes of x (B, C, H, W): the far context gated by the first gate, the near one by the second."""
        near = self.near(x)
        far = self.squeeze_far(self.far(near))
        near = self.squeeze_near(near)
        first, second = self.gates(self.planes(torch.cat([near, far], 1))).sigmoid().chunk(2, 1)
        return self.fuse(far * first, near * second)


class AdaptiveWeight(nn.Module):
    """The static weight and bias of a content-adaptive convolution; `gain` is the factor on a variance-preserving start."""

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, TAPS, TAPS) * gain / sqrt(inputs * TAPS**2))
        self.bias = nn.Parameter(torch.zeros(outputs))


class CrossFusion(nn.Module):
    """FSCFM: convolve with the frequency-domain kernel, then with the one that the result itself selects.

    Both are multiplied by the spectral-domain kernel, which depends on the channel only and is therefore applied to the input.
    """

    def __init__(self, channels: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.frequency = FrequencyAttention(channels)
        self.spectral = SpectralAttention(channels)
        self.select = FrequencySelection(channels)
        # The kernels of `frequency` start near 1/2.
        self.inner = AdaptiveWeight(channels, channels, gain=2.0)
        self.outer = AdaptiveWeight(channels, outputs, gain=gain)

    def forward(self, details: Tensor, image: Tensor) -> Tensor:
        """Map details and image features (B, C, H, W) to (B, outputs, H, W)."""
        spectral = self.spectral(image)
        middle = shared_adaptive_conv(details * spectral, self.frequency(details), self.inner.weight, self.inner.bias)
        code, expand = self.select(middle), self.select.expand
        return adaptive_conv(middle * spectral, code, expand.weight, expand.bias, self.outer.weight, self.outer.bias)

    def padding_macs(self, details: Tensor, image: Tensor) -> int:
        """Products with the zeros between image rows, which the definition does not know."""
        weights = (self.inner.weight, self.select.expand.weight, self.outer.weight)
        return sum(weight.numel() for weight in weights) * padding_positions(details, self.inner.weight.shape[-1])


class DetailInjection(nn.Module):
    """MDI: features (B, C, H, W) of the high-pass filtered guide and image."""

    def __init__(self, guide_bands: int, bands: int, channels: int) -> None:
        super().__init__()
        self.guide = HeadResidualBlock(guide_bands, channels)
        self.image = HeadResidualBlock(bands, channels)
        self.fuse = AdaptiveWeightedFusion(channels)

    def forward(self, guide: Tensor, image: Tensor) -> Tensor:
        """Fuse the high frequencies of guide (B, G, H, W) and image (B, bands, H, W)."""
        return self.fuse(self.guide(guide), self.image(image))


@register(
    tasks={"ms", "hs", "sar"},
    title="CF2N",
    year=2024,
    paper="Liu, Zhang, Wang, Xiang, Xie, Geo-spatial Information Science, 2024",
    doi="10.1080/10095020.2024.2416899",
    licence="Apache-2.0 repository without the network file",
    faithful="modules, their order and shapes as in the published figure; L1 loss and Haar wavelet of the repository",
    inferred=(
        "adaptive weighted fusion: gated mean plus gated half difference, 1x1 gates that see both inputs",
        "content-adaptive convolution: a static weight times the kernel of the pixel, k = 3",
        "high- and low-frequency planes: maximum and mean over channels (over the image in the spectral attention)",
        "spectral weights are 2 sigmoid(.), computed once per cross fusion",
        "frequency selection: depth-wise 3x3 and dilated 3x3, 7x7 gate, kernels expanded by a 1x1 convolution with bias 1",
        "sub-bands join in the order HL + LH, HH, LL, and one fused map of 4 B channels enters the inverse wavelet",
        "width 32 (64 above 16 bands), 1x1 convolution to 4 B channels where the width is not 4 B",
        "n = 4 cross fusions and m = n - 1 injections with weights of their own, added to the fused features",
        "high-pass: minus the 5x5 mean; injections see the guide and the interpolated image",
        "the interpolated image is added to the output; variance-preserving start near it",
        "LReLU slope 0.01, one activation after the encoder, odd sizes padded by replication",
        "a guide of two channels (SAR) enters whole",
    ),
)
class CF2N(Network):
    """Details rebuilt in the wavelet domain and injected by kernels that frequency and spectral attention cross-fuse.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        channels: width C, even; default 32 up to 16 bands, else 64.
        iterations: number n of cross fusions; n - 1 detail injections lie between them.

    Raises:
        ValueError: if channels is odd or iterations below 1.
    """

    recipe = Recipe("l1", 3e-4, 32, 600, schedule="milestones", milestones=(100,), gamma=0.9)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, channels: int | None = None, iterations: int = 4) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        width = channels if channels is not None else 32 if bands <= 16 else 64
        if width < 2 or width % 2:
            raise ValueError(f"channels: expected an even number of at least 2, got {width}")
        if iterations < 1:
            raise ValueError(f"iterations: expected at least 1, got {iterations}")
        self.guide_head = HeadResidualBlock(guide_bands, width)
        self.image_head = HeadResidualBlock(bands, width)
        self.reconstruct = DetailReconstruction(width, bands)
        self.encode = convolution(bands, width)
        steps = range(iterations - 1)
        self.fusions = nn.ModuleList([CrossFusion(width, width, gain=1.0) for _ in steps])
        # A tenth: the untrained network starts near lms.
        self.fusions.append(CrossFusion(width, bands, gain=0.1))
        self.injections = nn.ModuleList([DetailInjection(guide_bands, bands, width) for _ in steps])

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details that the last cross fusion injects."""
        height, width = lms.shape[-2:]
        image, guide = (fast_layout(functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")) for x in (lms, guide))
        features = self.image_head(image)
        details = functional.leaky_relu(self.encode(self.reconstruct(self.guide_head(guide), features)))
        high_guide, high_image = fast_layout(high_pass(guide)), fast_layout(high_pass(image))
        for fusion, inject in zip(self.fusions, self.injections, strict=False):
            details = fusion(details, features) + inject(high_guide, high_image)
        return (image + self.fusions[-1](details, features))[..., :height, :width]


@register(
    "cf2n-lite",
    tasks={"ms", "hs", "sar"},
    title="CF2N-lite",
    year=2024,
    paper="Liu, Zhang, Wang, Xiang, Xie, Geo-spatial Information Science, 2024",
    doi="10.1080/10095020.2024.2416899",
    licence="Apache-2.0 repository without the network file",
    faithful="as cf2n",
    inferred=("a smaller size of our own: n = 2 cross fusions, m = 1 injection", "everything that is inferred in cf2n"),
)
class CF2NLite(CF2N):
    """CF2N with two cross fusions: half the parameters and half the time.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        channels: width C, even; default 32 up to 16 bands, else 64.
        iterations: number n of cross fusions.
    """

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, channels: int | None = None, iterations: int = 2) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands, channels=channels, iterations=iterations)
