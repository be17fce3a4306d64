"""Content-adaptive convolution: a static kernel whose taps are modulated by a kernel of its own at every pixel.

    y_o(p) = b_o + sum over c, u of W[o, c, u] * kappa(p)[u, c] * x_c(p + u),   zero padding

The forward and backward passes are written out by hand. Images become flat lists of pixels (channels last) with one shared
border of zeros, in which the neighbour u of every pixel lies at one constant offset: a k x k window is then a strided view,
and any run of pixels can be treated alone. Runs are short enough to stay in cache, so neither the k*k*C unfolded image nor
the k*k*C kernel of a pixel ever exists for the whole image, in training either: backward computes them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements of one k*k*C buffer: near the second-level cache of a CPU core; a GPU wants few launches instead.
CPU_RUN = 1 << 19
GPU_RUN = 1 << 26


def shared_adaptive_conv(x: Tensor, kernel: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with a kernel per pixel that all input channels share.

    Args:
        x: input (B, C, H, W).
        kernel: kappa (B, k*k, H, W), taps in row-major order.
        weight: static weight (O, C, k, k), k odd.
        bias: bias of the outputs (O,).

    Returns:
        (B, O, H, W).
    """
    return _convolve(x, kernel, None, weight, bias)


def adaptive_conv(x: Tensor, code: Tensor, expand: Tensor, expand_bias: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with a kernel per pixel and input channel, given as a 1x1 convolution of a small code.

    Args:
        x: input (B, C, H, W).
        code: codes of the kernels (B, J, H, W); the kernel is kappa = expand * code + expand_bias.
        expand: weight of the 1x1 convolution (k*k*C, J, 1, 1), taps in row-major order outside, channels inside.
        expand_bias: bias of that convolution (k*k*C,).
        weight: static weight (O, C, k, k), k odd.
        bias: bias of the outputs (O,).

    Returns:
        (B, O, H, W).
    """
    return _convolve(x, code, (expand.flatten(1).T, expand_bias), weight, bias)


def padding_positions(x: Tensor, size: int) -> int:
    """Positions between image rows that are computed too, for an input (B, C, H, W) and kernels of size x size."""
    batch, _, height, width = x.shape
    return _Grid(batch, height, width, size).span - batch * height * width


def _convolve(x: Tensor, code: Tensor, expand: tuple[Tensor, Tensor] | None, weight: Tensor, bias: Tensor) -> Tensor:
    # Autocast does not reach the products that write into buffers, so its type is applied here.
    device = x.device.type
    automatic = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if automatic else x.dtype
    matrix = weight.permute(2, 3, 1, 0).reshape(-1, len(weight)).to(dtype)
    gain, offset = (None, None) if expand is None else (part.to(dtype) for part in expand)
    y: Tensor = _AdaptiveConv.apply(x.to(dtype), code.to(dtype), gain, offset, matrix, weight.shape[-1])
    return y + bias.to(dtype)[:, None, None]


@dataclass(frozen=True)
class _Grid:
    """Where pixels lie in the flat list: rows of width + r, images of height + r rows, r = k // 2 zeros at each end."""

    batch: int
    height: int
    width: int
    size: int

    @property
    def border(self) -> int:
        return self.size // 2

    @property
    def pitch(self) -> int:
        return self.width + self.border

    @property
    def lead(self) -> int:
        """Zeros before the first pixel: the flat distance to the first tap."""
        return self.border * (self.pitch + 1)

    @property
    def span(self) -> int:
        """Positions from the first to the last pixel; those between the rows are computed too and thrown away."""
        return self.batch * (self.height + self.border) * self.pitch - self.lead

    def image(self, flat: Tensor) -> Tensor:
        """View a flat list (lead + span + lead, C), or one without the first lead, as images (B, C, H, W)."""
        rows, channels = self.height + self.border, flat.shape[1]
        whole = flat[-(self.span + self.lead) :].view(self.batch, rows, self.pitch, channels)
        return whole[:, : self.height, : self.width].permute(0, 3, 1, 2)

    def flatten(self, x: Tensor, lead: int = 0) -> Tensor:
        """Copy images (B, C, H, W) into a list (lead + span + lead of the grid, C) with zeros around them."""
        flat = x.new_zeros(lead + self.span + self.lead, x.shape[1])
        self.image(flat).copy_(x)
        return flat

    def runs(self, channels: int, device: torch.device) -> list[slice]:
        """Equal stretches of the span whose k*k*C buffers stay near the cache."""
        budget = CPU_RUN if device.type == "cpu" else GPU_RUN
        length = max(budget // (self.size**2 * channels), 64)
        count = ceil(self.span / length)
        length = ceil(self.span / count)
        return [slice(start, min(start + length, self.span)) for start in range(0, self.span, length)]

    def split(self, buffers: Tensor, run: slice) -> tuple[Tensor, ...]:
        """The buffers (n, length, k*k*C) as n buffers (L, k, k, C) of a run."""
        return buffers[:, : run.stop - run.start].unflatten(2, (self.size, self.size, -1)).unbind()

    def windows(self, flat: Tensor, run: slice) -> Tensor:
        """The k x k windows of a run as a view (L, k, k, C) of a list that starts with the lead."""
        channels = flat.shape[1]
        strides = (channels, self.pitch * channels, channels, 1)
        return flat.as_strided((run.stop - run.start, self.size, self.size, channels), strides, run.start * channels)


class _AdaptiveConv(torch.autograd.Function):
    """The product without bias: x (B, C, H, W), code (B, J, H, W), matrix (k*k*C, O).

    kappa = code * gain + offset, gain (J, k*k*C), offset (k*k*C,); without them the code itself is the kernel, J = k*k.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, code: Tensor, gain: Tensor | None, offset: Tensor | None, matrix: Tensor, size: int
    ) -> Tensor:
        grid = _Grid(len(x), x.shape[2], x.shape[3], size)
        pixels, codes = grid.flatten(x, grid.lead), grid.flatten(code)
        ctx.grid = grid
        ctx.save_for_backward(pixels, codes, gain, offset, matrix)
        out = x.new_empty(grid.span + grid.lead, matrix.shape[1])
        runs = grid.runs(x.shape[1], x.device)
        buffers = _buffers(2, runs, matrix)
        for run in runs:
            columns, kernel = grid.split(buffers, run)
            kernel = _kernel(codes[run], gain, offset, kernel)
            torch.mul(grid.windows(pixels, run), kernel, out=columns)
            torch.mm(columns.flatten(1), matrix, out=out[run])
        return grid.image(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pixels, codes, gain, offset, matrix = ctx.saved_tensors
        grid: _Grid = ctx.grid
        outer = grid.flatten(grad)
        d_pixels, d_codes, d_matrix = torch.zeros_like(pixels), torch.empty_like(codes), torch.zeros_like(matrix)
        d_gain, d_offset = (None, None) if gain is None else (torch.zeros_like(gain), torch.zeros_like(offset))
        runs = grid.runs(pixels.shape[1], pixels.device)
        buffers = _buffers(3, runs, matrix)
        for run in runs:
            columns, d_columns, kernel = grid.split(buffers, run)
            windows, kernel = grid.windows(pixels, run), _kernel(codes[run], gain, offset, kernel)
            torch.mul(windows, kernel, out=columns)
            d_matrix.addmm_(columns.flatten(1).T, outer[run])
            torch.mm(outer[run], matrix.T, out=d_columns.flatten(1))
            d_kernel = torch.mul(d_columns, windows, out=columns).flatten(1)
            if d_gain is None or d_offset is None:
                torch.sum(d_kernel.unflatten(1, (-1, pixels.shape[1])), 2, out=d_codes[run])
            else:
                d_gain.addmm_(codes[run].T, d_kernel)
                d_offset += d_kernel.sum(0)
                torch.mm(d_kernel, gain.T, out=d_codes[run])
            _scatter(grid, d_pixels, d_columns, kernel, run.start)
        return grid.image(d_pixels), grid.image(d_codes), d_gain, d_offset, d_matrix, None


def _buffers(count: int, runs: list[slice], matrix: Tensor) -> Tensor:
    # Allocated once: fresh megabytes for every run would cost more than the arithmetic.
    return matrix.new_empty(count, runs[0].stop, len(matrix))


def _kernel(codes: Tensor, gain: Tensor | None, offset: Tensor | None, buffer: Tensor) -> Tensor:
    """The kernels of a run (L, k, k, 1 or C), written into `buffer` if they must be expanded."""
    if gain is None or offset is None:
        return codes.view(*buffer.shape[:3], 1)
    torch.addmm(offset, codes, gain, out=buffer.flatten(1))
    return buffer


def _scatter(grid: _Grid, target: Tensor, values: Tensor, kernel: Tensor, start: int) -> None:
    """Add values * kernel (L, k, k, C) to the windows that they came from.

    Windows of every k-th pixel do not overlap and touch each other, so k rows of k shifts fill them, k*C elements at a time.
    """
    size, channels = grid.size, target.shape[1]
    for shift in range(size):
        count = len(range(shift, len(values), size))
        for row in range(size):
            first = start + shift + row * grid.pitch
            block = target[first : first + count * size].view(count, size, channels)
            block.addcmul_(values[shift::size, row], kernel[shift::size, row])
