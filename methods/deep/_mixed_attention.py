"""Self-attention in 7x7 windows, alone or mixed with a convolution of the same projections (ACmix, Pan et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.methods.deep._layers import Pointwise
from waldbench.methods.deep._parts import in_parts, rows_per_part

HEADS = 3
DEPTH = 3
CHANNELS = HEADS * DEPTH
WINDOW = 7
MARGIN = WINDOW // 2


class WindowSelfAttention(nn.Module):
    """Nine channels: r1 * attention in 7x7 windows, three heads of depth 3, with a learnt map of positions.

    H and W must be at least 4 (the windows are reflected at the border).
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.attention_rate = nn.Parameter(torch.full((1,), 0.5))
        self.query, self.key, self.value = (Pointwise(inputs, CHANNELS) for _ in range(3))
        self.position = Pointwise(2, DEPTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, 9, H, W)."""
        return self.attend(x, self.query(x), self.key(x), self.value(x))

    def attend(self, x: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The attention of x for its projections (B, 9, H, W)."""
        # The logits q (k(n) + pe(p) - pe(n)) of the neighbours n of p: q pe(p) is the same for all n and leaves the softmax.
        position = self.position(grid(x)).repeat(1, HEADS, 1, 1)
        return self.attention_rate * window_attention(query * DEPTH**-0.5, key - position, value)


class MixedAttention(WindowSelfAttention):
    """Attention in 7x7 windows plus r2 * (3x3 convolution made of shifts) of the same projections."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs)
        self.convolution_rate = nn.Parameter(torch.full((1,), 0.5))
        self.mix = nn.Conv2d(3 * HEADS, 9, 1, bias=False)
        self.shift = nn.Conv2d(9 * DEPTH, CHANNELS, 3, padding=1, groups=DEPTH, bias=False)
        self.start_from_shifts()

    def start_from_shifts(self) -> None:
        """Let the 3x3 convolution start as the sum of the nine shifts of its nine inputs."""
        shifts = torch.eye(9).view(9, 3, 3)
        with torch.no_grad():
            self.shift.weight.copy_(shifts.expand(CHANNELS, 9, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, 9, H, W)."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        return self.attend(x, query, key, value) + self.convolution_rate * self._convolve(query, key, value)

    def _convolve(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        batch, _, height, width = query.shape
        heads = torch.cat([part.reshape(batch, HEADS, DEPTH * height, width) for part in (query, key, value)], 1)
        mixed = self.mix(heads).view(batch, 9, DEPTH, height, width)
        return self.shift(mixed.transpose(1, 2).reshape(batch, -1, height, width))


def grid(x: Tensor) -> Tensor:
    """Horizontal and vertical coordinates in [-1, 1] of the pixels of x (B, C, H, W) as (1, 2, H, W)."""
    rows, columns = (torch.linspace(-1, 1, size, device=x.device, dtype=x.dtype) for size in x.shape[2:])
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None]


def window_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of every pixel to the 7x7 pixels around it, reflected at the border; all (B, 9, H, W).

    Strips of rows are treated one by one, so that the windows of a whole image never exist at once, in training either.
    """
    batch, _, height, width = query.shape
    rows = rows_per_part(batch * width * CHANNELS * WINDOW**2, query.device)
    key, value = (functional.pad(part.contiguous(), (MARGIN,) * 4, mode="reflect") for part in (key, value))
    strips = []
    for start in range(0, height, rows):
        strip = query[:, :, start : start + rows].contiguous()
        around = slice(start, start + strip.shape[2] + 2 * MARGIN)
        strips.append((strip, key[:, :, around], value[:, :, around]))
    return torch.cat(in_parts(_attend, strips), 2)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """One strip: query (B, 9, h, W), key and value (B, 9, h + 6, W + 6)."""
    batch, _, height, width = query.shape
    logits = (query.view(batch, HEADS, DEPTH, 1, height, width) * _windows(key)).sum(2)
    return (logits.softmax(2)[:, :, None] * _windows(value)).sum(3).flatten(1, 2)


def _windows(x: Tensor) -> Tensor:
    """The windows of x (B, 9, h + 6, W + 6), unfolded (B, HEADS, DEPTH, 49, h, W)."""
    view = x.unfold(2, WINDOW, 1).unfold(3, WINDOW, 1).permute(0, 1, 4, 5, 2, 3)
    return view.reshape(len(x), HEADS, DEPTH, WINDOW**2, *view.shape[4:])
