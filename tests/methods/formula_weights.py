"""Weights by formula: public numbers that test a network's arithmetic without anybody's trained weights.

Element j of parameter k, both counted from 0: q = 43758.5453 sin(12.9898 (j + 1) + 78.233 (k + 1)), t = 2 (q - floor(q)) - 1;
a weight is c t sqrt(3 / fan-in), a bias 0.05 t, a scalar of base v is v + 0.05 t.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def fill(network: nn.Module, scale: float, shapes: list[list[int]], rules: list[str]) -> None:
    """Fill the parameters of `network`, which must come in the listed order with the listed shapes."""
    parameters = list(network.named_parameters())
    assert len(parameters) == len(shapes)
    with torch.no_grad():
        for k, ((name, parameter), shape, rule) in enumerate(zip(parameters, shapes, rules, strict=True)):
            assert list(parameter.shape) == shape, f"{name}: expected {shape}, has {list(parameter.shape)}"
            parameter.copy_(torch.from_numpy(values(k, shape, rule, scale)))


def values(k: int, shape: list[int], rule: str, scale: float) -> np.ndarray:
    """The float64 values of parameter `k` under a rule "weight", "bias" or "scalar base v"."""
    count = int(np.prod(shape))
    q = np.sin(12.9898 * np.arange(1.0, count + 1) + 78.233 * (k + 1)) * 43758.5453
    t = 2 * (q - np.floor(q)) - 1
    if rule == "weight":
        t *= scale * np.sqrt(3 / (count / shape[0]))
    elif rule == "bias":
        t *= 0.05
    else:
        t = float(rule.removeprefix("scalar base ")) + 0.05 * t
    return t.reshape(shape)
