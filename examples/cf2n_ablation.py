"""CF2N under other readings of its published figure: one choice changed at a time, everything else as in `cf2n`.

    python run_bench.py --plugin examples/cf2n_ablation.py --methods cf2n cf2n-convex cf2n-add --dataset wv3 --seeds 1 2

docs/cf2n.md has the table of all of them. A plugin of one's own looks like this file: classes under `@register`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import AdaptiveWeightedFusion, Pointwise, mean
from waldbench.methods.deep.cf2n import CF2N, CrossFusion, FrequencyAttention, FrequencySelection, SpectralAttention


def replace(network: nn.Module, kind: type[nn.Module], make: Callable[[Any], nn.Module]) -> None:
    """Replace every module of a kind inside `network` by what `make` builds from it."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))


class ConvexGate(nn.Module):
    """One gate per pixel and channel: a x + (1 - a) y."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = Pointwise(2 * channels, channels)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Fuse x and y (B, C, H, W)."""
        return y + self.gate(torch.cat([x, y], 1)).sigmoid() * (x - y)


class Addition(nn.Module):
    """No gate at all: x + y."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Add x and y (B, C, H, W)."""
        return x + y


class RawSpectral(SpectralAttention):
    """Spectral weights without the 2 sigmoid(.) that bounds them."""

    def forward(self, x: Tensor) -> Tensor:
        """Weights (B, C, 1, 1) of x (B, C, H, W)."""
        y = self.conv(x)
        weights: Tensor = self.fuse(mean(y, (2, 3)), y.amax((2, 3), keepdim=True))
        return weights


class InvariantSpectral(SpectralAttention):
    """The mean distance from the local mean instead of the global maximum, which grows with the image."""

    def forward(self, x: Tensor) -> Tensor:
        """Weights (B, C, 1, 1) of x (B, C, H, W)."""
        y = self.conv(x)
        return 2 * self.fuse(mean(y, (2, 3)), mean((y - local_mean(y)).abs(), (2, 3))).sigmoid()


class Filtered(CrossFusion):
    """The kernels themselves filter each channel, normalised to mean 0 and norm 1 over the taps; a 1x1 convolution mixes."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, gain=1.0)
        self.inner, self.outer = Pointwise(channels, channels), Pointwise(channels, outputs)

    def forward(self, details: Tensor, image: Tensor) -> Tensor:
        """Map details and image features (B, C, H, W) to (B, outputs, H, W)."""
        spectral = self.spectral(image)
        middle = self.inner(filtered(details * spectral, self.frequency(details)[:, None]))
        kernels = self.select.expand(self.select(middle)).unflatten(1, (9, -1)).transpose(1, 2)
        result: Tensor = self.outer(filtered(middle * spectral, kernels))
        return result


def filtered(x: Tensor, kernels: Tensor) -> Tensor:
    """Depth-wise filtering of x (B, C, H, W) by normalised kernels (B, 1 or C, 9, H, W)."""
    kernels = functional.normalize(kernels - kernels.mean(2, keepdim=True), dim=2, eps=1e-4)
    return (functional.unfold(x, 3, padding=1).view(*x.shape[:2], 9, *x.shape[2:]) * kernels).sum(2)


def local_mean(x: Tensor) -> Tensor:
    """Mean over 3x3 windows of x (B, C, H, W), zeros outside left out."""
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def split_planes(x: Tensor) -> Tensor:
    """Planes (B, 2, H, W) that split frequencies: channel means of |x - local mean| and of the local mean."""
    low = local_mean(x)
    return torch.cat([mean((x - low).abs(), (1,)), mean(low, (1,))], 1)


def width(module: Any) -> int:
    """Channels of an adaptive weighted fusion."""
    return int(module.gates.out_channels) // 2


@register("cf2n-convex", tasks={"ms"}, title="CF2N, AWF convex gate", year=2024, paper="after Liu et al., 2024")
class Convex(CF2N):
    """AWF as one convex gate."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        replace(self, AdaptiveWeightedFusion, lambda module: ConvexGate(width(module)))


@register("cf2n-add", tasks={"ms"}, title="CF2N, AWF addition", year=2024, paper="after Liu et al., 2024")
class Add(CF2N):
    """AWF as plain addition."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        replace(self, AdaptiveWeightedFusion, lambda module: Addition())


@register(
    "cf2n-raw",
    tasks={"ms", "hs", "sar"},
    title="CF2N, unbounded spectral weights",
    year=2024,
    paper="after Liu et al., 2024",
)
class Raw(CF2N):
    """Spectral weights without 2 sigmoid(.)."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        replace(self, SpectralAttention, lambda module: RawSpectral(module.conv.out_channels))


@register(
    "cf2n-gap",
    tasks={"ms", "hs", "sar"},
    title="CF2N, size-invariant spectral weights",
    year=2024,
    paper="after Liu et al., 2024",
)
class Gap(CF2N):
    """Mean local contrast in place of the global maximum."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        replace(self, SpectralAttention, lambda module: InvariantSpectral(module.conv.out_channels))


@register("cf2n-split", tasks={"ms"}, title="CF2N, HF/LF by filtering", year=2024, paper="after Liu et al., 2024")
class Split(CF2N):
    """High- and low-frequency planes by a 3x3 mean instead of the maximum and the mean over channels."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        for module in self.modules():
            if isinstance(module, FrequencyAttention | FrequencySelection):
                module.planes = split_planes


@register(
    "cf2n-filter",
    tasks={"ms", "hs", "sar"},
    title="CF2N, kernels as depth-wise filters",
    year=2024,
    paper="after Liu et al., 2024",
)
class Filter(CF2N):
    """The kernel of a pixel is the filter itself instead of modulating a static weight."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        replace(self, CrossFusion, lambda module: Filtered(*module.outer.weight.shape[1::-1]))


@register("cf2n-plain", tasks={"ms"}, title="CF2N, plain initialisation", year=2024, paper="after Liu et al., 2024")
class Plain(CF2N):
    """Every adaptive convolution starts with deviation 1/sqrt(9 C)."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        with torch.no_grad():
            for fusion in self.fusions:
                fusion.inner.weight /= 2
            self.fusions[-1].outer.weight *= 10


@register("cf2n-no-skip", tasks={"ms"}, title="CF2N, without + lms", year=2024, paper="after Liu et al., 2024")
class NoSkip(CF2N):
    """The output is the last cross fusion alone, as drawn."""

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Take away the interpolated image that `cf2n` adds."""
        return super().fuse(ms, lms, guide) - lms


@register("cf2n-n3", tasks={"ms"}, title="CF2N, n = 3", year=2024, paper="after Liu et al., 2024")
class Three(CF2N):
    """Three cross fusions."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands, iterations=3)


@register("cf2n-n5", tasks={"ms"}, title="CF2N, n = 5", year=2024, paper="after Liu et al., 2024")
class Five(CF2N):
    """Five cross fusions."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands, iterations=5)
