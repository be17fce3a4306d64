"""Lambda-PNN: an attentive residual network adapted to every image (Ciotola, Poggi, Scarpa, IEEE TGRS 61, 2023)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.imaging.statistics import single_band
from waldbench.methods.adaptive import Adaptation, Adaptive, Terms
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._full_resolution import COARSE, Structure, at_least, band_kernel, guide_kernel, threshold
from waldbench.methods.deep._half_pixels import Reprojection, half_pixel_offsets
from waldbench.methods.deep._hypercomplex import BLOCK, q2n
from waldbench.methods.deep._layers import planes, reflecting
from waldbench.methods.recipes import Recipe

WIDTH, SQUEEZED, RATIO, FINE = 64, 16, 4, 2
TERMS = ("loss", "ERGAS", "1 - Q2n", "structural", "structural without threshold")
# Weights of ERGAS and 1 - Q2n; weights of the structural loss and learning rates, in the training and in the adaptation.
PUBLISHED = {
    "wv3": ((0.05, 1.25), (3.75, 5.0), (2e-4, 4e-5)),
    "wv2": ((0.05, 1.0), (4.25, 6.0), (1.5e-4, 3.5e-5)),
    "ge1": ((0.075, 1.5), (4.0, 7.0), (1e-4, 5e-5)),
}
DECAY = 1e-4


class BlockAttention(nn.Module):
    """CBAM plus its input: gates by channel from mean and maximum, then by place from maximum and mean over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = nn.Sequential(nn.Linear(WIDTH, SQUEEZED), nn.ReLU(), nn.Linear(SQUEEZED, WIDTH))
        self.places = reflecting(2, 1, 7)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 64, H, W) to the same shape."""
        gate = (self.channels(x.mean((2, 3))) + self.channels(x.amax((2, 3)))).sigmoid()
        gated = x * gate[..., None, None]
        attended: Tensor = gated * self.places(planes(gated)).sigmoid()
        return attended + x


class SmoothResidual(nn.Module):
    """The sum x + conv(GELU(conv(x))), 3x3, reflected borders."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = reflecting(WIDTH, WIDTH), reflecting(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 64, H, W) to the same shape."""
        return x + self.second(functional.gelu(self.first(x)))


def _official() -> dict[str, str]:
    names = {"details.0": "conv_1", "details.2": "conv_2", "details.8": "conv_3"}
    for layer, number in ((4, 1), (7, 2)):
        names |= {f"details.{layer}.channels.{i}": f"CBAM_{number}.ChannelGate.mlp.{i + 1}" for i in (0, 2)}
        names[f"details.{layer}.places"] = f"CBAM_{number}.SpatialGate.spatial.conv_1"
    for layer, number in ((5, 1), (6, 2)):
        names |= {f"details.{layer}.first": f"res_block_{number}.body.0", f"details.{layer}.second": f"res_block_{number}.body.2"}
    return names


