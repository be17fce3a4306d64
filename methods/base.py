"""The contract of a fusion method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.methods.cards import MethodCard
from waldbench.methods.recipes import Recipe

T = TypeVar("T")


def register(*_key: str, **_facts: Any) -> Callable[[T], T]:
    """Mark a Method class as a plugin.

    The arguments are literals that the registry reads from the file without running it: an optional key (default: the file's
    name), tasks, year, paper (required), title, doi, licence, family, faithful, inferred, by_construction.
    """
    return lambda cls: cls


def nothing_to_sharpen(key: str, sensor: Sensor) -> str | None:
    """Why a method that interpolates or adds spatial detail has nothing to do on this sensor; None if it has."""
    if sensor.ratio > 1:
        return None
    return f"{key} adds the detail that ms lacks; ms and guide of {sensor.title} have the same resolution"


def nothing_to_fill(key: str, sensor: Sensor) -> str | None:
    """Why a method for images under clouds has nothing to do on this sensor; None if it has."""
    if sensor.ratio == 1:
        return None
    return f"{key} fills what clouds hide; for {sensor.title} the task is sharpening"


class Method(nn.Module):
    """A fusion method, classic (no parameters) or trainable.

    Subclasses define `forward(ms, lms, guide)`; images are digital numbers (SAR guides dB), shapes as in `Scene`.
    """

    card: MethodCard
    # Pixels at each border that the training loss leaves out (networks whose published form has no padding).
    loss_margin = 0
    # Low-resolution rows beside a strip of an image on which the strip's fused rows depend, beyond what `imaging.statistics`
    # says of the whole image (see `imaging.streaming`); None: strips are not enough, and `needs_whole` says why.
    margin: int | None = None
    needs_whole = "it does not say how many rows around a strip it needs"
    # Beginnings of the names of parameters on which the fused image does not depend: published weights hold them, or only the
    # published loss uses them.
    idle: ClassVar[tuple[str, ...]] = ()
    # Whether the forward pass goes on training on the image it is given (`methods.adaptive`).
    adapts = False
    # How its authors trained it; None where nothing was published.
    recipe: ClassVar[Recipe | None] = None

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__()
        self.sensor = sensor
        self.ratio = sensor.ratio
        self.guide_bands = guide_bands

    @classmethod
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None if this method can run on `sensor` for `task`, else the reason why not."""
        return None

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse ms (B, C, h, w), lms (B, C, H, W) and guide (B, G, H, W) into (B, C, H, W), dtype of the input."""
        raise TypeError(f"{type(self).__name__} must define forward(ms, lms, guide)")


class Network(Method):
    """A trainable method that works on images divided by the sensor's scale; subclasses define `fuse`.

    Optical images are not clipped: lms may overshoot the scale. Backscatter in dB has no scale to be divided by: it is clipped to
    the sensor's `guide_range` and mapped to [0, 1], as the cloud-removal literature does.
    """

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Divide by the scale, fuse, multiply by the scale."""
        scale = self.sensor.scale
        # Back to full precision first: digital numbers do not fit into the 8 bits of bfloat16.
        return self.fuse(ms / scale, lms / scale, self.normalise_guide(guide)).to(lms.dtype) * scale

    def normalise_guide(self, guide: Tensor) -> Tensor:
        """Guide (B, G, H, W) in digital numbers or dB as the network sees it, about [0, 1]."""
        limits = self.sensor.guide_range
        if limits is None:
            return guide / self.sensor.scale
        if guide.shape[1] != len(limits):
            raise ValueError(f"guide: {self.sensor.title} has {len(limits)} SAR bands, got {guide.shape[1]}")
        low, high = guide.new_tensor(limits).T[..., None, None]
        return (torch.minimum(torch.maximum(guide, low), high) - low) / (high - low)

    def own_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Loss of the published training for images in digital numbers (dB), at a 0-based epoch of that training."""
        scale = self.sensor.scale
        return self.published_loss(ms / scale, lms / scale, self.normalise_guide(guide), gt / scale, epoch)

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """The recipe's loss for normalised images; networks with several outputs or a loss of their own override it."""
        if self.recipe is None:
            raise TypeError(f"{type(self).__name__} has no published recipe")
        return self.recipe.criterion(self.fuse(ms, lms, guide), gt, self.loss_margin)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse normalised images (about [0, 1]); shapes as in `forward`."""
        raise TypeError(f"{type(self).__name__} must define fuse(ms, lms, guide)")
