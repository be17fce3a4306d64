"""Linear operators along one image axis, applied as tiled banded matrix products.

Every separable filter, decimation and interpolation of the field is such an operator. One mechanism gives them exact
borders (folded into the weights' indices) and the speed of a matrix product, which on a CPU beats one-channel convolutions.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import torch
from torch import Tensor

from waldbench.imaging import strips

Border = Literal["replicate", "symmetric", "circular"]
# Output samples in one product: the fewer, the fewer products are with zeros; the more, the better they use a CPU.
TILE = 64
GROWING_TILE = 32
SHRINKING_TILE = 16
# Matrices kept, of an operator and of all together.
PARTS = 1024


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
        self._starts, self._weights, self._border = starts, weights, border
        self._parts: dict[tuple[int, int, int, int], _Tiles] = {}

    def along_columns(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Apply along the last axis of x (..., H, W); into `out`, contiguous, where given."""
        return self._part(0, self.size, 0, self.length).along_columns(x, out)

    def along_rows(self, x: Tensor) -> Tensor:
        """Apply along the second to last axis of x (..., H, W), an image or a strip of it (`imaging.strips`)."""
        strip = strips.current()
        if strip is None:
            return self._part(0, self.size, 0, self.length).along_rows(x)
        given, ground = strip.scale(x.shape[-2]), self.size // strip.scale(x.shape[-2])
        made = self.length // ground
        return self._part(strip.first * given, strip.count * given, strip.first * made, strip.count * made).along_rows(x)

    def rows_between(self, x: Tensor, first: int, target: tuple[int, int]) -> Tensor:
        """Make rows `target` (first, count) of the output from rows of the input that start at `first`, both read circularly.

        An output row comes out wrong if it needs a row that is not in x (..., H, W).
        """
        return self._part(first, x.shape[-2], *target).along_rows(x)

    def _part(self, first: int, count: int, start: int, wanted: int) -> _Tiles:
        key = (first % self.size, count, start % self.length, wanted)
        if key not in self._parts:
            if len(self._parts) >= PARTS:
                self._parts.clear()
            rows = (torch.arange(wanted) + start) % self.length
            index = fold(self._starts[rows, None] + torch.arange(self._weights.shape[1]), self.size, self._border)
            local = (index - first) % self.size
            weights = torch.where(local < count, self._weights[rows], 0.0)
            self._parts[key] = _tiles(local.clamp_(max=count - 1), weights, count)
        return self._parts[key]


class _Tiles:
    """A banded matrix as dense tiles: input samples and weights of every few output samples."""

    def __init__(self, index: Tensor, weights: Tensor, size: int) -> None:
        self.length = len(index)
        growth = self.length / size
        self._step = step = SHRINKING_TILE if growth < 1 else TILE if growth < 2 else GROWING_TILE
        self._tiles = [_tile(index[j : j + step], weights[j : j + step]) for j in range(0, self.length, step)]
        self._cast: dict[tuple[torch.device, torch.dtype], list[tuple[slice | Tensor, Tensor]]] = {}

    def _on(self, like: Tensor) -> list[tuple[slice | Tensor, Tensor]]:
        key = (like.device, like.dtype)
        if key not in self._cast:
            self._cast[key] = [
                (index if isinstance(index, slice) else index.to(like.device), matrix.to(like.device, like.dtype))
                for index, matrix in self._tiles
            ]
        return self._cast[key]

    def along_columns(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        out = x.new_empty(len(flat), self.length) if out is None else out.view(len(flat), self.length)
        for number, (index, matrix) in enumerate(self._on(x)):
            torch.mm(flat[:, index], matrix.T, out=out[:, number * self._step : number * self._step + len(matrix)])
        return out.reshape(*x.shape[:-1], self.length)

    def along_rows(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, *x.shape[-2:])
        out = x.new_empty(len(flat), self.length, x.shape[-1])
        for number, (index, matrix) in enumerate(self._on(x)):
            rows = out[:, number * self._step : number * self._step + len(matrix)]
            torch.baddbmm(rows, matrix.expand(len(flat), -1, -1), flat[:, index], beta=0, out=rows)
        return out.reshape(*x.shape[:-2], self.length, x.shape[-1])


def _tile(index: Tensor, weights: Tensor) -> tuple[slice | Tensor, Tensor]:
    inside, position = torch.unique(index, return_inverse=True)
    matrix = torch.zeros(len(index), len(inside), dtype=torch.float64).scatter_add_(1, position, weights)
    low, high = int(inside[0]), int(inside[-1]) + 1
    return (slice(low, high) if high - low == len(inside) else inside), matrix


_known: dict[bytes, _Tiles] = {}


def _tiles(index: Tensor, weights: Tensor, size: int) -> _Tiles:
    """Tiles of a matrix, the same object for the same matrix: all strips inside an image share one."""
    digest = hashlib.blake2b(index.numpy().tobytes() + weights.contiguous().numpy().tobytes() + str(size).encode()).digest()
    if digest not in _known:
        if len(_known) >= PARTS:
            _known.clear()
        _known[digest] = _Tiles(index, weights, size)
    return _known[digest]


def separable(x: Tensor, rows: AxisOperator, columns: AxisOperator) -> Tensor:
    """Apply one operator down the rows and one along the columns of x (..., H, W); the shrinking one first."""
    if rows.length < rows.size:
        return columns.along_columns(rows.along_rows(x))
    return rows.along_rows(columns.along_columns(x))
