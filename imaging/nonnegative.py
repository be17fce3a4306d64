"""Non-negative least squares, many problems at once (Lawson, Hanson, Solving Least Squares Problems, 1974, ch. 23)."""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 2.0**-52


def nonnegative(matrix: Tensor, right: Tensor) -> Tensor:
    """Minimise w' M w / 2 - r' w over w >= 0, exactly, by active sets.

    Args:
        matrix: normal matrices M (P, K, K) float64, with a diagonal of ones or zeros.
        right: right-hand sides r (P, K) float64.

    Returns:
        (P, K) solutions.
    """
    weights = torch.zeros_like(right)
    free = torch.zeros_like(right, dtype=torch.bool)
    tolerance = 10 * EPS * right.shape[-1] * right.abs().amax(-1, keepdim=True)
    for _ in range(3 * right.shape[-1]):
        slope = right - (matrix @ weights[..., None])[..., 0]
        slope = torch.where(free, -torch.inf, slope)
        best = slope.argmax(-1, keepdim=True)
        improves = slope.gather(-1, best) > tolerance
        if not bool(improves.any()):
            break
        free = free.scatter(-1, best, improves | free.gather(-1, best))
        weights, free = _descend(matrix, right, weights, free)
    return weights


def _descend(matrix: Tensor, right: Tensor, weights: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """Move to the minimum over the free weights, fixing at zero every weight that would turn negative on the way."""
    for _ in range(right.shape[-1]):
        goal = _minimum(matrix, right, free)
        negative = free & (goal <= 0)
        share = torch.where(negative, weights / (weights - goal).clamp(min=EPS), 1.0)
        step = share.amin(-1, keepdim=True)
        blocked = negative.any(-1, keepdim=True)
        if not bool(blocked.any()):
            return goal, free
        weights = torch.where(blocked, weights + step * (goal - weights), goal)
        free = free & ~(blocked & negative & (share <= step))
        weights = torch.where(free, weights, 0.0)
    return weights, free


def _minimum(matrix: Tensor, right: Tensor, free: Tensor) -> Tensor:
    """Unconstrained minimum over the free weights, the others 0; 0 where the free weights' matrix is singular."""
    # Few weights are free at a time, so the systems that are solved are those of the free ones, moved to the front.
    count = int(free.sum(-1).amax())
    order = torch.sort(free.to(torch.uint8), dim=-1, descending=True, stable=True).indices[:, :count]
    used = free.gather(-1, order)
    rows = matrix.gather(-2, order[..., None].expand(-1, -1, matrix.shape[-1]))
    reduced = rows.gather(-1, order[:, None].expand(-1, count, -1))
    reduced = torch.where(used[..., None] & used[..., None, :], reduced, 0.0) + torch.diag_embed((~used).to(matrix))
    solution, singular = torch.linalg.solve_ex(reduced, torch.where(used, right.gather(-1, order), 0.0)[..., None])
    solution = torch.where((singular == 0)[..., None] & used, solution[..., 0], 0.0)
    return torch.zeros_like(right).scatter(-1, order, solution)
