"""How details of the guide enter a band: by a product that has bounds, within reach of the inputs, and only if there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from waldbench.imaging.strips import inner, total

EPS = 2.0**-52
# What newer toolboxes clip modulations to. Where a denominator nears zero, at dark or saturated edges, they have no meaning.
LOWEST, HIGHEST = 0.0, 10.0
Variant = Literal["clipped", "toolbox"]


@dataclass(frozen=True)
class Modulation:
    """How a method divides one guide by another, say by its low-pass.

    Args:
        variant: "clipped" to [0, 10], and to 1 where both guides are zero; or "toolbox", the published formula of the reference
            toolbox: nothing is clipped, and 2^-52 is added to the denominator.

    Raises:
        ValueError: for another variant.
    """

    variant: Variant

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise ValueError(f"variant: expected {' or '.join(get_args(Variant))}, got '{self.variant}'")

    @property
    def clips(self) -> bool:
        """Whether there are bounds."""
        return self.variant == "clipped"

    def __call__(self, numerator: Tensor, denominator: Tensor) -> Tensor:
        """The quotient, a new tensor."""
        if not self.clips:
            return numerator / (denominator + EPS)
        return (numerator / denominator).nan_to_num_(1.0, HIGHEST, LOWEST).clamp_(LOWEST, HIGHEST)

    def limited(self, fused: Tensor, ms: Tensor, guide: Tensor) -> Tensor:
        """See the function `limited`; as published, there is no limit."""
        return limited(fused, ms, guide) if self.clips else fused


def limited(fused: Tensor, ms: Tensor, guide: Tensor) -> Tensor:
    """Keep a fused image (B, C, H, W) within the range that ms and guide cover together, widened by its width at both ends.

    A guide that has little to do with the bands, as a single bright pixel in a flat image, would be amplified without bounds.
    """
    low = total(torch.minimum(inner(ms).amin((1, 2, 3)), inner(guide).amin((1, 2, 3))), torch.minimum)
    high = total(torch.maximum(inner(ms).amax((1, 2, 3)), inner(guide).amax((1, 2, 3))), torch.maximum)
    bottom, top = 2 * low - high, 2 * high - low
    least, most = torch.aminmax(fused)
    if bool((least < bottom.amax()) | (most > top.amin())):
        fused = torch.maximum(torch.minimum(fused, top[:, None, None, None]), bottom[:, None, None, None])
    return fused


def unless(nothing: Tensor, fused: Tensor, lms: Tensor) -> Tensor:
    """The fused image (B, C, H, W); but lms in those images, or bands, in which there is nothing to inject.

    Args:
        nothing: boolean (B, 1, 1, 1) or (B, C, 1, 1).
        fused: fused image.
        lms: interpolated image of the same shape.
    """
    return torch.where(nothing, lms, fused) if bool(nothing.any()) else fused
