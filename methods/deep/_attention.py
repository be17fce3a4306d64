"""Softmax attention in parts: memory stays linear in the number of tokens, and gradients are the same every time."""

from __future__ import annotations

import torch
from torch import Tensor

from waldbench.methods.deep._parts import in_parts, rows_per_part


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query key^T / sqrt(d)) value for (B, heads, N, d) tensors, a few queries at a time.

    torch's fused attention would do, but on a GPU its gradients differ from call to call.
    """
    query = query * query.shape[-1] ** -0.5
    rows = rows_per_part(key[..., 0].numel(), key.device)
    parts = [(some, key, value) for some in query.split(rows, 2)]
    return torch.cat(in_parts(_attend, parts), 2)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.mT).softmax(-1) @ value
