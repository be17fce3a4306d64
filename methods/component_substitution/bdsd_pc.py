"""BDSD-PC: band-dependent spatial detail with physical constraints (Vivone, IEEE TGRS 57(9), 2019)."""

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.injection import limited, unless
from waldbench.imaging.nonnegative import nonnegative
from waldbench.imaging.statistics import divide, flat_guide, gram
from waldbench.methods.base import Method, register
from waldbench.methods.component_substitution._detail_model import degraded


@register(
    tasks={"ms", "hs"},
    year=2019,
    paper="Vivone, IEEE TGRS 57(9):6421-6433",
    doi="10.1109/TGRS.2019.2906073",
    faithful="one model for the whole image; the constrained optimum is exact, not iterated to a tolerance",
    inferred=(
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class BDSDPC(Method):
    """BDSD whose guide may only add details and whose bands may only take them away."""

    margin = 24

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        blurred, low, details = degraded(lms, guide, self.sensor, self.ratio)
        weights = _constrained(torch.cat([-blurred, low], 1), details).to(lms.dtype)
        sought = torch.cat([-lms, guide], 1)
        fused = lms + (weights @ sought.flatten(2)).view_as(lms)
        return unless(flat_guide(guide), limited(fused, ms, guide), lms)


def _constrained(known: Tensor, details: Tensor) -> Tensor:
    """Non-negative weights (B, C, K) of the K known images for the details of every band."""
    matrix, right = gram(known, known), gram(known, details).mT
    scale = matrix.diagonal(dim1=-2, dim2=-1).sqrt()
    matrix = divide(matrix, scale[..., None] * scale[..., None, :])
    right = divide(right, scale[:, None])
    problems = matrix[:, None].expand(-1, right.shape[1], -1, -1).flatten(0, 1)
    return divide(nonnegative(problems, right.flatten(0, 1)).view_as(right), scale[:, None].expand_as(right))
