"""MTF-GLP: generalised Laplacian pyramid with the sensor's MTF (Aiazzi et al., PE&RS 72(5), 2006)."""

from torch import Tensor

from imaging.filters import gaussian_low_pass, glp_low_pass
from imaging.statistics import match_moments
from methods import Method, register


@register(
    tasks={"ms", "hs"},
    year=2006,
    paper="Aiazzi, Alparone, Baronti, Garzelli, Selva, Photogrammetric Engineering and Remote Sensing 72(5):591-596",
    doi="10.14358/PERS.72.5.591",
    faithful="as in the reference toolbox: unit gains, guide equalised by the deviation of its low-passed self",
)
class MTFGLP(Method):
    """Injection by addition: every band plus the equalised guide minus its Laplacian low-pass."""

    margin = 17

    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse; shapes as in `Method`."""
        guide = match_moments(guide, like=lms, spread=gaussian_low_pass(guide, self.ratio))
        return lms + guide - glp_low_pass(guide, self.sensor, self.ratio)
