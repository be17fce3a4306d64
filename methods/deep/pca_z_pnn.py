"""PCA-Z-PNN: the first principal components of two ranges, each sharpened by a network of its own (Guarino et al., 2023)."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.imaging.statistics import single_band
from waldbench.methods.adaptive import Adaptation, Adaptive, Terms, descend
from waldbench.methods.base import register
from waldbench.methods.deep._full_resolution import CubeLosses, at_least
from waldbench.methods.deep._layers import reflecting
from waldbench.methods.recipes import Recipe

COMPONENTS = 4
# Where the second range begins, in nm, and the weights of the structural loss in both.
SPLIT, WEIGHTS = 770.0, (0.5, 0.25)
TERMS = ("loss", "spectral", "structural", "structural without threshold")


class ComponentNetwork(nn.Sequential):
    """Three convolutions of components and guide with reflected borders; `forward` adds their output to the components."""

    def __init__(self, components: int, guide_bands: int) -> None:
        layers = (reflecting(components + guide_bands, 48, 7), nn.ReLU(), reflecting(48, 32, 5), nn.ReLU())
        super().__init__(*layers, reflecting(32, components, 3))
        self.components = components

    def forward(self, stack: Tensor) -> Tensor:
        """Map components and guide, stacked, (B, components + G, H, W) to sharpened components."""
        details: Tensor = super().forward(stack)
        return stack[:, : self.components] + details


class Components:
    """The first principal components of a range of bands, each pointing where the sum of its weights is positive.

    Args:
        ms: low-resolution bands (B, C, h, w).
        count: how many components.
    """

    def __init__(self, ms: Tensor, count: int) -> None:
        pixels = ms.double().flatten(2)
        centred = pixels - pixels.mean(2, keepdim=True)
        self.mean = pixels.mean(2)[..., None, None].to(ms)
        # Eigenvalues ascend, and the divisor of the covariance does not turn the axes.
        axes = torch.linalg.eigh(centred @ centred.mT).eigenvectors.flip(-1)[..., :count]
        self.axes = (axes * torch.where(axes.sum(1, keepdim=True) < 0, -1.0, 1.0)).to(ms)
        self.size = sqrt(ms.shape[1])

    def of(self, x: Tensor) -> Tensor:
        """Components (B, count, H, W) of bands (B, C, H, W), divided by the root of the number of bands."""
        return torch.einsum("bck,bchw->bkhw", self.axes, x - self.mean) / self.size

    def bands(self, details: Tensor) -> Tensor:
        """What details of the components (B, count, H, W) are in the bands (B, C, H, W)."""
        return torch.einsum("bck,bkhw->bchw", self.axes, details) * self.size


def ranges(centres: tuple[float, ...]) -> list[tuple[slice, float]]:
    """Bands of every range and the weight of its structural loss; the first band from 770 nm on lies in both ranges."""
    split = next((number for number, centre in enumerate(centres) if centre >= SPLIT), len(centres))
    below, above = (slice(0, split + 1), WEIGHTS[0]), (slice(split, None), WEIGHTS[1])
    return [part for part, there in ((below, split > 0), (above, split < len(centres))) if there]


@register(
    tasks={"hs"},
    title="PCA-Z-PNN",
    year=2023,
    paper="Guarino, Ciotola, Vivone, Poggi, Scarpa, 2023",
    licence="CC BY-NC-SA 4.0 (hyperspectral pansharpening toolbox); written from a fact sheet, not from that code",
    faithful="network and losses equal to those of Ciotola et al.'s toolbox (2024), with weights given by a formula",
    inferred=(
        "described from that toolbox; the authors' own code was not at hand",
        "components point where the sum of their weights is positive, where the toolbox takes what its decomposition gives",
        "components are those of lms, which the toolbox interpolates with cubic splines",
        "images are divided by two to the power of the sensor's bits, where the published ones have 16",
        "ratios other than 6: filters of 10 ratio + 1 pixels, windows and sampling in proportion to the ratio",
        "images below 11 low-resolution pixels are replicated to 11 for the losses",
        "several guide bands: stacked with the components; the losses look at their mean",
    ),
)
class PCAZPNN(Adaptive):
    """Two ranges of bands; a network for each starts from random weights and trains on the image's first four components.

    Args:
        sensor: sensor of the images; its wavelengths part the ranges.
        guide_bands: channels of the guide.
        iterations: steps for each range; None: 1,000 as published; 0: none, which leaves random details.

    Raises:
        ValueError: if iterations is negative.
    """

    recipe = Recipe("the loss of the adaptation, without reference", 5e-5, 1, 1_000, notes=("nothing is trained beforehand",))

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, iterations: int | None = None) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands, iterations=iterations)
        self.ranges = ranges(sensor.centres)
        self.counts = [min(COMPONENTS, len(sensor.bands[bands])) for bands, _ in self.ranges]
        self.networks = nn.ModuleList(ComponentNetwork(count, guide_bands) for count in self.counts)

    @property
    def trainable(self) -> bool:
        """No: all training is part of the fusion of an image."""
        return False

    @classmethod
    def published(cls, sensor: Sensor) -> Adaptation:
        """Steps for every range; the weight is that of the first."""
        return Adaptation(1_000, 5e-5, TERMS, (1.0, ranges(sensor.centres)[0][1]))

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to every range the details that its network finds in the components; the later range wins where two overlap."""
        fused = lms.clone()
        for (bands, _), count, network in zip(self.ranges, self.counts, self.networks, strict=True):
            components = Components(ms[:, bands], count)
            found = components.of(lms[:, bands])
            fused[:, bands] = lms[:, bands] + components.bands(network(torch.cat([found, guide], 1)) - found)
        return fused

    def adapt_to(self, ms: Tensor, lms: Tensor, guide: Tensor, iterations: int) -> tuple[Tensor, list[list[float]]]:
        """Train the network of every range, one after the other."""
        history = []
        for number, network in enumerate(self.networks):
            optimiser = torch.optim.Adam(network.parameters(), lr=self.adaptation.lr)
            history += descend(network, self._range_terms(number, ms, lms, guide), optimiser, iterations)
        with torch.no_grad():
            return self.fuse(ms, lms, guide), history

    def objective(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Terms:
        """The losses of all ranges, added."""
        parts = [self._range_terms(number, ms, lms, guide) for number in range(len(self.ranges))]
        return lambda: tuple(torch.stack(values).sum() for values in zip(*(terms() for terms in parts), strict=True))

    def _range_terms(self, number: int, ms: Tensor, lms: Tensor, guide: Tensor) -> Terms:
        (bands, weight), network = self.ranges[number], self.networks[number]
        components = Components(ms[:, bands], self.counts[number])
        low, found, guide = at_least(components.of(ms[:, bands]), components.of(lms[:, bands]), guide, CubeLosses.SMALLEST)
        measure = CubeLosses(low, found[:, :1], single_band(guide), self.ratio)
        rule = replace(self.adaptation, weights=(1.0, weight))
        return lambda: rule.sum(*measure(network(torch.cat([found, guide], 1))))
