"""What the checks share: results, errors, images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from waldbench.imaging import Scene, Sensor, interp23
from waldbench.imaging.filters import box

# Rounding that a batch, or a saved and loaded network, may differ by, relative to the largest value.
TOLERANCE = 1e-4


class CheckError(AssertionError):
    """A check that failed; the message says what was expected, what came and what helps."""


@dataclass(frozen=True)
class Result:
    """One line of the table: `passed` is None where a check does not apply."""

    name: str
    passed: bool | None
    text: str


def make_scene(sensor: Sensor, size: tuple[int, int], batch: int = 1) -> Scene:
    """Smooth random images in the digital numbers of a sensor (SAR guides in dB), ms of `size`; the same each time."""
    draw = torch.Generator().manual_seed(sensor.count + 100 * size[0] + size[1])
    height, width = size[0] * sensor.ratio, size[1] * sensor.ratio
    fields = box(torch.rand(batch, sensor.count, height, width, generator=draw), 3)
    gt = (0.1 + 0.6 * fields + 0.2 * fields.mean(1, keepdim=True)) * sensor.scale * 0.8
    ms = gt if sensor.ratio == 1 else torch.nn.functional.avg_pool2d(gt, sensor.ratio)
    lms = ms if sensor.ratio == 1 else interp23(ms, sensor.ratio)
    guide = gt.mean(1, keepdim=True)
    if sensor.guide_range:
        limits = torch.tensor(sensor.guide_range)
        unit = torch.rand(batch, len(limits), height, width, generator=draw)
        guide = limits[:, 0, None, None] + unit * (limits[:, 1] - limits[:, 0])[:, None, None]
    return Scene(ms=ms, lms=lms, guide=guide, gt=gt)


def require_equal(first: Tensor, second: Tensor, message: str) -> None:
    """Raise CheckError with the message where two images differ by more than rounding."""
    largest = float((first - second).abs().max()) / max(float(first.abs().max()), 1e-12)
    if largest > TOLERANCE:
        raise CheckError(f"{message} (largest difference {largest:.1e} of the largest value)")
