"""BDSD: band-dependent spatial detail (Garzelli, Nencini, Capobianco, IEEE TGRS 46(1), 2008)."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.injection import limited, unless
from waldbench.imaging.least_squares import least_squares
from waldbench.imaging.statistics import flat_guide
from waldbench.methods.base import Method, register
from waldbench.methods.component_substitution._detail_model import WEAKEST, degraded


@register(
    tasks={"ms", "hs"},
    year=2008,
    paper="Garzelli, Nencini, Capobianco, IEEE TGRS 46(1):228-236",
    doi="10.1109/TGRS.2007.907604",
    faithful="as in the reference toolbox (with block=128: its distinct blocks): no constant term, bands degraded from lms",
    inferred=(
        "an image that is no multiple of the block: its last block takes the remainder",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class BDSD(Method):
    """Details as the combination of bands and guide that best restores the bands from their blurred selves, block by block.

    Args:
        block: block side in pixels of the guide (128 in the reference toolbox); None: one model for the whole image.
        options: sensor and guide_bands, as in `Method`.
    """

    needs_whole = "it fits one model a block"

    def __init__(self, *, block: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if block is not None and block < self.ratio:
            raise ValueError(f"block: expected at least {self.ratio} pixels of the guide, the ratio, got {block}")
        self.block = None if block is None else block // self.ratio

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        blurred, low, details = degraded(lms, guide, self.sensor, self.ratio)
        known, sought = torch.cat([blurred, low], 1), torch.cat([lms, guide], 1)
        fused = lms.clone()
        for rows in _blocks(known.shape[-2], self.block):
            for columns in _blocks(known.shape[-1], self.block):
                weights = least_squares(known[..., rows, columns], details[..., rows, columns], data=WEAKEST).to(lms.dtype)
                rows_up, columns_up = self._up(rows), self._up(columns)
                window = sought[..., rows_up, columns_up]
                fused[..., rows_up, columns_up] += (weights.mT @ window.flatten(2)).view_as(window[:, :-1])
        return unless(flat_guide(guide), limited(fused, ms, guide), lms)

    def _up(self, window: slice) -> slice:
        return slice(window.start * self.ratio, window.stop * self.ratio)


def _blocks(size: int, block: int | None) -> Iterator[slice]:
    block = block or size
    count = max(size // block, 1)
    for number in range(count):
        yield slice(number * block, size if number == count - 1 else (number + 1) * block)