@register(
    tasks={"ms"},
    title="lambda-PNN",
    year=2023,
    paper="Ciotola, Poggi, Scarpa, IEEE TGRS 61, 2023",
    doi="10.1109/TGRS.2023.3299356",
    licence="GRIP-UNINA, non-profit use (matciotola/Lambda-PNN); written from a fact sheet, not from that code",
    faithful="network equal to the released one with its published weights (WV3); the terms of the loss equal on given images",
    inferred=(
        "weights before the adaptation come from a training with references unless the recipe is the published one",
        "weights and learning rates of sensors other than WorldView-2, -3 and GeoEye-1: those of WorldView-3 for eight bands, "
        "else those of GeoEye-1",
        "as released, Q2n rounds to integers: it has no gradient and only helps to choose the state that is kept",
        "the whole image is adapted to; the published choice of 16 patches of a large one needs a network trained on ImageNet",
        "images below 64 pixels are replicated to 64 for the losses; the result is neither clipped nor truncated to integers",
        "several guide bands: stacked with lms; the losses look at their mean",
    ),
)
class LambdaPNN(Adaptive, OfficialNetwork):
    """A residual network with attention that trains 100 steps on each image, reprojected with its misregistration found first.

    Args:
        sensor: sensor of the images, ratio 4.
        guide_bands: channels of the guide.
        iterations: steps of the adaptation to each image; None: 100; 0: none.
        registration: whether to look for the half pixels by which each band is off the guide.
        smooth_q2n: whether the loss's Q2n has a gradient, which as released it has not.

    Raises:
        ValueError: if iterations is negative or the ratio is not 4.
    """

    official: ClassVar = _official()

    only_ratio = RATIO

    recipe = Recipe(
        "the loss of the adaptation, without reference",
        2e-4,
        4,
        500,
        weight_decay=DECAY,
        notes=(
            "the rate is that for WorldView-3; WorldView-2: 1.5e-4, GeoEye-1: 1e-4",
            "published: a tenth of it when the validation loss has not fallen for 50 epochs; here it stays",
        ),
    )

    def __init__(
        self,
        *,
        sensor: Sensor,
        guide_bands: int = 1,
        iterations: int | None = None,
        registration: bool = True,
        smooth_q2n: bool = False,
    ) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands, iterations=iterations)
        self.registration, self.smooth_q2n = registration, smooth_q2n
        self.details = nn.Sequential(
            reflecting(sensor.count + guide_bands, WIDTH),
            nn.ReLU(),
            reflecting(WIDTH, WIDTH),
            nn.ReLU(),
            BlockAttention(),
            SmoothResidual(),
            SmoothResidual(),
            BlockAttention(),
            reflecting(WIDTH, sensor.count, 5),
        )

    @classmethod
    def published(cls, sensor: Sensor) -> Adaptation:
        """100 steps with weights and a learning rate that depend on the sensor."""
        (ergas, quality), (_, structural), (_, rate) = _of(sensor)
        return Adaptation(100, rate, TERMS, (ergas, quality, structural), DECAY)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details of the attentive network."""
        # Channels first: most of the time is spent in gradients, which reflected borders make slow in the other layout.
        return lms + self.details(torch.cat([lms, guide], 1))

    def objective(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Terms:
        """ERGAS and Q2n of the reprojected output, and its local structure, weighted for the adaptation."""
        measure = self._measure(ms, lms, guide, self.registration)
        return lambda: self.adaptation.sum(*measure())

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Loss of the published training: no reference, no registration, less weight on structure than in the adaptation."""
        (ergas, quality), (structural, _), _ = _of(self.sensor)
        training = replace(self.adaptation, weights=(ergas, quality, structural))
        return training.sum(*self._measure(ms, lms, guide, registration=False)())[0]

    def _measure(self, ms: Tensor, lms: Tensor, guide: Tensor, registration: bool) -> Terms:
        ms, lms, guide = at_least(ms, lms, guide, BLOCK // 2)
        pan = single_band(guide)
        kernels = [band_kernel(gain, RATIO) for gain in self.sensor.mtf]
        structure = Structure(pan, threshold(lms, pan, kernels[0], COARSE), FINE)
        offsets = [(0, 0)] * ms.shape[1]
        if registration:
            offsets = half_pixel_offsets(lms, pan, guide_kernel(self.sensor.pan_mtf, RATIO), COARSE)
        reproject = Reprojection(kernels, offsets, lms, RATIO)

        def measure() -> tuple[Tensor, ...]:
            output = self.fuse(ms, lms, guide)
            low = reproject(output)
            quality = q2n(low * self.scale, ms * self.scale, rounded=not self.smooth_q2n)
            return _ergas(low, ms), 1 - quality, *structure(output)

        return measure


def _of(sensor: Sensor) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    return PUBLISHED.get(sensor.key, PUBLISHED["wv3" if sensor.count == 8 else "ge1"])


def _ergas(low: Tensor, ms: Tensor) -> Tensor:
    """ERGAS of low-resolution images (B, C, h, w) against ms, mean over the images."""
    errors = (low - ms).double().square().mean((2, 3)) / ms.double().mean((2, 3)).square()
    return (100 / RATIO * errors.mean(1).sqrt()).mean()
