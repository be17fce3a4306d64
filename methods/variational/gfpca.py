"""GFPCA: guided filtering of principal components (Liao, Huang, Van Coillie et al., IEEE JSTARS 8(6), 2015)."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import box
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.statistics import flat_guide, gram, mean, zero_mean
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2015,
    paper="Liao, Huang, Van Coillie, Gautama, Pizurica, Philips et al., IEEE JSTARS 8(6):2984-2996",
    doi="10.1109/JSTARS.2015.2420582",
    faithful="the strongest components pass He's guided filter with the guide, the others are only interpolated",
    inferred=(
        "four components, radius 8 and epsilon 1e-6 of the sensor's scale squared, as in the hyperspectral review of 2015",
        "components are interpolated with lms's own kernel; the weak ones are not denoised",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class GFPCA(Method):
    """Principal components that look locally like the guide: an edge-preserving transfer of its structure.

    Args:
        components: number of filtered components.
        radius: the filter's windows are 2 radius + 1 guide pixels a side.
        epsilon: regularisation of the filter, as a share of the sensor's scale (squared inside).
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 9

    def __init__(self, *, components: int = 4, radius: int = 8, epsilon: float = 1e-3, **options: Any) -> None:
        super().__init__(**options)
        self.components = components
        self.window = 2 * radius + 1
        self.epsilon = (epsilon * self.sensor.scale) ** 2

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        centred = zero_mean(ms)
        axes = torch.linalg.eigh(gram(centred, centred)).eigenvectors[..., -min(self.components, ms.shape[1]) :].to(ms.dtype)
        components = (axes.mT @ (lms - mean(ms)).flatten(2)).unflatten(2, lms.shape[-2:])
        gained = self._filter(components, zero_mean(guide)) - components
        return unless(flat_guide(guide), limited(lms + (axes @ gained.flatten(2)).view_as(lms), ms, guide), lms)

    def _filter(self, x: Tensor, guide: Tensor) -> Tensor:
        """He, Sun, Tang, IEEE TPAMI 35(6), 2013: in every window x is fitted by the guide; the fits are averaged."""
        average, guide_average = box(x, self.window), box(guide, self.window)
        power = box(guide * guide, self.window) - guide_average**2
        slope = (box(x * guide, self.window) - average * guide_average) / (power.clamp(min=0) + self.epsilon)
        return box(slope, self.window) * guide + box(average - slope * guide_average, self.window)
