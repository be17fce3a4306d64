"""How networks were trained by those who published them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Losses by the name that protocols and recipes use: functions of torch.nn.functional, on images divided by the sensor's scale.
LOSSES = {"l1": "l1_loss", "mse": "mse_loss"}


@dataclass(frozen=True)
class Place:
    """Where a training stands: 0-based step, number of steps, 0-based epoch."""

    step: int
    steps: int
    epoch: int


@dataclass(frozen=True)
class Schedule:
    """What multiplies the learning rate.

    Attributes:
        rate: learning rate from the one at the start, the recipe and the place in the training.
        fields: of the recipe that it reads; a protocol offers a schedule if it has all of them.
    """

    rate: Callable[[float, Recipe, Place], float]
    fields: tuple[str, ...] = ()


def _one_cycle(start: float, recipe: Recipe, place: Place) -> float:
    rise = max(round(recipe.warmup * place.steps), 1)
    if place.step < rise:
        return start * (place.step + 1) / rise
    return start * 0.5 * (1 + math.cos(math.pi * (place.step - rise) / max(place.steps - rise, 1)))


def _milestones(start: float, recipe: Recipe, place: Place) -> float:
    return start * recipe.gamma ** sum(place.epoch >= epoch for epoch in recipe.milestones)


def _every(start: float, recipe: Recipe, place: Place) -> float:
    return max(start * recipe.gamma ** (place.epoch // recipe.every), recipe.floor)


# Schedules by the name that protocols and recipes use.
SCHEDULES = {
    "constant": Schedule(lambda start, _recipe, _place: start),
    "one-cycle": Schedule(_one_cycle, ("warmup",)),
    "milestones": Schedule(_milestones, ("milestones", "gamma")),
    "every": Schedule(_every, ("every", "gamma", "floor")),
}


@dataclass(frozen=True)
class Recipe:
    """Loss, optimiser, learning rate, schedule, batch and length of a training.

    Attributes:
        loss: "l1" or "mse" on images divided by the sensor's scale, or in words a loss that the network computes itself
            (`Network.published_loss`).
        lr: learning rate at the start; times the number of bands if `lr_times_bands`.
        batch, epochs: patches per step, passes over the training split.
        optimiser: "adam", "nadam" or "sgd".
        betas, momentum, weight_decay: parameters of the optimiser; SGD alone reads the momentum.
        schedule: "constant", "milestones" (times `gamma` at each epoch in `milestones`), "every" (times `gamma` every `every`
            epochs, not below `floor`) or "one-cycle" (linear rise over `warmup` of the steps, then cosine to zero).
        lr_factors: beginnings of parameter names and what the learning rate is multiplied by for those.
        clip: largest norm of all gradients together; None: no limit.
        notes: what of the published training is not done here, or was not stated.
    """

    loss: str
    lr: float
    batch: int
    epochs: int
    optimiser: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "constant"
    milestones: tuple[int, ...] = ()
    every: int = 1
    gamma: float = 1.0
    floor: float = 0.0
    warmup: float = 0.0
    lr_times_bands: bool = False
    lr_factors: tuple[tuple[str, float], ...] = ()
    clip: float | None = None
    notes: tuple[str, ...] = ()

    def criterion(self, fused: Tensor, gt: Tensor, margin: int = 0) -> Tensor:
        """The loss "l1" or "mse" between images (B, C, H, W), `margin` pixels at each border left out.

        Raises:
            KeyError: if the recipe's loss is one that the network computes itself.
        """
        inside = (..., slice(margin, -margin or None), slice(margin, -margin or None))
        from torch.nn import functional

        loss: Tensor = getattr(functional, LOSSES[self.loss])(fused[inside], gt[inside])
        return loss

    def rate(self, place: Place, bands: int) -> float:
        """Learning rate at a place of a training on images of `bands` bands."""
        start = self.lr * bands if self.lr_times_bands else self.lr
        return SCHEDULES[self.schedule].rate(start, self, place)
