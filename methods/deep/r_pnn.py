"""R-PNN: one small network that learns from band to band of the image itself (Guarino, Ciotola, Vivone, Scarpa, 2023)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.imaging.statistics import single_band
from waldbench.methods.adaptive import Adaptation, Adaptive, Terms, descend
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._full_resolution import CubeLosses, at_least
from waldbench.methods.deep._layers import fast_layout
from waldbench.methods.recipes import Recipe

# What 7x7, 5x5 and 3x3 convolutions without padding take off each border.
MARGIN = 6
TERMS = ("loss", "spectral", "structural", "structural without threshold")
# Weight of the structural loss up to a band above 700 nm, and from that band on.
VISIBLE, RED_EDGE, INFRARED = 0.5, 700.0, 0.25
# Steps: of the first band; of the others for every 10 nm begun, and at most.
FIRST, NEXT, MOST = 20, 15, 80


def steps_of_bands(centres: tuple[float, ...]) -> list[int]:
    """Published number of steps of every band, by its distance in nm from the one before."""
    gaps = (abs(after - before) for before, after in pairwise(centres))
    return [FIRST, *(min(NEXT * (int(gap // 10) + 1), MOST) for gap in gaps)]


def structural_weights(centres: tuple[float, ...]) -> list[float]:
    """Weight of the structural loss of every band; once a band lies above 700 nm, all that follow count as infrared."""
    beyond = False
    weights = []
    for centre in centres:
        beyond = beyond or centre > RED_EDGE
        weights.append(INFRARED if beyond else VISIBLE)
    return weights


@register(
    tasks={"hs"},
    title="R-PNN",
    year=2023,
    paper="Guarino, Ciotola, Vivone, Scarpa, Band-wise hyperspectral image pansharpening using CNN model propagation, 2023",
    licence="CC BY-NC-SA 4.0 (hyperspectral pansharpening toolbox); written from a fact sheet, not from that code",
    faithful="network and losses equal to those of Ciotola et al.'s toolbox (2024), with its published weights (PRISMA)",
    inferred=(
        "weights before the adaptation come from a training with references unless the recipe is the published one",
        "images are divided by two to the power of the sensor's bits, where the published ones have 16",
        "ratios other than 6: filters of 10 ratio + 1 pixels, windows and sampling in proportion to the ratio",
        "the distance between bands whose order is not that of their wavelengths is taken without its sign",
        "images below 11 low-resolution pixels are replicated to 11 for the losses; the result is neither clipped nor rounded",
        "several guide bands: stacked with the band; the losses look at their mean",
    ),
)
class RPNN(Adaptive, OfficialNetwork):
    """Three convolutions of one band and the guide, trained on band after band, each from where the last one ended.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        iterations: steps for the first band, those of the others in proportion; None: 20 as published; 0: none.

    Raises:
        ValueError: if iterations is negative.
    """

    official: ClassVar = {"details.0": "conv1", "details.2": "conv2", "details.4": "conv3"}

    recipe = Recipe(
        "the loss of the adaptation on the first band, without reference",
        1e-5,
        4,
        200,
        notes=("the learning rate of the published pre-training is not stated; that of the adaptation is taken",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, iterations: int | None = None) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands, iterations=iterations)
        layers = (nn.Conv2d(1 + guide_bands, 48, 7), nn.ReLU(), nn.Conv2d(48, 32, 5), nn.ReLU(), nn.Conv2d(32, 1, 3))
        self.details = nn.Sequential(*layers)

    @classmethod
    def published(cls, sensor: Sensor) -> Adaptation:
        """Steps and structural weight of the first band."""
        return Adaptation(FIRST, 1e-5, TERMS, (1.0, structural_weights(sensor.centres[:1])[0]))

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to every band the details that the network finds in it and the guide."""
        return torch.cat([self._band(band, guide) for band in lms.split(1, 1)], 1)

    def _band(self, band: Tensor, guide: Tensor) -> Tensor:
        stack = functional.pad(torch.cat([band, guide], 1), (MARGIN,) * 4, mode="reflect")
        return band + self.details(fast_layout(stack))

    def adapt_to(self, ms: Tensor, lms: Tensor, guide: Tensor, iterations: int) -> tuple[Tensor, list[list[float]]]:
        """Adapt to band after band with one optimiser; each band is fused with its own best weights."""
        optimiser, fused, history = self.optimiser(), [], []
        for number, steps in enumerate(steps_of_bands(self.sensor.centres)):
            band = slice(number, number + 1)
            terms = self._band_terms(ms[:, band], lms[:, band], guide, structural_weights(self.sensor.centres)[number])
            history += descend(self, terms, optimiser, round(steps * iterations / FIRST))
            with torch.no_grad():
                fused.append(self._band(lms[:, band], guide))
        return torch.cat(fused, 1), history

    def objective(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Terms:
        """The losses of the first band."""
        return self._band_terms(ms[:, :1], lms[:, :1], guide, self.adaptation.weights[1])

    def _band_terms(self, ms: Tensor, lms: Tensor, guide: Tensor, weight: float) -> Terms:
        ms, lms, guide = at_least(ms, lms, guide, CubeLosses.SMALLEST)
        measure = CubeLosses(ms, lms, single_band(guide), self.ratio)
        rule = replace(self.adaptation, weights=(1.0, weight))
        return lambda: rule.sum(*measure(self._band(lms, guide)))
