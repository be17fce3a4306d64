"""Iterations of the total-variation method: majorisation of the data term, one dual step of the smoothness term."""

from dataclasses import dataclass

import torch
from torch import Tensor

from imaging.resampling import imresize, resizer

# An upper bound of the eigenvalues of D D', D being the forward differences along rows and columns.
BOUND = 8.0
# Elements in a strip of rows on a CPU: a few such buffers stay in its cache.
STRIP = 2**17
ONE = torch.ones(())


@dataclass(frozen=True)
class Problem:
    """Minimise |M - down(x)|^2 + |P - w'x|^2 + smoothness * TV(x).

    ms (B, C, h, w), guide (B, 1, H, W), weights (B, C, 1, 1); alpha (B, 1, 1, 1) bounds the curvature of the data terms.
    """

    ms: Tensor
    guide: Tensor
    weights: Tensor
    alpha: Tensor
    smoothness: float
    ratio: int

    def residual(self, x: Tensor) -> Tensor:
        """What down(x) lacks of the low-resolution image."""
        return self.ms - imresize(x, 1 / self.ratio, "linear")


class Solver:
    """Runs the iterations strip by strip, so that intermediate images never leave the cache.

    `scaled` is alpha x; `dual_rows` has a row of zeros on top, and its last row, like the last column of `dual_columns`,
    stays zero: so the adjoint of the differences needs no special case at the far borders.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        (batch, bands, low_height, low_width), (height, width) = problem.ms.shape, problem.guide.shape[-2:]
        self.scaled = problem.ms.new_zeros(batch, bands, height, width)
        self.dual_rows = problem.ms.new_zeros(batch, bands, height + 1, width)
        self.dual_columns = torch.zeros_like(self.scaled)
        self.widen = resizer(low_width, problem.ratio, "linear")
        self.heighten = resizer(low_height, problem.ratio, "linear").along_columns(torch.eye(low_height)).T.to(problem.ms)
        self.shares = (-problem.weights / problem.alpha)[..., 0].mT
        strips = _strips(height, height if problem.ms.is_cuda else max(2, STRIP // (batch * bands * width)))
        shape = (batch, bands, max(bottom - top for top, bottom in strips) + 1, width)
        # Row and column differences of `scaled`; the goal of the data term; the goal without the dual's share.
        self.down, self.right, self.goal, self.free = (problem.ms.new_zeros(shape) for _ in range(4))
        self.lack = torch.empty_like(self.goal[:, :1])
        self.strips = [_Strip(self, top, bottom) for top, bottom in strips]

    def run(self, iterations: int) -> Tensor:
        """The image after so many iterations, (B, C, H, W)."""
        problem = self.problem
        for _ in range(iterations):
            wide = self.widen.along_columns(problem.ms - imresize(self.scaled, 1 / problem.ratio, "linear") / problem.alpha)
            for strip in self.strips:
                strip.aim(wide)
                strip.ascend()
                strip.renew()
        return self.scaled / problem.alpha


def _strips(height: int, rows: int) -> list[tuple[int, int]]:
    """First and last + 1 row of strips of so many rows; the last one has at least two where the image has."""
    tops = [top for top in range(0, height, rows) if top == 0 or height - top > 1]
    return list(zip(tops, [*tops[1:], height], strict=True))


class _Strip:
    """The work on the rows from top to bottom, all views of it made once.

    The differences of its last row need the goal of the row below, which becomes the first row of the next strip.
    """

    def __init__(self, solver: Solver, top: int, bottom: int) -> None:
        height = solver.scaled.shape[-2]
        self.last = bottom == height
        self.solver, self.count, self.inner = solver, bottom - top, bottom - top - self.last
        first, end = top + (top > 0), bottom + (not self.last)
        new, rows = slice(first - top, end - top), slice(top, bottom)
        self.aimed = solver.scaled[:, :, first:end]
        self.guide = solver.problem.guide[:, :, first:end].flatten(2)
        self.lack = solver.lack[:, :, : end - first]
        self.goal, self.free = solver.goal[:, :, new], solver.free[:, :, new]
        heighten = solver.heighten[first:end]
        used = heighten.abs().sum(0).nonzero()
        self.low = slice(int(used[0]), int(used[-1]) + 1)
        self.heighten = heighten[:, self.low].expand(solver.goal.shape[0] * solver.goal.shape[1], -1, -1)
        self.goal_dual = _Dual(solver, first, end)
        self.old, self.old_below = solver.scaled[:, :, rows], solver.scaled[:, :, top + 1 : top + 1 + self.inner]
        self.down, self.right = solver.down[:, :, : self.count], solver.right[:, :, : self.count]
        self.dual = _Dual(solver, top, bottom)

    def aim(self, wide: Tensor) -> None:
        """Goal of the data terms for the rows that are new: scaled + up(M - down(x)) + w (P - w'x)."""
        solver = self.solver
        torch.baddbmm(self.guide, solver.shares, self.aimed.flatten(2), out=self.lack.flatten(2))
        torch.addcmul(self.aimed, solver.problem.weights, self.lack, out=self.goal)
        self.goal.flatten(0, 1).baddbmm_(self.heighten, wide[:, :, self.low].flatten(0, 1))
        self.goal_dual.take_from(self.goal, out=self.free)

    def ascend(self) -> None:
        """One step of the dual: z <- (c z + D(free)) / (c + 2 alpha / smoothness |D x|)."""
        solver, count, inner = self.solver, self.count, self.inner
        size, right, old, free = self.down, self.right, self.old, solver.free
        if self.last:
            size[:, :, -1].zero_()
        torch.sub(self.old_below, old[:, :, :inner], out=size[:, :, :inner])
        torch.sub(old[..., 1:], old[..., :-1], out=right[..., :-1])
        size.mul_(size).addcmul_(right, right).sqrt_()
        torch.add(ONE, size, alpha=2 / (solver.problem.smoothness * BOUND), out=size)
        rows, columns = self.dual.below[:, :, :inner], self.dual.columns
        rows.add_(free[:, :, 1 : inner + 1], alpha=1 / BOUND).sub_(free[:, :, :inner], alpha=1 / BOUND).div_(size[:, :, :inner])
        columns[..., :-1].add_(free[:, :, :count, 1:], alpha=1 / BOUND).sub_(free[:, :, :count, :-1], alpha=1 / BOUND)
        columns.div_(size)

    def renew(self) -> None:
        """The new image: goal minus the share of the new dual; hand the row below to the next strip."""
        goal, free, count = self.solver.goal, self.solver.free, self.count
        self.dual.take_from(goal[:, :, :count], out=self.old)
        if not self.last:
            goal[:, :, 0] = goal[:, :, count]
            free[:, :, 0] = free[:, :, count]


class _Dual:
    """The dual on some rows."""

    def __init__(self, solver: Solver, top: int, bottom: int) -> None:
        self.above, self.below = solver.dual_rows[:, :, top:bottom], solver.dual_rows[:, :, top + 1 : bottom + 1]
        self.columns = solver.dual_columns[:, :, top:bottom]

    def take_from(self, goal: Tensor, out: Tensor) -> None:
        """Goal minus the adjoint differences of the dual."""
        torch.add(goal, self.below, out=out)
        out.sub_(self.above).add_(self.columns)
        out[..., 1:].sub_(self.columns[..., :-1])


def as_in_toolbox(problem: Problem, iterations: int) -> Tensor:
    """The iterations as the reference toolbox runs them, with its two slips.

    It returns D D' z where c z - D D' z is meant, and adds to band k the column differences of plane k and the row
    differences of plane k + 4, whatever the number of bands.
    """
    x = torch.zeros_like(problem.guide).repeat(1, problem.ms.shape[1], 1, 1)
    dual = torch.cat([x, x], 1)
    for _ in range(iterations):
        mixed = (problem.weights * x).sum(1, keepdim=True)
        goal = problem.alpha * x + imresize(problem.residual(x), problem.ratio, "linear") + problem.weights * (problem.guide - mixed)
        right, down = _differences(x)
        size = 2 * (problem.alpha / problem.smoothness) * torch.hypot(right, down) + BOUND
        dual = torch.cat(_differences(goal + _misplaced_adjoint(dual)), 1) / torch.cat([size, size], 1)
        x = (goal - _misplaced_adjoint(dual)) / problem.alpha
    return x


def _differences(x: Tensor) -> tuple[Tensor, Tensor]:
    right, down = torch.zeros_like(x), torch.zeros_like(x)
    right[..., :-1] = x[..., 1:] - x[..., :-1]
    down[..., :-1, :] = x[..., 1:, :] - x[..., :-1, :]
    return right, down


def _misplaced_adjoint(dual: Tensor) -> Tensor:
    bands = dual.shape[1] // 2
    return _adjoint(dual[:, :bands].mT).mT + _adjoint(dual[:, 4 : 4 + bands])


def _adjoint(dual: Tensor) -> Tensor:
    """Adjoint of the differences down the rows; the last row of the dual counts as zero."""
    out = -dual
    out[..., -1, :] = 0
    out[..., 1:, :] += dual[..., :-1, :]
    return out
