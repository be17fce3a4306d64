"""Least squares over all pixels of an image, by triangular factors of the data.

The normal equations square the condition: a band that is a sum of others is lost in their rounding, and what is found there
depends on the order of the bands. The triangular factor R of a QR decomposition has the singular values of the bands
themselves. It is taken in pieces and merged (Demmel, Grigori, Hoemmen, Langou, SIAM J. Sci. Comput. 34(1), 2012,
doi 10.1137/080731992), so that no image is copied whole and strips (`imaging.strips`) add up.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from waldbench.imaging.flatness import is_flat
from waldbench.imaging.statistics import PIECE, gram
from waldbench.imaging.strips import inner, total

# Pixels in one decomposition; so many of a few bands stay in a CPU's cache.
LEAF = 1024
# How exact images of double precision are: the field's 23 taps, which do not quite sum to 2, leave 4e-10 of a constant.
DOUBLE = 2.0**-30


def regress(x: Tensor, onto: Tensor, constant: bool = False) -> Tensor:
    """Weights of the bands of x whose sum comes closest to `onto`, in the type of x; see `least_squares`.

    Returns:
        (B, C or C + 1, D, 1), so that for one target `combine(x, weights)` is the fit.
    """
    return least_squares(x, onto, constant)[..., None].to(x.dtype)


def least_squares(x: Tensor, onto: Tensor, constant: bool = False, data: torch.dtype | None = None) -> Tensor:
    """Weights of the bands of x whose sum comes closest to `onto`, in the least-squares sense.

    Directions in which the bands vary no more than rounding get no weight (minimum-norm solution for bands of equal power), so
    neither a band that depends on others nor the order of the bands changes the fit. Beside a constant, flat bands say nothing.

    Args:
        x: regressors (B, C, H, W).
        onto: targets (B, D, H, W).
        constant: append a constant regressor, whose weight comes last.
        data: type in which the images came, where x was converted since; it says how large their rounding is.

    Returns:
        (B, C or C + 1, D) float64.
    """
    if not constant:
        return solve(triangle(x), gram(x, onto), data or x.dtype)
    x = torch.cat([torch.ones_like(x[:, :1]), x], 1)
    return solve(*level(triangle(x), gram(x, onto)), data or x.dtype).roll(-1, -2)


def level(factor: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Make flat regressors exactly so: multiples of the first one, which is the constant.

    Args:
        factor: triangular factor R (B, K, K) of the regressors.
        right: their products with the targets (B, K, D).
    """
    first, rest = factor[..., :1, :], factor[..., 1:, :]
    scatter = rest.square().sum(-2, keepdim=True)
    still = is_flat(scatter, scatter + first.square())
    constant = factor[..., :1, :1]
    share = (first / torch.where(constant == 0, 1.0, constant)).mT
    return torch.cat([first, torch.where(still, 0.0, rest)], -2), torch.where(still.mT, share * right[..., :1, :], right)


def triangle(x: Tensor) -> Tensor:
    """Triangular factor R (B, C, C) float64 of the bands of x (B, C, H, W): R' R is their Gram matrix."""
    bands = x.shape[1]
    x = inner(x)
    rows = max(1, PIECE // (bands * x.shape[-1]))
    pieces = [_reduce(piece.double().flatten(2).mT) for piece in torch.split(x, rows, -2)]
    factor = _reduce(torch.cat(pieces, -2))
    return total(functional.pad(factor, (0, 0, 0, bands - factor.shape[-2])), merge)


def merge(one: Tensor, other: Tensor) -> Tensor:
    """The triangular factor of two sets of pixels from the factors of each."""
    return torch.linalg.qr(torch.cat([one, other], -2), mode="r").R


def _reduce(samples: Tensor) -> Tensor:
    """Triangular factor of samples (B, N, C), of min(N, C) rows."""
    count, bands = samples.shape[-2:]
    leaf = max(LEAF, 4 * bands)
    while count >= 2 * leaf:
        whole = count // leaf * leaf
        leaves = samples[:, :whole].reshape(len(samples), -1, leaf, bands)
        samples = torch.cat([torch.linalg.qr(leaves, mode="r").R.flatten(1, 2), samples[:, whole:]], 1)
        count = samples.shape[-2]
    return torch.linalg.qr(samples, mode="r").R


def solve(factor: Tensor, right: Tensor, data: torch.dtype) -> Tensor:
    """Minimum-norm solution (B, K, D) of R' R w = right, all bands first brought to equal power.

    Args:
        factor: triangular factor R (B, K, K) of the regressors.
        right: their products with the targets (B, K, D).
        data: type of the images. Singular values below 2 sqrt(K) times its rounding count as zero, beside the largest.
    """
    scale = factor.norm(dim=-2)[..., None]
    scale = torch.where(scale > 0, scale, 1.0)
    _, values, axes = torch.linalg.svd(factor / scale.mT)
    cut = 2 * factor.shape[-1] ** 0.5 * max(torch.finfo(data).eps, DOUBLE)
    inverse = torch.where(values > cut * values[..., :1], values, torch.inf).reciprocal()[..., None]
    return axes.mT @ (inverse * inverse * (axes @ (right / scale))) / scale
