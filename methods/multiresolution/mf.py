"""MF: half-gradient morphological pyramid (Restaino, Vivone, Dalla Mura, Chanussot, IEEE TIP 25(6), 2016)."""

from math import ceil, log2
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from waldbench.imaging.injection import Modulation, Variant, unless
from waldbench.imaging.resampling import resize
from waldbench.imaging.statistics import divide, mean, std, zero_mean
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2016,
    paper="Restaino, Vivone, Dalla Mura, Chanussot, IEEE TIP 25(6):2882-2895",
    doi="10.1109/TIP.2016.2556944",
    faithful="as in the reference toolbox: flat five-pixel cross, high-pass modulation",
    inferred=(
        "modulation clipped to [0, 10], as newer toolboxes do; variant='toolbox' is the published one",
        "a flat band, or a flat guide, is left as interpolated",
        "a ratio that is no power of two: as many halvings as reach it or go beyond",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class MF(Method):
    """High-pass modulation whose low-pass is a morphological pyramid: mean of dilation and erosion at every level.

    Args:
        variant: "clipped", or "toolbox": the published modulation, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    needs_whole = "its morphological filters treat the border of an image apart"

    def __init__(self, *, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.modulation = Modulation(variant)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        # The pyramid commutes with scaling and shifting, so one serves every equalised guide.
        gains, level = divide(std(lms), std(guide)), mean(lms)
        details = zero_mean(guide)
        fused = self.modulation(gains * details + level, gains * self._pyramid(details) + level).mul_(lms)
        return unless(gains == 0, self.modulation.limited(fused, ms, guide), lms)

    def _pyramid(self, x: Tensor) -> Tensor:
        sizes = []
        for number in range(ceil(log2(self.ratio))):
            sizes.append((x.shape[-2], x.shape[-1]))
            start = 1 if number == 0 else 0
            x = _half_gradient(x)[..., start::2, start::2]
        for size in reversed(sizes):
            x = resize(x, size, "linear")
        return x


def _half_gradient(x: Tensor) -> Tensor:
    """Mean of dilation and erosion by the five-pixel cross; pixels outside the image are ignored."""
    edge = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    sides = (edge[..., 1:-1, :-2], edge[..., 1:-1, 2:], edge[..., :-2, 1:-1], edge[..., 2:, 1:-1])
    high = low = x
    for side in sides:
        high, low = torch.maximum(high, side), torch.minimum(low, side)
    return (high + low) / 2
