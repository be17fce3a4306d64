"""PCA: substitution of the first principal component (Chavez, Kwarteng, PE&RS 55(3), 1989)."""

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.injection import limited, unless
from waldbench.imaging.statistics import combine, covariance, flat_guide, gram, inject, match_moments, zero_mean
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=1989,
    paper="Chavez, Kwarteng, Photogrammetric Engineering and Remote Sensing 55(3):339-348",
    faithful="unstandardised components; the sign of the first one is chosen so that it varies with the guide",
    inferred=(
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class PCA(Method):
    """Component substitution in the axes of greatest variance: the guide takes the place of the first component."""

    margin = 0

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        bands = zero_mean(lms)
        axis = torch.linalg.eigh(gram(bands, bands)).eigenvectors[..., -1:, None].to(lms.dtype)
        component = combine(bands, axis)
        sign = torch.where(covariance(component, guide) < 0, -1, 1)
        axis, component = axis * sign, component * sign
        fused = inject(lms, axis, match_moments(guide, like=component) - component)
        return unless(flat_guide(guide), limited(fused, ms, guide), lms)
