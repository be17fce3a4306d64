"""Z-PNN: A-PNN adapted to every image without reference (Ciotola, Vitale, Mazza, Poggi, Scarpa, IEEE TGRS, 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.statistics import single_band
from waldbench.methods.adaptive import Adaptation, Adaptive, Terms
from waldbench.methods.base import register
from waldbench.methods.deep._full_resolution import (
    REACH,
    Structure,
    at_least,
    band_kernel,
    inner,
    nearest_offsets,
    sampled,
    threshold,
)
from waldbench.methods.deep.a_pnn import APNN, MARGIN
from waldbench.methods.recipes import Recipe

RATIO = 4
# Learning rate and weight of the structural loss.
WORLDVIEW, GEOEYE = (1e-5, 0.36), (5e-5, 0.25)
TERMS = ("loss", "spectral", "structural", "structural without threshold")
# Windows of the threshold and of the loss are 16 and 4 pixels a side.
COARSE, FINE = 8, 2


@register(
    tasks={"ms"},
    title="Z-PNN",
    year=2022,
    paper="Ciotola, Vitale, Mazza, Poggi, Scarpa, IEEE TGRS 60, 2022",
    doi="10.1109/TGRS.2022.3163887",
    licence="GRIP-UNINA, non-profit use (matciotola/Z-PNN); written from a fact sheet, not from that code",
    faithful="network, losses, registration and 100 steps of adaptation equal to the released ones with published weights (WV3)",
    inferred=(
        "weights before the adaptation come from a training with references, as A-PNN's, unless the recipe is the published one",
        "learning rate and weight of the structural loss of sensors other than WorldView-2, -3 and GeoEye-1: those of the former "
        "for eight bands, else those of the latter",
        "the registration, an option of the released code, is on",
        "images below 60 pixels are replicated to 60 for the losses; the result is neither clipped nor truncated to integers",
        "several guide bands: stacked with lms; the losses look at their mean",
    ),
)
class ZPNN(Adaptive, APNN):
    """A-PNN that trains 100 steps on each image: its blurred output must be ms, its local structure the guide's.

    Args:
        sensor: sensor of the images, ratio 4.
        guide_bands: channels of the guide.
        iterations: steps of the adaptation to each image; None: 100; 0: none.
        registration: whether to look for the offset at which each band fits the guide best.

    Raises:
        ValueError: if iterations is negative or the ratio is not 4.
    """

    only_ratio = RATIO

    recipe = Recipe(
        "the loss of the adaptation, without reference",
        1e-5,
        1,
        500,
        notes=(
            "how the released weights were pre-trained is not published; the adaptation's learning rate for WorldView is taken",
        ),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, iterations: int | None = None, registration: bool = True) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands, iterations=iterations)
        self.registration = registration

    @classmethod
    def published(cls, sensor: Sensor) -> Adaptation:
        """100 steps at a learning rate that depends on the sensor."""
        rate, weight = WORLDVIEW if sensor.count == 8 else GEOEYE
        return Adaptation(100, rate, TERMS, (1.0, weight))

    def objective(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Terms:
        """Spectral loss at the scale of ms and structural loss at that of the guide, on what valid convolutions leave."""
        ms, lms, guide = at_least(ms, lms, guide, (2 * (MARGIN + REACH)) // RATIO + 1)
        pan, stack = single_band(guide), torch.cat([lms, guide], 1)
        kernels = torch.stack([band_kernel(gain, RATIO) for gain in self.sensor.mtf]).to(lms.device)
        limit = inner(threshold(lms, pan, kernels[0], COARSE), MARGIN)
        structure = Structure(inner(pan, MARGIN), limit, FINE)
        labels = inner(lms, MARGIN + REACH)[..., RATIO // 2 :: RATIO, RATIO // 2 :: RATIO].flatten(0, 1)[None]
        rows, columns = self._offsets(ms, pan, kernels[0])

        def terms() -> tuple[Tensor, ...]:
            output = inner(lms, MARGIN) + self.details(stack)
            spectral = (sampled(output, kernels, rows, columns, RATIO) - labels).abs().mean()
            return self.adaptation.sum(spectral, *structure(output))

        return terms

    def _offsets(self, ms: Tensor, pan: Tensor, kernel: Tensor) -> tuple[list[int], list[int]]:
        if self.registration:
            return nearest_offsets(ms * self.scale, pan * self.scale, kernel, RATIO)
        middle = [RATIO // 2] * (len(ms) * ms.shape[1])
        return middle, middle
