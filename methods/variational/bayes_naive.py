"""Bayes-naive: Gaussian prior in a subspace, solved in closed form (Wei, Dobigeon, Tourneret, IEEE TIP 24(11), 2015)."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import gaussian_low_pass, mtf_pan
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.statistics import flat_guide, gram, variance, zero_mean
from waldbench.methods.base import Method, register
from waldbench.methods.variational._subspace import MARGIN, Decimation, axes, mirror, responses, spectra

# Smallest share of a variance that counts as noise or as prior knowledge.
FLOOR = 1e-4


@register(
    tasks={"ms", "hs"},
    title="Bayes-naive",
    year=2015,
    paper="Wei, Dobigeon, Tourneret, IEEE TIP 24(11):4109-4121; Loncan et al., IEEE GRSM 3(3), 2015",
    doi="10.1109/TIP.2015.2458572",
    faithful=(
        "Gaussian noise and Gaussian prior around the interpolated image, in a spectral subspace; "
        "the Sylvester equation is solved in closed form in the Fourier domain"
    ),
    inferred=(
        "principal axes, 10 at most; outside of them the interpolated image stays",
        "prior covariance: that of the details which a blur takes from the low-resolution image",
        "noise of the bands 35 dB below their power; noise of the guide: what the spectral responses leave unexplained",
        "spectral responses by non-negative regression, blur of the bands' mean gain at Nyquist",
        "borders are mirrored by four low-resolution pixels, then circular",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class BayesNaive(Method):
    """The most probable image given bands, guide, their noise and a Gaussian prior of its details.

    Args:
        components: dimensions of the spectral subspace; never more than bands.
        snr: signal-to-noise ratio of the bands, in dB.
        options: sensor and guide_bands, as in `Method`.
    """

    def __init__(self, *, components: int = 10, snr: float = 35.0, **options: Any) -> None:
        super().__init__(**options)
        self.components, self.noise = components, 10 ** (-snr / 10)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        bands, sharp = zero_mean(ms), zero_mean(guide)
        low_guide = zero_mean(mtf_pan(guide, self.sensor, self.ratio, step=self.ratio))
        response, base = responses(bands, low_guide), axes(bands, self.components)
        coded, interpolated = spectra(base.mT, bands), spectra(base.mT, lms - ms.mean((2, 3), keepdim=True))
        noise = self.noise * variance(bands).mean(1, keepdim=True)
        guide_noise = variance(low_guide - spectra(response, bands)) + FLOOR * variance(low_guide)
        precision = _inverse(_details(coded))
        details = self._solve(coded, interpolated, sharp, response @ base, precision, _positive(noise), _positive(guide_noise))
        return unless(flat_guide(guide), limited(lms + spectra(base, details), ms, guide), lms)

    def _solve(
        self, low: Tensor, start: Tensor, guide: Tensor, response: Tensor, precision: Tensor, noise: Tensor, guide_noise: Tensor
    ) -> Tensor:
        """Details of the coded image: the Sylvester equation in the axes in which response and prior are diagonal."""
        margin = MARGIN * self.ratio
        start, guide, low = mirror(start, margin), mirror(guide, margin), mirror(low, MARGIN)
        decimation = Decimation.of(self.sensor, start)
        weighted = response.mT / guide_noise[:, 0].mT
        matrix = noise[:, 0].double() * (weighted.double() @ response.double() + precision)
        values, turn = torch.linalg.eigh((matrix + matrix.mT) / 2)
        right = decimation.up(low - decimation.down(start)) + noise * spectra(weighted, guide - spectra(response, start))
        turn = turn.to(right)
        details = decimation.solve(spectra(turn.mT, right), values.to(right)[..., None, None])
        return spectra(turn, details)[..., margin:-margin, margin:-margin]


def _positive(noise: Tensor) -> Tensor:
    """Flat images have no noise of their own; any positive one does."""
    return torch.where(noise > 0, noise, torch.ones_like(noise))


def _details(coded: Tensor) -> Tensor:
    """Covariance (B, K, K), float64, of what a blur by the resolution ratio of 2 takes from the coded image."""
    rest = zero_mean(coded - gaussian_low_pass(coded, 2))
    return gram(rest, rest) / max(rest.shape[-2] * rest.shape[-1] - 1, 1)


def _inverse(covariance: Tensor) -> Tensor:
    trace = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    floor = torch.where(trace > 0, FLOOR * trace, torch.ones_like(trace))
    return torch.linalg.inv(covariance + floor * torch.eye(covariance.shape[-1]).to(covariance))
