"""SAR regression: cloudy pixels are predicted from backscatter by what clear pixels teach (a baseline of our own)."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.imaging.filters import box
from waldbench.imaging.statistics import divide, gram
from waldbench.methods.base import Method, register
from waldbench.methods.cloud_filling._clouds import clear_pixels, unfit

# Windows of the speckle filters, in pixels.
WINDOWS = (5, 17)
# Clear share of a window at which its mean residual counts half.
HALF = 0.05
# As a share of the number of clear pixels; features have unit variance.
RIDGE = 1e-4


@register(
    tasks={"sar"},
    title="SAR regression",
    year=2019,
    paper="a baseline of our own; clouds: Schmitt, Hughes, Qiu, Zhu, ISPRS Annals IV-2/W7:145-152",
    doi="10.5194/isprs-annals-IV-2-W7-145-2019",
    faithful="cloud score from band thresholds and ratios, threshold 0.2; least squares on clear pixels",
    inferred=(
        "features: backscatter in dB averaged over 5 and 17 pixels and the squares of the wider averages",
        "global fit of each image plus the mean residual of the clear pixels in windows around each pixel",
        "shadows are left; an image with less than 1 % clear pixels stays as it is",
    ),
)
class SARRegression(Method):
    """Least squares of the bands on backscatter where it is clear, corrected by residuals nearby, used where it is cloudy.

    Args:
        window: side of the windows of the local correction in pixels, odd.
        options: sensor and guide_bands, as in `Method`.

    Raises:
        ValueError: if window is even or below 1.
    """

    def __init__(self, *, window: int = 65, **options: Any) -> None:
        super().__init__(**options)
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window: expected an odd number of at least 1, got {window}")
        self.window = window

    @classmethod
    @override
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None if ms and guide have one resolution and ms the visible bands, which the cloud score needs; else the reason."""
        return unfit("sar-regression", sensor)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        clear = clear_pixels(lms, self.sensor)
        features = _features(guide, clear)
        predicted = (_weights(features * clear, lms * clear).mT @ features.flatten(2)).view_as(lms)
        share = box(clear, self.window)
        predicted = predicted + box((lms - predicted) * clear, self.window) / (share + HALF)
        return lms * clear + predicted * (1 - clear)


def _weights(features: Tensor, onto: Tensor) -> Tensor:
    """Ridge regression weights (B, K, C); the ridge settles the shares of polarisations that say the same."""
    power = gram(features, features)
    ridge = RIDGE * power[:, -1:, -1:] * torch.eye(power.shape[-1]).to(power)
    return torch.linalg.solve(power + ridge, gram(features, onto)).to(onto)


def _features(guide: Tensor, clear: Tensor) -> Tensor:
    """Averaged backscatter (B, K, H, W), centred and scaled by the clear pixels, and a constant."""
    values = torch.cat([box(guide, window) for window in WINDOWS], 1)
    count = clear.sum((2, 3), keepdim=True)
    centred = values - (values * clear).sum((2, 3), keepdim=True) / count
    spread = ((centred.square() * clear).sum((2, 3), keepdim=True) / count).sqrt()
    # Where a cloud hides backscatter unlike any in the clear, squares would run away.
    scaled = divide(centred, spread.expand_as(centred)).clamp(-3, 3)
    return torch.cat([scaled, scaled[:, -guide.shape[1] :].square(), torch.ones_like(clear)], 1)
