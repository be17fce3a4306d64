"""The remaining classic methods, fused as their vectors were: toolbox variants, given labels, tuned parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tests.golden.parity import Row, scene
from tests.golden.vectors import SUBSET, deviation, image_deviation, load
from waldbench import methods
from waldbench.imaging import sensors

# Vector -> registry key and options; labels are inputs that the vectors bring along.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "MTF_GLP_HPM_H_nodec": ("mtf-glp-hpm-h", {"decimated": False}),
    "C_GSA": ("c-gsa", {}),
    "C_BDSD": ("c-bdsd", {"variant": "toolbox"}),
    "FE_HPM": ("fe-hpm", {}),
    "PWMBF": ("pwmbf", {}),
    "SR_D": ("sr-d", {}),
    "RR_Gstep": ("rr", {"variant": "toolbox"}),
    "TV": ("tv", {"variant": "toolbox"}),
    "TV_GE1": ("tv", {"variant": "toolbox", "tuned_for": "ge1"}),
}
CASES = [(name, sensor) for name in METHODS for sensor in ("wv3", "qb") if (name, sensor) != ("TV_GE1", "wv3")]
TOLERANCE = 1e-6


def rows() -> Iterator[Row]:
    """One row a vector: the worst deviation over the sensors that it was made for."""
    for name, (key, options) in METHODS.items():
        label = ", ".join([key, *(f"{option} {value}" for option, value in options.items())])
        yield Row("method", label, max(worst(name, s, fuse(name, s), 9, SUBSET) for n, s in CASES if n == name), TOLERANCE)


def fuse(name: str, sensor: str, dtype: torch.dtype = torch.float64, **changes: Any) -> torch.Tensor:
    key, options = METHODS[name]
    if name.startswith("C_"):
        options = options | {"labels": torch.from_numpy(load("classic_more")[f"{sensor}_{name}_labels"]).long()}
    if name == "TV" and sensor == "qb":
        options = options | {"tuned_for": "ikonos"}
    images = scene(sensor).to(dtype)
    return methods.create(key, sensor=sensors.get(sensor), **options | changes)(images.ms, images.lms, images.guide)


def worst(name: str, sensor: str, result: torch.Tensor, step: int, folder: Path) -> float:
    vectors = load(f"methods_rr_{sensor}", folder)
    return max(
        image_deviation(result[..., ::step, ::step], vectors[f"{name}__s{step}"]),
        deviation(result.mean((-2, -1)), vectors[f"{name}__mean"]),
        deviation(result.std((-2, -1)), vectors[f"{name}__sd"]),
    )
