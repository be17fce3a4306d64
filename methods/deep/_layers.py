"""Layers that several networks share: residual blocks, Haar wavelets, adaptive weighted fusion, high-pass, initialisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def convolution(inputs: int, outputs: int, size: int = 3, *, groups: int = 1, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    """A size x size convolution with stride 1 and zero padding that keeps the image size."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2 * dilation, groups=groups, dilation=dilation, bias=bias)


def reflecting(inputs: int, outputs: int, size: int = 3, *, groups: int = 1, bias: bool = True) -> nn.Conv2d:
    """A convolution like `convolution` whose borders are reflected."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=bias, padding_mode="reflect")


class Pointwise(nn.Conv2d):
    """A 1x1 convolution as one matrix product over all pixels: on a CPU, torch has no fast path of its own for it."""

    bias: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W), channels last in memory."""
        return functional.linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0, 0], self.bias).permute(0, 3, 1, 2)


class DilatedDepthwise(nn.Conv2d):
    """A depth-wise 3x3 convolution with dilation whose gradients are written out: torch's own take five times as long."""

    bias: Tensor

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__(channels, channels, 3, padding=dilation, groups=channels, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        device = x.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            x = x.to(torch.get_autocast_dtype(device))
        y: Tensor = _DilatedDepthwise.apply(x, self.weight.to(x.dtype), self.dilation[0])
        return y + self.bias.to(x.dtype)[:, None, None]


class _DilatedDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return functional.conv2d(x, weight, padding=dilation, dilation=dilation, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        step, (height, width) = ctx.dilation, x.shape[-2:]
        d_x = functional.conv2d(grad, weight.flip(2, 3), padding=step, dilation=step, groups=len(weight))
        wide = functional.pad(x, (step,) * 4)
        taps = [
            wide[..., row : row + height, column : column + width]
            for row in (0, step, 2 * step)
            for column in (0, step, 2 * step)
        ]
        d_weight = torch.stack([(tap * grad).sum((0, 2, 3)) for tap in taps], 1)
        return d_x, d_weight.view(weight.shape), None


def fast_layout(x: Tensor) -> Tensor:
    """The same images with channels last in memory, in which 3x3 convolutions of large images run about twice as fast.

    Not under bfloat16 on a CPU: there, torch 2.13 computes NaN gradients for the weights of dilated convolutions in that layout.
    """
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        return x.contiguous()
    if x.shape[1] == 1:
        # Both layouts are the same memory; without the right strides torch goes on with channels first.
        height, width = x.shape[-2:]
        return x.contiguous().as_strided(x.shape, (height * width, 1, width, 1))
    return x.contiguous(memory_format=torch.channels_last)


class ResidualBlock(nn.Module):
    """The sum x + conv(ReLU(conv(x))), 3x3, without normalisation and without an activation after the sum (PanNet, FusionNet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.second(functional.relu(self.first(x)))


class HeadResidualBlock(nn.Module):
    """y + conv(LReLU(conv(y))) with y = conv(x), all 3x3: changes the number of channels first (CF2N)."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.head = convolution(inputs, channels)
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, channels, H, W)."""
        y = self.head(x)
        return y + self.second(functional.leaky_relu(self.first(y)))


class AdaptiveWeightedFusion(nn.Module):
    """Fuse two maps from what they share, (x + y) / 2, and what sets them apart, (x - y) / 2, each with an adaptive gate.

    Both gates see both inputs; at the start the result is near the mean.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = Pointwise(2 * channels, 2 * channels)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Fuse x and y (B, C, H, W) into (B, C, H, W)."""
        shared, unique = self.gates(torch.cat([x, y], 1)).chunk(2, 1)
        # 2 sigmoid(s) (x + y) / 2 + tanh(u) (x - y) / 2; on a CPU, tanh takes six times as long as sigmoid.
        return shared.sigmoid() * (x + y) + ((2 * unique).sigmoid() - 0.5) * (x - y)


def haar(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Orthonormal Haar sub-bands LL, HL, LH, HH (B, C, H/2, W/2) of x (B, C, H, W), H and W even."""
    bands: tuple[Tensor, Tensor, Tensor, Tensor] = _Haar.apply(x)
    return bands


def inverse_haar(bands: Tensor) -> Tensor:
    """The image (B, C, 2h, 2w) of stacked sub-bands (B, 4C, h, w) in the order LL, HL, LH, HH; the transpose of `haar`."""
    image: Tensor = _InverseHaar.apply(*bands.chunk(4, 1))
    return image


class _Haar(torch.autograd.Function):
    """Orthonormal, so the inverse is the gradient; torch's own would go through four zero-filled images."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, ...]:
        return _analyse(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _synthesise(*grads)


class _InverseHaar(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *bands: Tensor) -> Tensor:
        return _synthesise(*bands)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return _analyse(grad)


def _analyse(x: Tensor) -> tuple[Tensor, ...]:
    a, b, c, d = (x[..., row::2, column::2] for column in (0, 1) for row in (0, 1))
    left, right, left_edge, right_edge = a + b, c + d, b - a, d - c
    return tuple(band.div_(2) for band in (left + right, right - left, left_edge + right_edge, right_edge - left_edge))


def _synthesise(low_low: Tensor, high_low: Tensor, low_high: Tensor, high_high: Tensor) -> Tensor:
    batch, channels, height, width = low_low.shape
    left, right, left_edge, right_edge = low_low - high_low, low_low + high_low, low_high - high_high, low_high + high_high
    image = low_low.new_empty(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
    torch.sub(left, left_edge, out=image[..., ::2, ::2])
    torch.add(left, left_edge, out=image[..., 1::2, ::2])
    torch.sub(right, right_edge, out=image[..., ::2, 1::2])
    torch.add(right, right_edge, out=image[..., 1::2, 1::2])
    return image.div_(2)


def mean(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Mean over `axes`, which stay with length 1; the gradient of torch's own mean would lose the channels-last layout."""
    total = x.sum(axes, keepdim=True)
    return total / (x.numel() // total.numel())


def planes(x: Tensor) -> Tensor:
    """Maximum and mean over the channels of x (B, C, H, W) as two planes (B, 2, H, W)."""
    return torch.cat([x.amax(1, keepdim=True), mean(x, (1,))], 1)


def high_pass(x: Tensor) -> Tensor:
    """The image x (B, C, H, W) minus its mean over 5x5 windows, reflected at the border; H and W at least 3."""
    return x - functional.avg_pool2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
