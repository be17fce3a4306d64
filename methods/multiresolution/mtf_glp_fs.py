"""MTF-GLP-FS: full-scale regression of the gains (Vivone, Restaino, Chanussot, IEEE TIP 27(7), 2018)."""

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import glp_low_pass
from waldbench.imaging.flatness import is_flat
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.statistics import covariance, divide, inject, mean, variance
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2018,
    paper="Vivone, Restaino, Chanussot, IEEE TIP 27(7):3418-3431",
    doi="10.1109/TIP.2018.2819501",
    faithful="global gains, guide not equalised",
    inferred=(
        "a guide whose low-pass is flat, or does not vary with it, has nothing to inject: the gains are 0",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class MTFGLPFS(Method):
    """Injection by addition whose gains come from covariances with the guide at full scale."""

    margin = 17

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        low = glp_low_pass(guide, self.sensor, self.ratio)
        shared, spread = covariance(guide, low), variance(guide)
        # What rounding of the low-pass, a share of its level, can have in common with the guide.
        rounding = is_flat(shared.square(), spread * (spread + mean(guide).square()))
        gains = divide(covariance(guide, lms), torch.where(rounding | (spread == 0), 0.0, shared))
        return unless(gains == 0, limited(inject(lms, gains, guide - low), ms, guide), lms)
