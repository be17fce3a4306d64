"""Scores on the validation split, and what TensorBoard shows of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from waldbench import metrics
from waldbench.bench.errors import TrainingDivergedError
from waldbench.datasets.base import Dataset, Split
from waldbench.imaging import Scene, Sensor
from waldbench.methods.adaptive import unadapted
from waldbench.methods.base import Method

BATCH = 16


def validate(
    method: Method, split: Split, count: int | None, dataset: Dataset, device: torch.device, select: str = "ergas"
) -> dict[str, float]:
    """Mean ERGAS, SAM and `select` over the first `count` images of a validation split, without border cut, in full precision.

    Raises:
        TrainingDivergedError: if the network returns NaN or infinite values.
    """
    total = min(len(split), count or len(split))
    values: dict[str, list[Tensor]] = {key: [] for key in dict.fromkeys(("ergas", "sam", select))}
    method.eval()
    with torch.inference_mode(), unadapted(method):
        for start in range(0, total, BATCH):
            scene = split[list(range(start, min(start + BATCH, total)))].to(device)
            fused = method(scene.ms, scene.lms, scene.guide)
            if not bool(torch.isfinite(fused).all()):
                raise TrainingDivergedError("the network returns NaN or infinite values on the validation images")
            for name, found in values.items():
                found.append(metrics.compute(name, fused, scene, sensor=dataset.sensor).double().cpu())
    return {name: float(torch.cat(found).mean()) for name, found in values.items()}


def maps(method: Method, scene: Scene, sensor: Sensor) -> dict[str, Tensor]:
    """Pictures of one validation image, (3 or 1, H, W) in [0, 1].

    Returns:
        fused: its colours between the 1st and 99th percentile of the reference; detail: what the network added to lms, mean over
        bands, grey for nothing; error: absolute error, mean over bands. Detail and error span a tenth of the sensor's scale.
    """
    if scene.gt is None:
        raise ValueError("maps need a reference; this scene has none")
    with torch.inference_mode(), unadapted(method):
        fused = method.eval()(scene.ms, scene.lms, scene.guide)[0]
    colours = list(sensor.rgb)
    reference = scene.gt[0, colours].float()
    low, high = (torch.quantile(reference.flatten(1), share, dim=1)[:, None, None] for share in (0.01, 0.99))
    span = sensor.scale / 10
    return {
        "fused": ((fused[colours] - low) / (high - low).clamp_min(1e-6)).clamp(0, 1),
        "detail": ((fused - scene.lms[0]).mean(0, keepdim=True) / span + 0.5).clamp(0, 1),
        "error": ((fused - scene.gt[0]).abs().mean(0, keepdim=True) / span).clamp(0, 1),
    }


def write(writer: Any, method: Method, split: Split, dataset: Dataset, device: torch.device, step: int) -> None:
    """Add the maps of the first validation image to a TensorBoard log."""
    for name, image in maps(method, split[0].to(device), dataset.sensor).items():
        writer.add_image(f"valid/{name}", image, step)
