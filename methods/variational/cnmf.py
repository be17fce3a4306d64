"""CNMF: coupled non-negative matrix factorisation (Yokoya, Yairi, Iwasaki, IEEE TGRS 50(2), 2012)."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import mtf, mtf_pan
from waldbench.imaging.flatness import is_flat
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.resampling import interp23
from waldbench.imaging.sensors import generic
from waldbench.imaging.statistics import divide, flat_guide
from waldbench.methods.base import Method, register
from waldbench.methods.variational._subspace import responses

# Weight of the condition that abundances sum to one, as a share of the images' largest value.
SUM_TO_ONE = 0.3
# Abundances updated at once; so many stay in a CPU's cache.
PIECE = 2**16


@register(
    tasks={"ms", "hs"},
    year=2012,
    paper="Yokoya, Yairi, Iwasaki, IEEE TGRS 50(2):528-537",
    doi="10.1109/TGRS.2011.2161320",
    faithful="alternating multiplicative updates, coupled by spectral responses (non-negative regression) and a blur",
    inferred=(
        "endmembers start from successive projections instead of the random VCA; at most 30",
        "fixed numbers of updates instead of a tolerance; blur of gain 0.3 at Nyquist for all abundances",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class CNMF(Method):
    """Endmember spectra from the bands and their abundances from the guide, each fitted with the other held fixed.

    Args:
        endmembers: largest number of endmembers; never more than bands.
        rounds: alternations between the two images.
        updates: multiplicative updates in each.
        options: sensor and guide_bands, as in `Method`.
    """

    needs_whole = "it iterates over the whole image"

    def __init__(self, *, endmembers: int = 30, rounds: int = 2, updates: int = 20, **options: Any) -> None:
        super().__init__(**options)
        self.endmembers, self.rounds, self.updates = endmembers, rounds, updates

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        scale = torch.maximum(ms.amax((1, 2, 3)), guide.amax((1, 2, 3)))[:, None, None]
        scale = torch.where(scale > 0, scale, 1)
        size, low_size = guide.shape[-2:], ms.shape[-2:]
        response = responses(ms, mtf_pan(guide, self.sensor, self.ratio, step=self.ratio))
        bands, sharp = (image.flatten(2).clamp(min=0) / scale for image in (ms, guide))
        spectra = _purest(bands, min(self.endmembers, ms.shape[1]))
        low = bands.new_full((len(ms), spectra.shape[-1], bands.shape[-1]), 1 / spectra.shape[-1])
        low = _abundances(bands, spectra, low, 5 * self.updates)
        abundances = interp23(low.unflatten(2, low_size), self.ratio).clamp_(min=0).flatten(2)
        for _ in range(self.rounds):
            for _ in range(self.updates):
                spectra = _spectra(bands, spectra, low)
                low = _abundances(bands, spectra, low, 1)
            abundances = _abundances(sharp, response @ spectra, abundances, self.updates)
            low = self._degrade(abundances.unflatten(2, size))
        for _ in range(self.updates):
            spectra = _spectra(bands, spectra, low)
        fused = (spectra @ abundances * scale).unflatten(2, size)
        return unless(flat_guide(guide), limited(fused, ms, guide), lms)

    def _degrade(self, abundances: Tensor) -> Tensor:
        sensor = generic(abundances.shape[1], self.ratio)
        return mtf(abundances, sensor, step=self.ratio).clamp_(min=0).flatten(2)


def _purest(pixels: Tensor, count: int) -> Tensor:
    """Spectra (B, C, D) of the pixels (B, C, N) farthest from the span of those chosen before (Araújo et al., 2001).

    Once they span all pixels, what is left is rounding, and the first one is repeated.
    """
    rest, chosen = pixels, []
    power = pixels.square().sum(1)
    whole, first = power.mean(-1), power.argmax(-1)
    for _ in range(count):
        left = rest.square().sum(1)
        far = torch.where(is_flat(left.mean(-1), whole), first, left.argmax(-1))
        place = far[:, None, None].expand(-1, pixels.shape[1], 1)
        chosen.append(pixels.gather(2, place))
        axis = rest.gather(2, place)
        axis = divide(axis, axis.norm(dim=1, keepdim=True).expand_as(axis))
        rest = rest - axis @ (axis.mT @ rest)
    return torch.cat(chosen, 2)


def _abundances(pixels: Tensor, spectra: Tensor, abundances: Tensor, updates: int) -> Tensor:
    """Multiplicative updates of the abundances (B, D, N), which every pixel makes on its own."""
    power = spectra.mT @ spectra + SUM_TO_ONE**2
    tiny = torch.finfo(pixels.dtype).tiny
    step = pixels.shape[-1] if pixels.is_cuda else max(1, PIECE // (len(pixels) * power.shape[-1]))
    parts = []
    for piece, values in zip(pixels.split(step, -1), abundances.split(step, -1), strict=True):
        wanted = spectra.mT @ piece + SUM_TO_ONE**2
        given = torch.empty_like(wanted)
        values = values.clone()
        for _ in range(updates):
            torch.bmm(power, values, out=given)
            values.mul_(wanted).div_(given.add_(tiny))
        parts.append(values)
    return torch.cat(parts, -1)


def _spectra(pixels: Tensor, spectra: Tensor, abundances: Tensor) -> Tensor:
    """One multiplicative update of the spectra (B, C, D)."""
    return spectra * divide(pixels @ abundances.mT, spectra @ (abundances @ abundances.mT))
