"""The one evaluation: every method, every split, one value per image and index."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from waldbench import metrics
from waldbench.bench.protocol import Protocol
from waldbench.datasets.base import Dataset, Split
from waldbench.imaging import Scene
from waldbench.imaging.clouds import coverage
from waldbench.methods.base import Method

# Images of each split whose fused version is kept for figures.
KEPT = {"reduced": 2, "full": 1}
# Guide pixels; of a larger image the centre is kept, so that a whole satellite scene does not fill the disk.
KEPT_SIDE = 1024


class MethodOutputError(RuntimeError):
    """A method returned something that is not a fused image."""


@dataclass
class Evaluation:
    """Scores as long rows (split, image, metric, value) and the images kept for figures."""

    scores: list[dict[str, Any]] = field(default_factory=list)
    images: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    # Share of the pixels of all test images that have data; 1 where no image has a mask.
    valid_share: float = 1.0


def evaluate(method: Method, dataset: Dataset, protocol: Protocol, device: torch.device) -> Evaluation:
    """Fuse and score the test images of a dataset.

    `reduced` images are scored against their ground truth with the protocol's border cut, `full` ones without reference.

    Raises:
        MethodOutputError: if the fused image has a wrong shape, NaN or infinite values.
        ValueError: if an image of the dataset has NaN or infinite values.
    """
    result = Evaluation()
    shares: list[float] = []
    method.eval().to(device)
    with torch.inference_mode():
        for name in KEPT:
            count = 0
            for index, scene in test_scenes(dataset.split(name), protocol, name):
                scene.check_finite()
                here = scene.to(device)
                fused = fuse(method, here)
                result.scores += score(fused, here, dataset, protocol, name)
                if index < KEPT[name]:
                    result.images[f"{name}-{index}"] = compact(fused)
                shares += [1.0] * len(here) if here.valid is None else here.valid.double().mean((1, 2, 3)).tolist()
                count += 1
            result.counts[name] = count
    if not result.scores:
        raise MethodOutputError("the dataset has no test image: neither reduced nor full resolution")
    result.valid_share = sum(shares) / len(shares)
    return result


def test_scenes(split: Split, protocol: Protocol, name: str) -> Iterator[tuple[int, Scene]]:
    """Index and scene of the images of a split that the protocol tests."""
    limit = protocol.reduced_images if name == "reduced" else protocol.full_images
    return ((index, split[index]) for index in range(min(len(split), limit or len(split))))


def fuse(method: Method, scene: Scene) -> torch.Tensor:
    """Run a method and check what it returns."""
    fused: torch.Tensor = method(scene.ms, scene.lms, scene.guide)
    if fused.shape != scene.lms.shape:
        raise MethodOutputError(f"fused image has shape {tuple(fused.shape)}; expected {tuple(scene.lms.shape)}")
    if not bool(torch.isfinite(fused).all()):
        raise MethodOutputError(f"fused image of '{', '.join(scene.name)}' has NaN or infinite values")
    return fused


def score(fused: torch.Tensor, scene: Scene, dataset: Dataset, protocol: Protocol, split: str) -> list[dict[str, Any]]:
    """Long score rows of one batch; with the share of clouds and shadows where the scene has a mask."""
    rules = protocol.scoring[dataset.track]
    border = rules.border if split == "reduced" else 0
    names = scene.name or tuple(map(str, range(len(scene))))
    rows = []
    known: dict[str, torch.Tensor] = {}
    for key in rules.keys(split):
        options = {"block": rules.block, "convention": metrics.card(key).convention_of(rules.convention)}
        values = _product(key, known) if options["convention"] == "dlpan" else None
        if values is None:
            values = metrics.compute(key, fused, scene, sensor=dataset.sensor, border=border, **options)
        known[key] = values
        regional = "mask" in metrics.card(key).needs
        for image, value in zip(names, values.tolist(), strict=True):
            if regional and math.isnan(value):
                continue  # an image without that region says nothing about it, for no method
            rows.append({"split": split, "image": image, "metric": key, "value": value if math.isfinite(value) else None})
    if scene.mask is not None:
        shares = dict(zip(names, coverage(scene.mask).tolist(), strict=True))
        rows = [row | {"coverage": round(shares[str(row["image"])], 6)} for row in rows]
    return rows


def _product(key: str, known: dict[str, torch.Tensor]) -> torch.Tensor | None:
    """An index that is a product of 1 - d over distortions d which are already known; None for any other."""
    parts = metrics.card(key).product_of
    if not parts or not all(part in known for part in parts):
        return None
    return math.prod((1 - known[part] for part in parts[1:]), start=1 - known[parts[0]])


def compact(image: torch.Tensor) -> np.ndarray:
    """Centre of the first image of a batch as (C, H, W): uint16 digital numbers, float32 for SAR in dB and small fractions."""
    height, width = image.shape[-2:]
    top, left = max(height - KEPT_SIDE, 0) // 2, max(width - KEPT_SIDE, 0) // 2
    first = image[0, :, top : top + KEPT_SIDE, left : left + KEPT_SIDE].cpu()
    if float(first.max()) < 256:
        return first.float().numpy()
    return first.double().round().clamp(0, 65535).numpy().astype(np.uint16)


def reference_images(dataset: Dataset, protocol: Protocol) -> dict[str, np.ndarray]:
    """Ground truth, lms and guide of the images kept for figures, keyed `<split>-<index>-<image>`."""
    kept: dict[str, np.ndarray] = {}
    for name, count in KEPT.items():
        for index, scene in test_scenes(dataset.split(name), protocol, name):
            if index >= count:
                break
            for label in ("gt", "lms", "guide"):
                image = getattr(scene, label)
                if image is not None:
                    kept[f"{name}-{index}-{label}"] = compact(image)
    return kept
