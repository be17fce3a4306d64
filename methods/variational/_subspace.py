"""What the methods of hyperspectral fusion share: spectral responses, spectral axes, a circular blur on a mirrored grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.filters import SIZE, gaussian_kernel
from waldbench.imaging.nonnegative import nonnegative
from waldbench.imaging.operators import fold
from waldbench.imaging.statistics import divide, gram

RIDGE = 1e-4
# Low-resolution pixels mirrored at every border, more than the blur reaches; what lies beyond is met by circular wrapping.
MARGIN = 4


def responses(ms: Tensor, guide: Tensor) -> Tensor:
    """Non-negative weights (B, G, C) of the bands of ms in every channel of the degraded guide, both (B, ., h, w)."""
    matrix, right = gram(ms, ms), gram(ms, guide).mT
    scale = matrix.diagonal(dim1=-2, dim2=-1).sqrt()[:, None]
    # The ridge settles the shares of bands that are nearly the same.
    matrix = divide(matrix, scale.mT * scale) + RIDGE * torch.eye(matrix.shape[-1]).to(matrix)
    problems = matrix[:, None].expand(-1, right.shape[1], -1, -1).flatten(0, 1)
    weights = nonnegative(problems, divide(right, scale.expand_as(right)).flatten(0, 1)).view_as(right)
    return divide(weights, scale.expand_as(weights)).to(ms)


def axes(x: Tensor, count: int) -> Tensor:
    """The `count` orthonormal spectral axes (B, C, count) that hold most of the power of x (B, C, h, w)."""
    return torch.linalg.eigh(gram(x, x)).eigenvectors[..., -min(count, x.shape[1]) :].to(x)


def spectra(weights: Tensor, x: Tensor) -> Tensor:
    """Every pixel of x (B, K, H, W) times the matrix weights (B, L, K): (B, L, H, W)."""
    return (weights @ x.flatten(2)).unflatten(2, x.shape[-2:])


def mirror(x: Tensor, margin: int) -> Tensor:
    """Extend x (B, C, H, W) by `margin` mirrored pixels at every border."""
    for axis in (-2, -1):
        size = x.shape[axis]
        x = x.index_select(axis, fold(torch.arange(-margin, size + margin), size, "symmetric").to(x.device))
    return x


@dataclass(frozen=True)
class Decimation:
    """The sensor's blur and decimation on a circular grid, and what inverts its square.

    `blur` is the real Fourier transform of the kernel, moved by half a low-resolution pixel so that every `ratio`-th sample
    from the first is kept; `size` are the rows and columns of the fine grid, multiples of `ratio`.
    """

    blur: Tensor
    size: tuple[int, int]
    ratio: int

    @classmethod
    def of(cls, sensor: Sensor, like: Tensor) -> Decimation:
        """The mean gain of the sensor's bands, on the grid of `like` (B, C, H, W)."""
        kernel = gaussian_kernel(sum(sensor.mtf) / len(sensor.mtf), sensor.ratio).to(like)
        rows, columns = (torch.arange(SIZE) - SIZE // 2 - sensor.ratio // 2) % torch.tensor(like.shape[-2:])[:, None]
        grid = like.new_zeros(like.shape[-2:])
        place = (rows[:, None].to(like.device), columns.to(like.device))
        return cls(
            torch.fft.rfft2(grid.index_put_(place, kernel, accumulate=True)), (like.shape[-2], like.shape[-1]), sensor.ratio
        )

    def down(self, x: Tensor) -> Tensor:
        """Blur and decimate x (B, C, H, W)."""
        return torch.fft.irfft2(torch.fft.rfft2(x) * self.blur, self.size)[..., :: self.ratio, :: self.ratio]

    def up(self, low: Tensor) -> Tensor:
        """The adjoint of `down`."""
        x = low.new_zeros(*low.shape[:-2], *self.size)
        x[..., :: self.ratio, :: self.ratio] = low
        return torch.fft.irfft2(torch.fft.rfft2(x) * self.blur.conj(), self.size)

    def solve(self, right: Tensor, weight: Tensor) -> Tensor:
        """Solve up(down(x)) + weight x = right for x (B, K, H, W), weight (B, K, 1, 1), by Woodbury's identity.

        Down after up is a circular filter of the coarse grid (Wei, Dobigeon, Tourneret, IEEE TIP 24(11), 2015).
        """
        square = torch.fft.irfft2(self.blur.abs().square(), self.size)[..., :: self.ratio, :: self.ratio]
        low = self.down(right)
        power = torch.fft.rfft2(square).real
        low = torch.fft.irfft2(torch.fft.rfft2(low) / (power + weight), low.shape[-2:])
        return (right - self.up(low)) / weight
