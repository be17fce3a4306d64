"""How networks were trained by those who published them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

CRITERIA = {"l1": functional.l1_loss, "mse": functional.mse_loss}


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
        return CRITERIA[self.loss](fused[inside], gt[inside])
