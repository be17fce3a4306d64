"""TV: total variation (Palsson, Sveinsson, Ulfarsson, IEEE GRSL 11(1), 2014)."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import gaussian_low_pass
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.nonnegative import nonnegative
from waldbench.imaging.statistics import divide, flat_guide, gram
from waldbench.methods.base import Method, register
from waldbench.methods.variational._tv_solver import Problem, Solver, as_in_toolbox


@dataclass(frozen=True)
class Setting:
    """Parameters that the authors tuned for one sensor: bound alpha, smoothness, iterations, share of every band in the guide."""

    alpha: float
    smoothness: float
    iterations: int
    weights: tuple[float, ...]


SETTINGS = {
    "wv3": Setting(0.75, 1e-3, 50, (0.0657, 0.1012, 0.1537, 0.1473, 0.1245, 0.1545, 0.1338, 0.1192)),
    "ikonos": Setting(1.064, 0.47106, 10, (0.1091, 0.2127, 0.2928, 0.3854)),
    "ge1": Setting(0.75, 157.8954, 50, (0.1552, 0.3959, 0.2902, 0.1587)),
}

# For all other sensors: smoothness as a share of the sensor's scale.
SMOOTHNESS = 1 / 500
ITERATIONS = 50
RIDGE = 1e-2


@register(
    tasks={"ms", "hs"},
    year=2014,
    paper="Palsson, Sveinsson, Ulfarsson, IEEE GRSL 11(1):318-322",
    doi="10.1109/LGRS.2013.2257669",
    faithful="the published iteration; the reference toolbox's own differs in a sign and in its planes (variant='toolbox')",
    inferred=(
        "sensors without tuned parameters: shares of the bands by non-negative ridge regression, alpha at the convergence "
        "bound, smoothness a 500th of the sensor's scale",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class TV(Method):
    """The image that explains both inputs and has the least total variation, by 50 steps of majorisation-minimisation.

    Args:
        tuned_for: key of the sensor whose tuned parameters are used, one of `SETTINGS`; default: the sensor itself.
        variant: "published", or "toolbox" for the reference toolbox's numbers (at least four bands).
        options: sensor and guide_bands, as in `Method`.
    """

    needs_whole = "it iterates over the whole image"

    def __init__(
        self, *, tuned_for: str | None = None, variant: Literal["published", "toolbox"] = "published", **options: Any
    ) -> None:
        super().__init__(**options)
        self.setting = SETTINGS.get(tuned_for or self.sensor.key)
        self.variant = variant
        if variant == "toolbox" and self.sensor.count < 4:
            raise ValueError(f"variant 'toolbox' needs at least 4 bands, sensor {self.sensor.key} has {self.sensor.count}")
        if tuned_for and self.setting is None:
            raise ValueError(f"tuned_for: expected one of {', '.join(SETTINGS)}, got '{tuned_for}'")
        if self.setting and len(self.setting.weights) != self.sensor.count:
            raise ValueError(f"'{tuned_for}' has {len(self.setting.weights)} bands, sensor {self.sensor.key} {self.sensor.count}")

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        if self.setting:
            weights = ms.new_tensor(self.setting.weights).view(1, -1, 1, 1).expand(len(ms), -1, -1, -1)
            alpha = torch.full_like(weights[:, :1], self.setting.alpha)
            smoothness, iterations = self.setting.smoothness, self.setting.iterations
        else:
            weights = _shares(ms, gaussian_low_pass(guide, self.ratio, step=self.ratio))
            # The curvature of both data terms is at most 1 + |w|^2: no step can overshoot.
            alpha = 1 + weights.square().sum(1, keepdim=True)
            smoothness, iterations = SMOOTHNESS * self.sensor.scale, ITERATIONS
        problem = Problem(ms, guide, weights, alpha, smoothness, self.ratio)
        if self.variant == "toolbox":
            return as_in_toolbox(problem, iterations)
        return unless(flat_guide(guide), limited(Solver(problem).run(iterations), ms, guide), lms)


def _shares(ms: Tensor, guide: Tensor) -> Tensor:
    """Non-negative weights (B, C, 1, 1) of the bands whose sum comes closest to the guide."""
    matrix, right = gram(ms, ms), gram(ms, guide)[..., 0]
    scale = matrix.diagonal(dim1=-2, dim2=-1).sqrt()
    # The ridge settles the shares of bands that are nearly the same.
    matrix = divide(matrix, scale[..., None] * scale[..., None, :]) + RIDGE * torch.eye(matrix.shape[-1]).to(matrix)
    weights = divide(nonnegative(matrix, divide(right, scale)), scale)
    return weights[..., None, None].to(ms)
