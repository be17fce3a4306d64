"""MTF-GLP: generalised Laplacian pyramid with the sensor's MTF (Aiazzi et al., PE&RS 72(5), 2006)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.imaging.filters import gaussian_low_pass, glp_low_pass
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.statistics import divide, mean, single_band, std, zero_mean
from waldbench.methods.base import Method, nothing_to_sharpen, register


@register(
    tasks={"ms", "hs", "sar"},
    year=2006,
    paper="Aiazzi, Alparone, Baronti, Garzelli, Selva, Photogrammetric Engineering and Remote Sensing 72(5):591-596",
    doi="10.14358/PERS.72.5.591",
    faithful="as in the reference toolbox: unit gains, guide equalised by the deviation of its low-passed self",
    inferred=(
        "the two bands of a SAR guide enter as their mean in dB, which no paper on this method foresees",
        "a flat band, or a guide whose low-pass is flat, is left as interpolated",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class MTFGLP(Method):
    """Injection by addition: every band plus the equalised guide minus its Laplacian low-pass."""

    margin = 17

    @classmethod
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None if ms is coarser than the guide, else the reason why not."""
        return nothing_to_sharpen("mtf-glp", sensor)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        guide = single_band(guide)
        gains = divide(std(lms), std(gaussian_low_pass(guide, self.ratio)))
        matched = zero_mean(guide) * gains + mean(lms)
        fused = lms + matched - glp_low_pass(matched, self.sensor, self.ratio)
        return unless(gains == 0, limited(fused, ms, guide), lms)
