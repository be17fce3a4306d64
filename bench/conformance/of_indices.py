"""Checks of an index: card, one finite value per image, images on their own, the best value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from waldbench import metrics
from waldbench.bench.conformance.common import CheckError, make_scene, require_equal
from waldbench.imaging import Scene, sensors

# Guide pixels: enough for the blocks of Q2n and for the five scales of MS-SSIM.
SIDE = 192


class IndexSubject:
    """An index under test, on images of QuickBird."""

    def __init__(self, key: str) -> None:
        self.key, self.card, self.sensor = key, metrics.card(key), sensors.get("qb")
        side = SIDE // self.sensor.ratio
        scene = make_scene(self.sensor, (side, side), 2)
        mask = torch.zeros_like(scene.guide[:, :1])
        mask[..., : mask.shape[-1] // 2] = 1
        self.scene = replace(scene, mask=mask)
        self.fused = scene.lms + 0.01 * self.sensor.scale

    def value(self, fused: Tensor, scene: Scene) -> Tensor:
        """The index of a batch."""
        return metrics.compute(self.key, fused, scene, sensor=self.sensor)


def check_index_card(subject: IndexSubject) -> str:
    """Direction, needs."""
    if subject.card.direction not in {"higher", "lower"}:
        raise CheckError(f"direction of @register: expected 'higher' or 'lower', got '{subject.card.direction}'")
    return f"{subject.card.title}, {subject.card.direction} is better, needs {', '.join(subject.card.needs)}"


def check_values(subject: IndexSubject) -> str:
    """One finite value for each image."""
    values = subject.value(subject.fused, subject.scene)
    if not isinstance(values, Tensor) or tuple(values.shape) != (2,):
        raise CheckError(f"expected one value for each of 2 images, shape (2,), got {getattr(values, 'shape', type(values))}")
    if not bool(values.isfinite().all()):
        raise CheckError(f"values of finite images are {values.tolist()}")
    return ", ".join(f"{value:.4g}" for value in values.tolist())


def check_images_alone(subject: IndexSubject) -> str:
    """The images of a batch do not see one another."""
    together = subject.value(subject.fused, subject.scene)
    parts = [subject.scene.map(lambda image, i=i: image[i : i + 1]) for i in range(2)]  # type: ignore[misc]
    alone = torch.cat([subject.value(subject.fused[i : i + 1], part) for i, part in enumerate(parts)])
    require_equal(together.double(), alone.double(), "an image has another value beside a second one; reduce over (1, 2, 3) only")
    return "two images equal each of them alone"


def check_best(subject: IndexSubject) -> str | None:
    """The reference itself has the best value."""
    if "gt" not in subject.card.needs or subject.scene.gt is None:
        return None
    found, best = subject.value(subject.scene.gt, subject.scene), subject.card.best
    if not bool(((found.double() - best).abs() < 1e-3).all()) and not bool((found == best).all()):
        raise CheckError(f"the reference itself has {found.tolist()}; @register says best={best}")
    return f"the reference itself has {best:g}"


CHECKS: tuple[Callable[[IndexSubject], str | None], ...] = (check_index_card, check_values, check_images_alone, check_best)
