"""Statistics that replace missing documentation of hyperspectral cubes: range of the values, and PAN as a sum of bands."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from waldbench.imaging import Sensor

# Cubes whose values stay below this are fractions (reflectance), not digital numbers; bright surfaces exceed 1 slightly.
FRACTION = 4.0
# Digital number of reflectance 1: the usual factor of reflectance products, and fine enough for Q2n, which rounds to integers.
REFLECTANCE = 10000.0
PIXELS = 6000
# Share of the variance of PAN that its regression on the bands must explain for the bands found to be used as PAN's range.
MINIMUM_EXPLAINED = 0.98
# Share of the weight that is left out at both ends of the range.
TAIL = 0.025


class Values(NamedTuple):
    """How values become digital numbers.

    Attributes:
        factor: what the values are multiplied by.
        highest: the highest value before the multiplication.
    """

    factor: float
    highest: float

    def apply(self, sensor: Sensor) -> Sensor:
        """The sensor with the scale of these values."""
        if self.factor != 1:
            return replace(sensor, bits=14, reflectance=REFLECTANCE)
        return replace(sensor, bits=self.bits, reflectance=None)

    def describe(self) -> str:
        """One line of text for the user."""
        if self.factor != 1:
            return f"values reach {self.highest:.4g}: fractions, multiplied by {self.factor:g}; {self.factor:g} is the scale"
        return f"values reach {self.highest:.5g}: taken as digital numbers of {self.bits} bits, scale {2**self.bits - 1}"

    @property
    def bits(self) -> int:
        """Number of bits that the highest value needs."""
        return min(max(int(self.highest).bit_length(), 1), 16)


def detect_values(highest: float) -> Values:
    """Fractions or digital numbers, from the highest value of the low-resolution cube or its ground truth."""
    return Values(REFLECTANCE if highest <= FRACTION else 1.0, highest)


class PanModel(NamedTuple):
    """PAN as a sum of bands.

    Attributes:
        weights: non-negative weight of every band, (C,).
        explained: share of PAN's variance that the sum explains, at most 1.
        pixels: number of pixels in the regression.
    """

    weights: NDArray[np.float64]
    explained: float
    pixels: int

    def bands(self) -> tuple[int, int]:
        """First and last band of those that carry 95 % of the weight."""
        share = np.cumsum(self.weights) / max(float(self.weights.sum()), 1e-30)
        return int(np.searchsorted(share, TAIL)), min(int(np.searchsorted(share, 1 - TAIL)), len(share) - 1)

    def range_of(self, sensor: Sensor) -> tuple[float, float]:
        """Spectral range in nm of these bands."""
        first, last = self.bands()
        return sensor.centres[first] - sensor.widths[first] / 2, sensor.centres[last] + sensor.widths[last] / 2

    def describe(self, sensor: Sensor) -> str:
        """One line of text for the user."""
        first, last = self.bands()
        low, high = self.range_of(sensor)
        return (
            f"PAN regressed on the ground truth (non-negative least squares, {self.pixels} pixels): R2 {self.explained:.4f}, "
            f"weights sum to {self.weights.sum():.3f}, 95 % of them on bands {first + 1}-{last + 1} ({low:.0f}-{high:.0f} nm)"
        )


def model_pan(gt: Tensor, pan: Tensor) -> PanModel:
    """Regress PAN on the bands of the ground truth: PAN = sum of w_b gt_b with w_b >= 0, without a constant.

    Args:
        gt: ground truth (N, C, H, W).
        pan: panchromatic images (N, 1, H, W).
    """
    from scipy.optimize import nnls

    pixels = gt.movedim(1, -1).reshape(-1, gt.shape[1])
    values = pan[:, 0].reshape(-1)
    chosen = torch.linspace(0, len(values) - 1, min(PIXELS, len(values))).long()
    design, target = (image[chosen].double().numpy() for image in (pixels, values))
    # The triangular factor has the same solution and as few rows as there are bands.
    unitary, triangle = np.linalg.qr(design)
    weights, _ = nnls(triangle, unitary.T @ target, maxiter=30 * design.shape[1])
    left = (target - design @ weights).var()
    return PanModel(weights, 1.0 - float(left / max(target.var(), 1e-30)), len(chosen))
