"""Weights by formula: public numbers that test a network's arithmetic without anybody's trained weights.

Element j of parameter k, both counted from 0: q = 43758.5453 sin(12.9898 (j + 1) + 78.233 (k + 1)), t = 2 (q - floor(q)) - 1;
a weight is c t sqrt(3 / fan-in), a bias 0.05 t, a scalar of base v is v + 0.05 t, and the rule "alog" is log(n + 1) + 0.05 t for
element n of a row.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def fill(network: nn.Module, rules: list[str], scale: float) -> None:
    """Fill the parameters of `network` in their order by the rules "weight", "bias" or "scalar base v"."""
    parameters = list(network.parameters())
    with torch.no_grad():
        for k, (parameter, rule) in enumerate(zip(parameters, rules, strict=True)):
            parameter.copy_(values(k, parameter.shape, rule, scale))


def values(k: int, shape: torch.Size, rule: str, scale: float) -> Tensor:
    """The values of parameter `k`; `scale` is the constant c."""
    count = shape.numel()
    q = np.sin(12.9898 * np.arange(1.0, count + 1) + 78.233 * (k + 1)) * 43758.5453
    t = 2 * (q - np.floor(q)) - 1
    if rule == "weight":
        t *= scale * np.sqrt(3 / (count / shape[0]))
    elif rule == "bias":
        t *= 0.05
    elif rule == "alog":
        t = np.log(np.arange(count) % shape[-1] + 1.0) + 0.05 * t
    else:
        t = float(rule.removeprefix("scalar base ")) + 0.05 * t
    return torch.from_numpy(t).reshape(shape)
