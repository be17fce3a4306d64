"""The schedule of one training: recipe, length, learning rate of every step, optimiser."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from waldbench.bench.errors import UsageError
from waldbench.bench.protocol import Protocol
from waldbench.methods.base import Method
from waldbench.methods.recipes import Place, Recipe


@dataclass(frozen=True)
class TrainingSchedule:
    """A recipe and how long it is followed.

    Attributes:
        recipe: the protocol's (unified) or the network's own (published).
        published: whether it is the network's own, with its own loss.
        steps: of the whole training.
        epoch_steps: steps of one epoch of the recipe's schedule. Where the protocol gives a number of steps, a published schedule
            is stretched to it: what happened after half of the epochs happens after half of the steps.
    """

    recipe: Recipe
    published: bool
    steps: int
    epoch_steps: float

    def epoch(self, step: int) -> int:
        """0-based epoch of a 0-based step."""
        return int(step / self.epoch_steps)

    def rate(self, step: int, bands: int = 1) -> float:
        """Learning rate of a 0-based step; a pure function, so that nothing about it needs to be stored."""
        return self.recipe.rate(Place(step, self.steps, self.epoch(step)), bands)


def unified(protocol: Protocol) -> Recipe:
    """The recipe that the protocol gives to every network."""
    names = ("loss", "lr", "batch", "betas", "weight_decay", "schedule", "milestones", "gamma", "warmup")
    return Recipe(epochs=protocol.epochs or 0, **{name: getattr(protocol, name) for name in names})


def plan(method: Method, protocol: Protocol, images: int) -> TrainingSchedule:
    """What the protocol asks of a network on a training split of `images` patches.

    Raises:
        UsageError: if it asks for the published recipe of a network that has none.
    """
    if protocol.recipe == "unified":
        per_epoch = protocol.steps_per_epoch(images)
        return TrainingSchedule(unified(protocol), False, protocol.total_steps(images), per_epoch)
    recipe: Recipe | None = getattr(method, "recipe", None)
    if recipe is None:
        raise UsageError(f"{type(method).__name__} has no published recipe; use a protocol with recipe: unified")
    per_epoch = max(images // recipe.batch, 1)
    steps = protocol.steps or recipe.epochs * per_epoch
    return TrainingSchedule(recipe, True, steps, steps / recipe.epochs if protocol.steps else per_epoch)


def optimiser(recipe: Recipe, method: Method) -> torch.optim.Optimizer:
    """Optimiser of a recipe; each parameter group has the `factor` of its learning rate."""
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in method.named_parameters():
        factor = next((factor for start, factor in recipe.lr_factors if name.startswith(start)), 1.0)
        if parameter.requires_grad:
            groups.setdefault(factor, []).append(parameter)
    parameters = [{"params": members, "factor": factor} for factor, members in groups.items()]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    kind = torch.optim.NAdam if recipe.optimiser == "nadam" else torch.optim.Adam
    return kind(parameters, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, foreach=True)
