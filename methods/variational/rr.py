"""RR: model-based reduced-rank pansharpening (Palsson, Ulfarsson, Sveinsson, IEEE GRSL 17(4), 2020)."""

from collections.abc import Callable
from math import ceil, log, pi, sqrt
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging.injection import limited, unless
from waldbench.imaging.operators import AxisOperator, separable
from waldbench.imaging.resampling import imresize
from waldbench.imaging.statistics import divide, flat_guide, gram
from waldbench.methods.base import Method, register

# Smoothness of every component, tuned by the authors for WorldView-3 and for GeoEye-1 (four bands).
EIGHT = (6.03425034e-7, 2.245365227623e-3, 1.23865525036e-4, 4.160835851678272, 1.105372103739908)
FOUR = (1.308909327602e-3, 9.717342059e-6, 6.023213549356e-3, 4.7936473115674e-2)
# Root mean square of the normal equations' residual at which to stop, and the toolbox's bound of its norm.
PRECISION = 1e-2
TOOLBOX_PRECISION = 0.1
LIMIT = 1000
Operator = Callable[[Tensor], Tensor]


@register(
    tasks={"ms", "hs"},
    year=2020,
    paper="Palsson, Ulfarsson, Sveinsson, IEEE GRSL 17(4):656-660",
    doi="10.1109/LGRS.2019.2926681",
    faithful="the regularised step in a fixed subspace, with the authors' smoothness for WorldView-3 and GeoEye-1",
    inferred=(
        "the subspace is not refined on its manifold (in the reference toolbox this changes up to 1 percent of the maximum)",
        "smoothness tuned for WorldView-3 or GeoEye-1 is used for all sensors of five and more, or fewer, bands",
        "conjugate gradients start from the interpolated bands, are preconditioned by a constant mixture and stop at a "
        "residual per pixel: four times fewer iterations, and large images are not solved more precisely than small ones",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class RR(Method):
    """A few components whose blurred mixtures explain all inputs, smooth but for the guide's edges; by conjugate gradients.

    Args:
        variant: "published", or "toolbox": plain conjugate gradients from zero to a residual norm of 0.1, absolute values.
        options: sensor and guide_bands, as in `Method`.
    """

    needs_whole = "it iterates over the whole image"

    def __init__(self, *, variant: Literal["published", "toolbox"] = "published", **options: Any) -> None:
        super().__init__(**options)
        self.variant = variant
        self.smoothness = EIGHT if self.sensor.count > len(FOUR) else FOUR[: self.sensor.count + 1]
        # A Gaussian whose gain at the Nyquist frequency of the low-resolution grid is 0.3.
        self.spread = self.ratio * sqrt(-2 * log(0.3)) / pi

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        ms_level, guide_level = _level(ms), _level(guide)
        low, sharp = divide(ms.abs(), ms_level), divide(guide.abs(), guide_level)
        system = _System(self._axes(low, sharp), _edges(sharp), sharp.new_tensor(self.smoothness), self._blur(sharp))
        right = system.normal(low, sharp)
        if self.variant == "toolbox":
            components = conjugate_gradients(system.apply, right, torch.zeros_like(right), lambda x: x, TOOLBOX_PRECISION)
            return system.mix(components).abs() * ms_level
        start = system.project(divide(lms, ms_level), sharp)
        precision = PRECISION * sqrt(guide.shape[-2] * guide.shape[-1])
        components = conjugate_gradients(system.apply, right, start, system.precondition, precision)
        return unless(flat_guide(guide), limited(system.mix(components) * ms_level, ms, guide), lms)

    def _axes(self, ms: Tensor, guide: Tensor) -> Tensor:
        """Leading left singular vectors (B, C + 1, K) of the blurred guide and the bicubic bands, without their borders."""
        taps = _gaussian(2 * ceil(3 * self.spread) + 1, self.spread)
        blurred = separable(guide, *(_centred(size, taps) for size in guide.shape[-2:]))
        images = torch.cat([blurred, imresize(ms, self.ratio)], 1)
        images = images[..., 2:-2, 2:-2] if min(images.shape[-2:]) > 4 else images
        return torch.linalg.eigh(gram(images, images)).eigenvectors.flip(-1)[..., : len(self.smoothness)].to(ms.dtype)

    def _blur(self, guide: Tensor) -> tuple[tuple[AxisOperator, AxisOperator], tuple[AxisOperator, AxisOperator]]:
        taps = _gaussian(3 * self.ratio, self.spread)
        height, width = guide.shape[-2:]
        down = _down(height, self.ratio, taps), _down(width, self.ratio, taps)
        return down, (_up(height, self.ratio, taps), _up(width, self.ratio, taps))


class _System:
    """Normal equations of the components Z (B, K, H, W)."""

    def __init__(self, axes: Tensor, edges: Tensor, smoothness: Tensor, blur: tuple[Any, Any]) -> None:
        self.guide, self.bands = axes[:, :1], axes[:, 1:]
        self.down, self.up = blur
        self.bands_power = self.bands.mT @ self.bands
        # The weights of the differences with the pixel above and to the left.
        self.penalty = 2 * smoothness[:, None, None] * edges
        ratio = self.down[0].size / self.down[0].length
        average = 2 * smoothness * edges.mean((1, 2, 3))[:, None]
        blocks = self.guide.mT @ self.guide + self.bands_power / ratio**2 + torch.diag_embed(average)
        self.inverse = torch.linalg.inv(blocks.double()).to(axes.dtype)

    def normal(self, ms: Tensor, guide: Tensor) -> Tensor:
        """Right-hand side for the normalised inputs."""
        return separable(_mix(self.bands.mT, ms), *self.up) + _mix(self.guide.mT, guide)

    def project(self, lms: Tensor, guide: Tensor) -> Tensor:
        """Components of images that are known at the high resolution."""
        return _mix(self.bands.mT, lms) + _mix(self.guide.mT, guide)

    def mix(self, z: Tensor) -> Tensor:
        """Bands (B, C, H, W) of the components."""
        return _mix(self.bands, z)

    def precondition(self, residual: Tensor) -> Tensor:
        """Undo the mixing of components: the equations' inverse, were every pixel on its own."""
        return _mix(self.inverse, residual)

    def apply(self, z: Tensor) -> Tensor:
        """Left-hand side."""
        result = separable(_mix(self.bands_power, separable(z, *self.down)), *self.up)
        result.flatten(2).baddbmm_(self.guide.mT, self.guide @ z.flatten(2))
        slope = torch.empty_like(z)
        for axis in (-2, -1):
            _difference(z, axis, out=slope).mul_(self.penalty)
            result.add_(slope)
            size = z.shape[axis] - 1
            result.narrow(axis, 0, size).sub_(slope.narrow(axis, 1, size))
            result.narrow(axis, size, 1).sub_(slope.narrow(axis, 0, 1))
        return result


def _mix(weights: Tensor, x: Tensor) -> Tensor:
    return (weights @ x.flatten(2)).unflatten(2, x.shape[-2:])


def _difference(x: Tensor, axis: int, out: Tensor) -> Tensor:
    """Difference with the pixel before, circular."""
    size = x.shape[axis] - 1
    torch.sub(x.narrow(axis, 1, size), x.narrow(axis, 0, size), out=out.narrow(axis, 1, size))
    torch.sub(x.narrow(axis, 0, 1), x.narrow(axis, size, 1), out=out.narrow(axis, 0, 1))
    return out


def conjugate_gradients(apply: Operator, right: Tensor, start: Tensor, precondition: Operator, precision: float) -> Tensor:
    """Solve symmetric positive systems, one an image, until every residual norm is at most `precision`."""
    solution, residual = start, right - apply(start)
    direction = sought = precondition(residual)
    power = _inner(residual, sought)
    for _ in range(LIMIT):
        active = _inner(residual, residual) > precision**2
        if not bool(active.any()):
            break
        turned = apply(direction)
        step = torch.where(active, divide(power, _inner(direction, turned)), 0).to(right)
        solution = torch.addcmul(solution, step, direction)
        residual = torch.addcmul(residual, -step, turned)
        sought = precondition(residual)
        new = _inner(residual, sought)
        direction = torch.addcmul(sought, divide(new, power).to(right), direction)
        power = new
    return solution


def _inner(x: Tensor, y: Tensor) -> Tensor:
    return torch.linalg.vecdot(x, y).sum((1, 2), dtype=torch.float64)[:, None, None, None]


def _level(x: Tensor) -> Tensor:
    """Root mean square of every band."""
    return x.double().square().mean((-2, -1), keepdim=True).sqrt().to(x.dtype)


def _edges(guide: Tensor) -> Tensor:
    """Weights between 1/2 at the guide's edges and 1 where it is flat."""
    down, right = torch.zeros_like(guide), torch.zeros_like(guide)
    down[..., :-1, :] = guide[..., 1:, :] - guide[..., :-1, :]
    right[..., :-1] = guide[..., 1:] - guide[..., :-1]
    slope = torch.hypot(down, right)
    slope = divide(slope, _percentile(slope, 0.95)[..., None, None].expand_as(slope))
    return torch.exp(-slope.square() / 2).clamp(min=0.5)


def _percentile(x: Tensor, share: float) -> Tensor:
    """Percentile of every band with plotting positions (i - 0.5) / n, (B, C)."""
    flat = x.flatten(2).sort(-1).values
    position = min(max(share * flat.shape[-1] - 0.5, 0.0), flat.shape[-1] - 1.0)
    low = int(position)
    return torch.lerp(flat[..., low], flat[..., min(low + 1, flat.shape[-1] - 1)], position - low)


def _gaussian(count: int, spread: float) -> Tensor:
    place = torch.arange(count, dtype=torch.float64) - (count - 1) / 2
    taps = torch.exp(-place.square() / (2 * spread**2))
    return taps / taps.sum()


def _centred(size: int, taps: Tensor) -> AxisOperator:
    return AxisOperator(torch.arange(size) - len(taps) // 2, taps.expand(size, -1), size, "circular")


def _down(size: int, ratio: int, taps: Tensor) -> AxisOperator:
    """Blur and decimation: low-resolution pixel k is the mean around the centre of its ratio pixels."""
    starts = torch.arange(size // ratio) * ratio - ratio
    return AxisOperator(starts, taps.expand(len(starts), -1), size, "circular")


def _up(size: int, ratio: int, taps: Tensor) -> AxisOperator:
    """The adjoint of `_down`."""
    place = torch.arange(size)
    weights = taps.view(3, ratio).flip(0).mT[place % ratio]
    return AxisOperator(place // ratio - 1, weights, size // ratio, "circular")
