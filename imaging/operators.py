"""Linear operators along one image axis, applied as tiled banded matrix products.

Every separable filter, decimation and interpolation of the field is such an operator. One mechanism gives them exact
borders (folded into the weights' indices) and the speed of a matrix product, which on a CPU beats one-channel convolutions.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Border = Literal["replicate", "symmetric", "circular"]
# Output samples in one product: few where many input samples make one output sample, or most products would be with zeros.
TILE = 64
SHRINKING_TILE = 16


def fold(index: Tensor, size: int, border: Border) -> Tensor:
    """Map indices outside [0, size) back inside, by the named border rule (symmetric: the edge sample is repeated)."""
    if border == "replicate":
        return index.clamp(0, size - 1)
    if border == "circular":
        return index.remainder(size)
    period = index.remainder(2 * size)
    return torch.minimum(period, 2 * size - 1 - period)


class AxisOperator:
    """A banded operator: output sample j is sum_k weights[j, k] * input[fold(starts[j] + k)]."""

    def __init__(self, starts: Tensor, weights: Tensor, size: int, border: Border) -> None:
        self.size = size
        self.length = len(starts)
        self._step = step = TILE if self.length >= size else SHRINKING_TILE
        self._tiles = [self._tile(starts[j : j + step], weights[j : j + step], border) for j in range(0, self.length, step)]
        self._cast: dict[tuple[torch.device, torch.dtype], list[tuple[slice | Tensor, Tensor]]] = {}

    def _tile(self, starts: Tensor, weights: Tensor, border: Border) -> tuple[slice | Tensor, Tensor]:
        first = int(starts.min())
        width = int(starts.max()) + weights.shape[1] - first
        matrix = torch.zeros(len(starts), width, dtype=torch.float64)
        columns = (starts - first)[:, None] + torch.arange(weights.shape[1])
        matrix.scatter_(1, columns, weights)
        if first >= 0 and first + width <= self.size:
            return slice(first, first + width), matrix
        folded = fold(torch.arange(first, first + width), self.size, border)
        inside, position = torch.unique(folded, return_inverse=True)
        merged = torch.zeros(len(starts), len(inside), dtype=torch.float64).index_add_(1, position, matrix)
        low, high = int(inside[0]), int(inside[-1]) + 1
        return (slice(low, high) if high - low == len(inside) else inside), merged

    def _on(self, like: Tensor) -> list[tuple[slice | Tensor, Tensor]]:
        key = (like.device, like.dtype)
        if key not in self._cast:
            self._cast[key] = [
                (index if isinstance(index, slice) else index.to(like.device), matrix.to(like.device, like.dtype))
                for index, matrix in self._tiles
            ]
        return self._cast[key]

    def along_columns(self, x: Tensor) -> Tensor:
        """Apply along the last axis of x (..., H, W)."""
        flat = x.reshape(-1, x.shape[-1])
        out = x.new_empty(len(flat), self.length)
        for number, (index, matrix) in enumerate(self._on(x)):
            torch.mm(flat[:, index], matrix.T, out=out[:, number * self._step : number * self._step + len(matrix)])
        return out.reshape(*x.shape[:-1], self.length)

    def along_rows(self, x: Tensor) -> Tensor:
        """Apply along the second to last axis of x (..., H, W)."""
        flat = x.reshape(-1, *x.shape[-2:])
        out = x.new_empty(len(flat), self.length, x.shape[-1])
        for number, (index, matrix) in enumerate(self._on(x)):
            rows = out[:, number * self._step : number * self._step + len(matrix)]
            for source, target in zip(flat, rows, strict=True):
                torch.mm(matrix, source[index], out=target)
        return out.reshape(*x.shape[:-2], self.length, x.shape[-1])


def separable(x: Tensor, rows: AxisOperator, columns: AxisOperator) -> Tensor:
    """Apply one operator down the rows and one along the columns of x (..., H, W); the shrinking one first."""
    if rows.length < rows.size:
        return columns.along_columns(rows.along_rows(x))
    return rows.along_rows(columns.along_columns(x))
