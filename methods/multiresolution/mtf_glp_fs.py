"""MTF-GLP-FS: full-scale regression of the gains (Vivone, Restaino, Chanussot, IEEE TIP 27(7), 2018)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import glp_low_pass
from waldbench.imaging.statistics import covariance, divide, inject
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2018,
    paper="Vivone, Restaino, Chanussot, IEEE TIP 27(7):3418-3431",
    doi="10.1109/TIP.2018.2819501",
    faithful="global gains, guide not equalised",
)
class MTFGLPFS(Method):
    """Injection by addition whose gains come from covariances with the guide at full scale."""

    margin = 17

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        low = glp_low_pass(guide, self.sensor, self.ratio)
        gains = divide(covariance(guide, lms), covariance(guide, low))
        return inject(lms, gains, guide - low)
