"""Random fields: fine power-law grain and slow smooth variation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft

Field = NDArray[np.float32]


def grain(rng: np.random.Generator, size: int, slope: float = 0.8) -> Field:
    """Periodic Gaussian field (size, size) of zero mean and unit deviation whose amplitude falls as frequency^-slope."""
    shape = _amplitude(size, slope)
    noise = rng.standard_normal((2, *shape.shape), dtype=np.float32)
    coefficients = np.empty(shape.shape, dtype=np.complex64)
    np.multiply(noise[0], shape, out=coefficients.real)
    np.multiply(noise[1], shape, out=coefficients.imag)
    return np.asarray(fft.irfft2(coefficients, s=(size, size), overwrite_x=True), dtype=np.float32)


@lru_cache(maxsize=4)
def _amplitude(size: int, slope: float) -> Field:
    y = fft.fftfreq(size)[:, None]
    x = fft.rfftfreq(size)
    # Below 1/64 cycles a sample the spectrum is flat: slower variation belongs to `smooth`.
    amplitude = (np.hypot(x, y) + 1.0 / 64.0) ** -slope
    amplitude[0, 0] = 0.0
    twice = np.full(len(x), 2.0)
    twice[[0, -1]] = 1.0
    # Variance of the inverse transform of coefficients whose two parts have the variance amplitude^2 each.
    variance = 2.0 * float((amplitude**2 * twice).sum()) / size**4
    return np.asarray(amplitude / np.sqrt(variance), dtype=np.float32)


def smooth(rng: np.random.Generator, size: int, cells: int) -> Field:
    """Cubic-spline field (size, size) of zero mean and about unit deviation through `cells` random knots a side."""
    return fractal(rng, size, cells, 1)


def fractal(rng: np.random.Generator, size: int, first: int, octaves: int, gain: float = 0.6) -> Field:
    """Sum of `octaves` smooth fields, each of half the wavelength and `gain` times the last, of about unit deviation."""
    norm = np.sqrt(sum(gain ** (2 * octave) for octave in range(octaves)))
    bases = [_spline(size, first * 2**octave) for octave in range(octaves)]
    # One product of the concatenated bases of all octaves writes the large field only once.
    left = [
        basis @ rng.standard_normal((basis.shape[1],) * 2, dtype=np.float32) * np.float32(gain**octave / norm)
        for octave, basis in enumerate(bases)
    ]
    # torch, because its thread count is fixed while a scene is made.
    product = torch.from_numpy(np.hstack(left)) @ torch.from_numpy(np.hstack(bases)).T
    return np.asarray(product.numpy(), dtype=np.float32)


@lru_cache(maxsize=32)
def _spline(size: int, cells: int) -> Field:
    position = (np.arange(size) + 0.5) / size * cells
    distance = np.abs(position[:, None] - np.arange(-1, cells + 2))
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
    weights = np.where(distance < 1.0, near, far)
    return np.asarray(weights / np.sqrt((weights**2).sum(1, keepdims=True)), dtype=np.float32)
