"""Measures whether a degraded image is shifted against the sampling phase of Wald's protocol, as published files often are."""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.filters import mtf

# Largest shift that is searched (PAN pixels), and border of ms that is left out (pixels): the filter reaches that far.
REACH = 5
MARGIN = 4


def shifts(ms: Tensor, gt: Tensor, sensor: Sensor) -> list[tuple[int, int]]:
    """For every image the shift (rows, columns) in PAN pixels at which the blurred gt, decimated, resembles ms most.

    A shift counts only if its squared error is below half of that without shift, because flat images match at every shift.
    Images whose ms is 8 pixels or less wide or high count as not shifted.

    Args:
        ms: degraded images (B, C, h, w).
        gt: ground truth (B, C, H, W) on the PAN grid.
        sensor: its MTF blurs the ground truth.
    """
    r, margin = sensor.ratio, MARGIN
    if min(ms.shape[-2:]) <= 2 * margin:
        return [(0, 0)] * len(ms)
    inner = ms[..., margin:-margin, margin:-margin]
    blurred = mtf(gt, sensor)
    steps = [(dy, dx) for dy in range(-REACH, REACH + 1) for dx in range(-REACH, REACH + 1)]
    errors = []
    for dy, dx in steps:
        top, left = r * margin + r // 2 + dy, r * margin + r // 2 + dx
        sampled = blurred[..., top::r, left::r][..., : inner.shape[-2], : inner.shape[-1]]
        errors.append((sampled - inner).square().mean((1, 2, 3)))
    table = torch.stack(errors)
    still = table[steps.index((0, 0))]
    best, index = table.min(0)
    return [steps[i] if e < 0.5 * s else (0, 0) for i, e, s in zip(index.tolist(), best.tolist(), still.tolist(), strict=True)]
