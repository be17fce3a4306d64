"""Orthogonal matching pursuit for many multiband patches at once."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

# Share of its length that an atom must add to the span of those chosen before it.
NEW = 1e-5
# Below this determinant of its normal equations a band of a patch gets no detail (the reference toolbox's bound).
SMALLEST = 0.1
# Patches in one block of products.
BLOCK = 1024


class Dictionary:
    """Atoms (N, C, S): N multiband patches of S samples, and the fast search for the one most like a residual.

    The bands of all atoms are nearly multiples of one another, so products are taken in their few principal bands.
    """

    def __init__(self, atoms: Tensor, axes: Tensor) -> None:
        self.atoms = atoms
        self.axes = axes
        projected = (axes.mT @ atoms).flatten(1)
        lengths, self.order = projected.norm(dim=1).sort(descending=True)
        self.lengths = lengths
        self.sorted = projected[self.order]

    def most_alike(self, residuals: Tensor) -> Tensor:
        """Index of the atom with the largest product |atom' residual| for every residual (T, C, S): (T,)."""
        wanted = (self.axes.mT @ residuals).flatten(1)
        best = wanted.new_full((len(wanted),), -1.0)
        chosen = self.order.new_zeros(len(wanted))
        lengths = wanted.norm(dim=1)
        open_ = torch.arange(len(wanted), device=wanted.device)
        # No atom can beat the best product once its length times that of the residual is smaller.
        for start in range(0, len(self.sorted), BLOCK):
            open_ = open_[self.lengths[start] * lengths[open_] > best[open_]]
            if len(open_) == 0:
                break
            value, place = (wanted[open_] @ self.sorted[start : start + BLOCK].T).abs_().max(1)
            better = value > best[open_]
            best[open_[better]] = value[better]
            chosen[open_[better]] = place[better] + start
        return self.order[chosen]


def pursue(targets: Tensor, first: Tensor, dictionary: Dictionary, count: int) -> tuple[Tensor, Tensor]:
    """Approximate every target by `count` atoms, with coefficients of its own in every band.

    Args:
        targets: what is approximated (T, C, S): T patches of C bands and S samples.
        first: index of every target's first atom (T,).
        dictionary: the atoms.
        count: number of atoms J.

    Returns:
        chosen atoms (T, J) and coefficients (T, C, J).
    """
    basis = targets.new_zeros(*targets.shape[:2], count, targets.shape[2])
    triangle = torch.eye(count, dtype=targets.dtype, device=targets.device).repeat(*targets.shape[:2], 1, 1)
    shares = targets.new_zeros(*targets.shape[:2], count, 1)
    volume = torch.zeros(targets.shape[:2], dtype=torch.float64, device=targets.device)
    residual, chosen = targets.clone(), [first]
    for number in range(count):
        if number:
            usable = (volume > log(SMALLEST))[..., None]
            chosen.append(dictionary.most_alike(torch.where(usable, residual, targets)))
        atom = dictionary.atoms[chosen[-1]]
        length = atom.norm(dim=-1, keepdim=True)
        for _ in range(2 if number else 0):
            known = basis[:, :, :number] @ atom[..., None]
            triangle[:, :, :number, number] += known[..., 0]
            atom = atom - (known.mT @ basis[:, :, :number])[:, :, 0]
        rest = atom.norm(dim=-1, keepdim=True)
        new = rest > NEW * length
        axis = torch.where(new, atom / torch.where(new, rest, 1), 0)
        basis[:, :, number] = axis
        triangle[:, :, number, number] = torch.where(new, rest, 1)[..., 0]
        shares[:, :, number] = torch.linalg.vecdot(axis, residual)[..., None]
        residual = residual - shares[:, :, number] * axis
        volume += 2 * torch.where(new, rest.double(), 1).log()[..., 0]
    coefficients = torch.linalg.solve_triangular(triangle, shares, upper=True)[..., 0]
    return torch.stack(chosen, 1), torch.where((volume > log(SMALLEST))[..., None], coefficients, 0)
