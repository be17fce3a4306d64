"""FE-HPM: high-pass modulation with an estimated filter (Vivone, Simões, Dalla Mura, Restaino et al., IEEE TGRS 53(4), 2015)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from waldbench.imaging.filters import spline_low_pass
from waldbench.imaging.injection import Modulation, Variant, unless
from waldbench.imaging.least_squares import level, solve, triangle
from waldbench.imaging.operators import AxisOperator, separable
from waldbench.imaging.resampling import decimate, interp23
from waldbench.imaging.statistics import combine, divide, gram, mean, std, zero_mean
from waldbench.methods.base import Method, register

# The paper's weights of the kernel's energy and of its gradient, and the share of its sum below which a tap counts as noise.
ENERGY = 1e5
GRADIENT = 1e5
NOISE = 1e-3


@register(
    tasks={"ms", "hs"},
    year=2015,
    paper="Vivone, Simões, Dalla Mura, Restaino, Bioucas-Dias, Licciardi, Chanussot, IEEE TGRS 53(4):1997-2010",
    doi="10.1109/TGRS.2014.2351754",
    faithful="as in the reference toolbox: five alternations from the B3 spline, weights 1e5, kernel side 25 at ratio 4",
    inferred=(
        "kernel side 6 ratio + 1 at other ratios",
        "an image in which no tap exceeds the noise bound keeps the largest taps",
        "modulation clipped to [0, 10], as newer toolboxes do; variant='toolbox' is the published one",
        "a flat band, or a flat guide, is left as interpolated",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class FEHPM(Method):
    """High-pass modulation whose low-pass is deconvolved from the guide and the bands themselves.

    Args:
        rounds: alternations of intensity and kernel.
        variant: "clipped", or "toolbox": the published modulation, which dark pixels drive without bounds.
        options: sensor and guide_bands, as in `Method`.
    """

    needs_whole = "it estimates one filter from the spectrum of the image"

    def __init__(self, *, rounds: int = 5, variant: Variant = "clipped", **options: Any) -> None:
        super().__init__(**options)
        self.rounds = rounds
        self.modulation = Modulation(variant)
        self.reach = 3 * self.ratio

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        kernel = self._estimate(lms, guide)
        # Filter and interpolation are linear: one low-pass serves every equalised guide, and that of a constant its level. The
        # filter keeps a constant; the 23 taps, which do not quite sum to 2, do not.
        gains, level = divide(std(lms), std(guide)), mean(lms)
        details = zero_mean(guide)
        low = interp23(decimate(_correlate(details, kernel), self.ratio), self.ratio)
        constant = interp23(torch.ones_like(ms[:1, :1]), self.ratio)
        fused = self.modulation(gains * details + level, gains * low + level * constant).mul_(lms)
        return unless(gains == 0, self.modulation.limited(fused, ms, guide), lms)

    def _estimate(self, lms: Tensor, guide: Tensor) -> Tensor:
        """Kernel (B, 1, K, K) that turns the guide into its best fit by the bands."""
        bands = torch.cat([torch.ones_like(guide), lms], 1)
        factor = triangle(bands)
        taper, penalty = _Taper(guide, self.reach), _penalty(guide)
        low, kernel = spline_low_pass(guide, self.ratio), guide
        for number in range(self.rounds):
            if number:
                low = _correlate(guide, kernel)
            weights = solve(*level(factor, gram(bands, low)), lms.dtype).to(lms.dtype)[..., None]
            guide, intensity = taper(guide), taper(combine(bands, weights))
            kernel = self._deconvolve(guide, intensity, penalty)
        return kernel

    def _deconvolve(self, guide: Tensor, intensity: Tensor, penalty: Tensor) -> Tensor:
        source, target = torch.fft.rfft2(guide), torch.fft.rfft2(intensity)
        response = torch.fft.irfft2(source.conj() * target / (source.abs().square() + penalty), s=guide.shape[-2:])
        response = torch.fft.fftshift(response, dim=(-2, -1))
        peak = response.amax((-2, -1), keepdim=True)
        response = torch.where(response >= peak.clamp(max=NOISE), response, 0)
        return _window(response, self.reach)


def _window(response: Tensor, reach: int) -> Tensor:
    """Cut the taps around the largest one out of (B, 1, H, W) and make their sum 1."""
    height = response.shape[-2]
    # The first maximum column by column.
    place = response.mT.flatten(1).argmax(1)
    offsets = torch.arange(2 * reach + 1, device=response.device)
    rows, columns = (place % height)[:, None] + offsets, (place // height)[:, None] + offsets
    padded = functional.pad(response, (reach,) * 4)
    image = torch.arange(len(response), device=response.device)[:, None, None]
    kernel = padded[image, 0, rows[:, :, None], columns[:, None, :]][:, None]
    return divide(kernel, kernel.sum((-2, -1), keepdim=True).expand_as(kernel))


def _correlate(x: Tensor, kernel: Tensor) -> Tensor:
    """Correlate every image with its own kernel (B, 1, K, K), replicate borders."""
    reach = kernel.shape[-1] // 2
    padded = functional.pad(x, (reach,) * 4, mode="replicate")
    size = padded.shape[-2:]
    product = torch.fft.rfft2(padded) * torch.fft.rfft2(kernel, s=size).conj()
    return torch.fft.irfft2(product, s=size)[..., : x.shape[-2], : x.shape[-1]]


def _penalty(guide: Tensor) -> Tensor:
    """What every frequency of the kernel costs: its energy and that of its gradients."""
    stencil = guide.new_tensor([[-1.0, -1.0], [1.0, 1.0]])
    size = guide.shape[-2:]
    gradients = [torch.fft.rfft2(one, s=size).abs().square() for one in (stencil, stencil.mT)]
    return ENERGY + GRADIENT * (gradients[0] + gradients[1])


class _Taper:
    """Blends an image into its own circular blur towards the borders, so that it has no jump there."""

    def __init__(self, like: Tensor, side: int) -> None:
        rows, columns = (_ramp(size, side, like) for size in like.shape[-2:])
        self.inside = rows[:, None] * columns
        self.boxes = [_box(size, side) for size in like.shape[-2:]]

    def __call__(self, x: Tensor) -> Tensor:
        blurred = separable(x, *self.boxes)
        return torch.lerp(blurred, x, self.inside)


def _ramp(size: int, side: int, like: Tensor) -> Tensor:
    """0 at the borders, 1 from `side` pixels inwards: one minus the normalised autocorrelation of the box."""
    place = torch.arange(size, device=like.device, dtype=like.dtype)
    return (torch.minimum(place, size - 1 - place) / side).clamp(max=1)


def _box(size: int, side: int) -> AxisOperator:
    starts = torch.arange(size) - (side - 1) // 2
    return AxisOperator(starts, torch.full((size, side), 1 / side, dtype=torch.float64), size, "circular")
