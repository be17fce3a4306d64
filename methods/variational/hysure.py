"""HySure: fusion in a subspace with vector total variation (Simões, Bioucas-Dias, Almeida, Chanussot, IEEE TGRS 53(6), 2015)."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import mtf_pan
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.statistics import flat_guide
from waldbench.methods.base import Method, register
from waldbench.methods.variational._subspace import MARGIN, Decimation, axes, mirror, responses, spectra


@register(
    tasks={"hs"},
    title="HySure",
    year=2015,
    paper="Simões, Bioucas-Dias, Almeida, Chanussot, IEEE TGRS 53(6):3373-3388",
    doi="10.1109/TGRS.2014.2375320",
    faithful=(
        "quadratic terms for bands and guide, isotropic vector total variation of the subspace coefficients, "
        "ADMM with a split for each term and an exact step in the Fourier domain"
    ),
    inferred=(
        "the strongest 10 axes of the bands as subspace; smoothness 5e-4 for images in [0, 1], penalty 0.05, 200 iterations",
        "blur and spectral responses are not estimated jointly: mean MTF gain of the sensor, non-negative regression",
        "borders are mirrored by four low-resolution pixels, then circular",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class HySure(Method):
    """Minimise |Y - E down(X)|^2 + guide_weight |P - R E X|^2 + 2 smoothness TV(X) over coefficients X, and return E X.

    Args:
        components: dimensions of the spectral subspace; never more than bands.
        smoothness: weight of the vector total variation, for images scaled to [0, 1].
        guide_weight: weight of the guide's term.
        penalty: ADMM's quadratic penalty.
        iterations: number of ADMM iterations.
        options: sensor and guide_bands, as in `Method`.
    """

    def __init__(
        self,
        *,
        components: int = 10,
        smoothness: float = 5e-4,
        guide_weight: float = 1.0,
        penalty: float = 0.05,
        iterations: int = 200,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.components, self.iterations = components, iterations
        self.smoothness, self.guide_weight, self.penalty = smoothness, guide_weight, penalty

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        scale = torch.maximum(ms.abs().amax((1, 2, 3)), guide.abs().amax((1, 2, 3)))[:, None, None, None]
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        response = responses(ms, mtf_pan(guide, self.sensor, self.ratio, step=self.ratio))
        base, margin = axes(ms, self.components), MARGIN * self.ratio
        low = mirror(spectra(base.mT, ms / scale), MARGIN)
        start = mirror(spectra(base.mT, lms / scale), margin)
        coded = self._minimise(start, low, mirror(guide / scale, margin), response @ base)
        fused = spectra(base, coded[..., margin:-margin, margin:-margin]) * scale
        return unless(flat_guide(guide), limited(fused, ms, guide), lms)

    def _minimise(self, x: Tensor, low: Tensor, guide: Tensor, response: Tensor) -> Tensor:
        """ADMM from the coefficients x (B, K, H, W); duals are scaled by the penalty."""
        decimation, step = Decimation.of(self.sensor, x), self.ratio
        inverse = 1 / (decimation.blur.abs().square() + 1 + _curvature(x))
        matrix = self.guide_weight * response.mT @ response + self.penalty * torch.eye(x.shape[1]).to(x)
        to_guide = torch.linalg.inv(matrix)
        wanted = self.guide_weight * spectra(response.mT, guide)
        goals = images = _views(x, torch.fft.rfft2(x), decimation)
        duals = [torch.zeros_like(image) for image in images]
        for _ in range(self.iterations):
            blurred, sharp, down, right = (goal + dual for goal, dual in zip(goals, duals, strict=True))
            rest = sharp + _down_adjoint(down) + _right_adjoint(right)
            spectrum = (torch.fft.rfft2(blurred) * decimation.blur.conj() + torch.fft.rfft2(rest)) * inverse
            x = torch.fft.irfft2(spectrum, decimation.size)
            images = _views(x, spectrum, decimation)
            blurred, sharp, down, right = (image - dual for image, dual in zip(images, duals, strict=True))
            kept = blurred[..., ::step, ::step]
            blurred[..., ::step, ::step] = (low + self.penalty * kept) / (1 + self.penalty)
            sharp = spectra(to_guide, wanted + self.penalty * sharp)
            goals = [blurred, sharp, *_shrink(down, right, self.smoothness / self.penalty)]
            duals = [dual - image + goal for dual, image, goal in zip(duals, images, goals, strict=True)]
        return x


def _views(x: Tensor, spectrum: Tensor, decimation: Decimation) -> list[Tensor]:
    """The four images that the terms see: x blurred, x, and its circular differences."""
    blurred = torch.fft.irfft2(spectrum * decimation.blur, decimation.size)
    return [blurred, x, x.roll(-1, -2) - x, x.roll(-1, -1) - x]


def _down_adjoint(x: Tensor) -> Tensor:
    return x.roll(1, -2) - x


def _right_adjoint(x: Tensor) -> Tensor:
    return x.roll(1, -1) - x


def _curvature(x: Tensor) -> Tensor:
    """Squared responses of both circular differences, on the grid of a real Fourier transform."""
    height, width = x.shape[-2:]
    rows, columns = torch.fft.fftfreq(height, dtype=x.dtype), torch.fft.rfftfreq(width, dtype=x.dtype)
    return ((2 * torch.sin(torch.pi * rows)).square()[:, None] + (2 * torch.sin(torch.pi * columns)).square()).to(x)


def _shrink(down: Tensor, right: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Shorten the gradient of all coefficients of a pixel together."""
    length = (down.square().sum(1, keepdim=True) + right.square().sum(1, keepdim=True)).sqrt()
    factor = (1 - threshold / length.clamp(min=threshold)).clamp(min=0)
    return down * factor, right * factor
