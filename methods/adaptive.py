"""Networks that go on training on every image they are given, without reference."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import Method, Network

# The loss and its terms, the whole first.
Terms = Callable[[], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Adaptation:
    """How the authors adapt a network to an image.

    Attributes:
        iterations: steps of Adam, each on the whole image.
        lr, weight_decay: of Adam.
        terms: names of the numbers that every step records: the whole loss, what it is made of, what is only watched.
        weights: of what it is made of, in that order.
    """

    iterations: int
    lr: float
    terms: tuple[str, ...]
    weights: tuple[float, ...]
    weight_decay: float = 0.0

    @property
    def loss(self) -> str:
        """The loss in words."""
        return " + ".join(f"{weight:g} {term}" for weight, term in zip(self.weights, self.terms[1:], strict=False))

    def sum(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """The whole loss and then its parts; parts without a weight are only watched."""
        return (torch.stack([weight * part.double() for weight, part in zip(self.weights, parts, strict=False)]).sum(), *parts)


@dataclass(frozen=True)
class Adapted:
    """What became of one image.

    Attributes:
        fused: (1, C, H, W) in digital numbers.
        history: the terms of the loss before every step, (steps, terms) float64.
        terms: their names.
    """

    fused: Tensor
    history: Tensor
    terms: tuple[str, ...]


class Adaptive(Network):
    """A network whose forward pass adapts a copy of it to the images, one by one, and fuses them with that copy.

    No reference is used and nothing is drawn at random: the same weights give the same image. In training mode, and on shapes
    alone (device "meta"), the network is applied as it is.

    Attributes:
        adaptation: the published way, for this sensor.
        iterations: steps of the adaptation; 0 applies the network as it is.

    Args:
        sensor: sensor of the images; they are divided by two to the power of its bits.
        guide_bands: channels of the guide.
        iterations: steps of the adaptation; None: as published.

    Raises:
        ValueError: if iterations is negative or the sensor has another ratio than the losses.
    """

    adapts = True
    # The ratio for which the losses are defined; None: any.
    only_ratio: ClassVar[int | None] = None
    adaptation: Adaptation
    needs_whole = "it adapts to the whole image"

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, iterations: int | None = None) -> None:
        reason = self.supports(sensor, "")
        if reason is not None:
            raise ValueError(reason)
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.adaptation = self.published(sensor)
        if iterations is not None and iterations < 0:
            raise ValueError(f"iterations: expected 0 or more, got {iterations}")
        self.iterations = self.adaptation.iterations if iterations is None else iterations

    @classmethod
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None for the ratio of the losses, else the reason why not."""
        if cls.only_ratio in (None, sensor.ratio):
            return None
        return f"{cls.__name__}'s losses are published for ratio {cls.only_ratio}; {sensor.title} has ratio {sensor.ratio}"

    @classmethod
    def published(cls, sensor: Sensor) -> Adaptation:
        """The published adaptation for a sensor."""
        raise TypeError(f"{cls.__name__} must define published(sensor)")

    @property
    def scale(self) -> float:
        """What these methods divide images by: a power of two, where others divide by the largest digital number."""
        return float(2**self.sensor.bits)

    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse images in digital numbers, shapes as in `Scene`, after adapting to each (see the class)."""
        if self.training or self.iterations == 0 or guide.is_meta:
            return self.fuse(ms / self.scale, lms / self.scale, guide / self.scale).to(lms.dtype) * self.scale
        images = zip(ms.split(1), lms.split(1), guide.split(1), strict=True)
        return torch.cat([self.adapt(*image).fused for image in images])

    def adapt(self, ms: Tensor, lms: Tensor, guide: Tensor, iterations: int | None = None) -> Adapted:
        """Adapt a copy of the network to one image in digital numbers and fuse it; this network stays what it is.

        Args:
            ms: (1, C, h, w).
            lms: (1, C, H, W).
            guide: (1, G, H, W).
            iterations: steps; None: those of this object.

        Raises:
            ValueError: if there is more than one image, or iterations is negative.
        """
        if len(ms) != 1:
            raise ValueError(f"adapt takes one image, got a batch of {len(ms)}; call the method itself to adapt to each")
        steps = self.iterations if iterations is None else iterations
        if steps < 0:
            raise ValueError(f"iterations: expected 0 or more, got {steps}")
        # The evaluation runs in inference mode, whose tensors cannot take part in a training.
        with torch.inference_mode(False), torch.enable_grad():
            ms, lms, guide = (image.detach().clone() / self.scale for image in (ms, lms, guide))
            network = copy.deepcopy(self).requires_grad_(True)
            fused, history = network.adapt_to(ms, lms, guide, steps)
            rows = torch.tensor(history, dtype=torch.float64).view(-1, len(self.adaptation.terms))
            return Adapted(fused.detach().to(lms.dtype) * self.scale, rows, self.adaptation.terms)

    def adapt_to(self, ms: Tensor, lms: Tensor, guide: Tensor, iterations: int) -> tuple[Tensor, list[list[float]]]:
        """Train this object on one normalised image and fuse it: the image and the history of the loss."""
        history = descend(self, self.objective(ms, lms, guide), self.optimiser(), iterations)
        with torch.no_grad():
            return self.fuse(ms, lms, guide), history

    def optimiser(self) -> torch.optim.Optimizer:
        """Adam as published."""
        return torch.optim.Adam(self.parameters(), lr=self.adaptation.lr, weight_decay=self.adaptation.weight_decay)

    def objective(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Terms:
        """The loss of this network on normalised images as a function of its present weights."""
        raise TypeError(f"{type(self).__name__} must define objective(ms, lms, guide)")

    def own_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Loss without reference for a training on images in digital numbers; gt is not looked at."""
        return self.published_loss(ms / self.scale, lms / self.scale, guide / self.scale, gt, epoch)

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Loss without reference for normalised images; gt is not looked at."""
        return self.objective(ms, lms, guide)()[0]


def descend(network: nn.Module, terms: Terms, optimiser: torch.optim.Optimizer, iterations: int) -> list[list[float]]:
    """Take `iterations` steps and keep the weights that follow the smallest loss: one step past the measured one, as released."""
    best, kept, history = float("inf"), None, []
    for _ in range(iterations):
        optimiser.zero_grad()
        values = terms()
        values[0].backward()
        optimiser.step()
        history.append([float(value.detach()) for value in values])
        if history[-1][0] < best:
            best, kept = history[-1][0], {name: value.clone() for name, value in network.state_dict().items()}
    if kept is not None:
        network.load_state_dict(kept)
    return history


@contextmanager
def unadapted(method: Method) -> Iterator[Any]:
    """Within: an adaptive network is applied as it is (validation during training, cost of the network); others: nothing."""
    before = getattr(method, "iterations", None) if isinstance(method, Adaptive) else None
    if before is not None:
        method.iterations = 0  # type: ignore[assignment]
    try:
        yield method
    finally:
        if before is not None:
            method.iterations = before
