"""A-PNN: the residual form of PNN, without its adaptation to the target (Scarpa, Vitale, Cozzolino, IEEE TGRS 56(9), 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import fast_layout
from waldbench.methods.recipes import Recipe

# What a 9x9 and two 5x5 convolutions without padding take off each border.
MARGIN = 8


def _unpadded(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, size)
    nn.init.kaiming_normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


@register(
    tasks={"ms", "hs"},
    title="A-PNN",
    year=2018,
    paper="Scarpa, Vitale, Cozzolino, IEEE TGRS 56(9), 2018",
    doi="10.1109/TGRS.2018.2817393",
    licence="GPL-3.0 (DLPan-Toolbox); written from a fact sheet, not from that code",
    faithful="layers, replicated test border and residual as in the DLPan-Toolbox; 48 filters as in its code and WV3 file",
    inferred=(
        "trained once for all images: the paper's fine-tuning on each target image is left out",
        "no golden vector of its own: the released weights are degenerate and not at hand",
        "training replicates the border too and leaves its 8 pixels out of the loss, instead of shrinking the image",
        "several guide bands: stacked with lms",
    ),
)
class APNN(OfficialNetwork):
    """Three unpadded convolutions of stacked lms and guide, added to lms.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        filters: number of filters of the first layer; the toolbox has weight files with 48 (WV3) and 64 (QB, WV2, WV4).
    """

    official: ClassVar = {"details.0": "conv1", "details.2": "conv2", "details.4": "conv3"}
    loss_margin = MARGIN

    recipe = Recipe("l1", 1e-4 * 17**2, 128, 10_000, "sgd", momentum=0.9, lr_times_bands=True, lr_factors=(("details.4.", 0.1),))

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, filters: int = 48) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.details = nn.Sequential(
            _unpadded(sensor.count + guide_bands, filters, 9),
            nn.ReLU(),
            _unpadded(filters, 32, 5),
            nn.ReLU(),
            _unpadded(32, sensor.count, 5),
        )

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details of lms and guide with replicated borders."""
        x = functional.pad(torch.cat([lms, guide], 1), (MARGIN,) * 4, mode="replicate")
        return lms + self.details(fast_layout(x))
