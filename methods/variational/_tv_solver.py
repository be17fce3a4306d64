"""Iterations of the total-variation method: majorisation of the data term, one dual step of the smoothness term."""

from dataclasses import dataclass

import torch
from torch import Tensor

from waldbench.imaging.operators import AxisOperator
from waldbench.imaging.resampling import imresize, resizer

# An upper bound of the eigenvalues of D D', D being the forward differences along rows and columns.
BOUND = 8.0
# Elements in a strip of rows on a CPU: a few such buffers stay in its cache.
STRIP = 2**18
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

    `scaled` is alpha x, `share` the adjoint differences of the dual. `dual_rows` has a row of zeros on top, and its last
    row, like the last column of `dual_columns`, stays zero: so the adjoint needs no special case at the far borders.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        (batch, bands, low_height, low_width), (height, width) = problem.ms.shape, problem.guide.shape[-2:]
        self.scaled = problem.ms.new_zeros(batch, bands, height, width)
        self.share, self.dual_columns = torch.zeros_like(self.scaled), torch.zeros_like(self.scaled)
        self.dual_rows = problem.ms.new_zeros(batch, bands, height + 1, width)
        self.narrow = resizer(width, 1 / problem.ratio, "linear")
        self.widen = resizer(low_width, problem.ratio, "linear")
        self.shorten = _matrix(resizer(height, 1 / problem.ratio, "linear")).to(problem.ms)
        self.heighten = _matrix(resizer(low_height, problem.ratio, "linear")).to(problem.ms)
        # `scaled` with its rows already brought to the low resolution.
        self.short = problem.ms.new_zeros(batch, bands, low_height, width)
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
            wide = self.widen.along_columns(problem.ms - self.narrow.along_columns(self.short) / problem.alpha)
            self.short.zero_()
            for strip in self.strips:
                strip.aim(wide)
                strip.ascend()
                strip.renew()
        return self.scaled / problem.alpha


def _matrix(operator: AxisOperator) -> Tensor:
    return operator.along_columns(torch.eye(operator.size)).T.contiguous()


def _strips(height: int, rows: int) -> list[tuple[int, int]]:
    """First and last + 1 row of strips of so many rows; the last one has at least two where the image has."""
    tops = [top for top in range(0, height, rows) if top == 0 or height - top > 1]
    return list(zip(tops, [*tops[1:], height], strict=True))


class _Strip:
    """The work on the rows from top to bottom, all views of it made once.

    The differences of its last row need the goal of the row below, which becomes the first row of the next strip.
    """

    def __init__(self, solver: Solver, top: int, bottom: int) -> None:
        self.last = bottom == solver.scaled.shape[-2]
        count, inner = bottom - top, bottom - top - self.last
        first, end = top + (top > 0), bottom + (not self.last)
        self.solver, self.rate = solver, 2 / (solver.problem.smoothness * BOUND)
        # Rows whose goal is new.
        old, guide, new = solver.scaled[:, :, first:end], solver.problem.guide[:, :, first:end], slice(first - top, end - top)
        self.aimed, self.guide, self.lack = old, guide.flatten(2), solver.lack[:, :, : end - first]
        self.goal, self.free, self.share = solver.goal[:, :, new], solver.free[:, :, new], solver.share[:, :, first:end]
        self.low, matrix = _band(solver.heighten[first:end])
        self.heighten = matrix.expand(old.shape[0] * old.shape[1], -1, -1)
        # Rows that are renewed: differences as pairs of views.
        self.old, self.new_share = solver.scaled[:, :, top:bottom], solver.share[:, :, top:bottom]
        self.size, self.right = solver.down[:, :, :count], solver.right[:, :, :count, :-1]
        self.left_size = self.size[..., :-1]
        self.inner_size, self.last_row = self.size[:, :, :inner], self.size[:, :, inner:]
        self.old_pairs = _pairs(solver.scaled[:, :, top : top + inner + 1], count)
        self.free_pairs = _pairs(solver.free[:, :, : inner + 1], count)
        self.right_share, self.inner_columns = self.new_share[..., 1:], solver.dual_columns[:, :, top:bottom, :-1]
        self.columns, self.above = solver.dual_columns[:, :, top:bottom], solver.dual_rows[:, :, top:bottom]
        self.rows, self.below = solver.dual_rows[:, :, top + 1 : top + 1 + inner], solver.dual_rows[:, :, top + 1 : bottom + 1]
        self.new_goal, self.spare = solver.goal[:, :, :count], (solver.goal, solver.free)
        self.into, shorten = _band(solver.shorten[:, top:bottom].mT)
        self.shorten = shorten.mT.expand(old.shape[0] * old.shape[1], -1, -1)
        self.count = count

    def aim(self, wide: Tensor) -> None:
        """Goal of the data terms for the rows that are new: scaled + up(M - down(x)) + w (P - w'x)."""
        torch.baddbmm(self.guide, self.solver.shares, self.aimed.flatten(2), out=self.lack.flatten(2))
        torch.addcmul(self.aimed, self.solver.problem.weights, self.lack, out=self.goal)
        self.goal.flatten(0, 1).baddbmm_(self.heighten, wide[:, :, self.low].flatten(0, 1))
        torch.sub(self.goal, self.share, out=self.free)

    def ascend(self) -> None:
        """One step of the dual: z <- (c z + D(free)) / (c + 2 alpha / smoothness |D x|)."""
        size, right = self.size, self.right
        above, below, left, beside = self.old_pairs
        torch.sub(below, above, out=self.inner_size)
        if self.last:
            self.last_row.zero_()
        torch.sub(beside, left, out=right)
        size.mul_(size)
        self.left_size.addcmul_(right, right)
        torch.add(ONE, size.sqrt_(), alpha=self.rate, out=size)
        above, below, left, beside = self.free_pairs
        self.rows.add_(below, alpha=1 / BOUND).sub_(above, alpha=1 / BOUND).div_(self.inner_size)
        self.inner_columns.add_(beside, alpha=1 / BOUND).sub_(left, alpha=1 / BOUND)
        self.columns.div_(size)

    def renew(self) -> None:
        """The new image: goal minus the share of the new dual; hand the row below to the next strip."""
        torch.sub(self.above, self.below, out=self.new_share).sub_(self.columns)
        self.right_share.add_(self.inner_columns)
        torch.sub(self.new_goal, self.new_share, out=self.old)
        self.solver.short[:, :, self.into].flatten(0, 1).baddbmm_(self.shorten, self.old.flatten(0, 1))
        if not self.last:
            for buffer in self.spare:
                buffer[:, :, 0] = buffer[:, :, self.count]


def _pairs(x: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows of x and the rows below them; columns of its first rows and the columns beside them."""
    return x[:, :, :-1], x[:, :, 1:], x[:, :, :count, :-1], x[:, :, :count, 1:]


def _band(matrix: Tensor) -> tuple[slice, Tensor]:
    """The columns in which a banded matrix is not zero, and the matrix there."""
    used = matrix.abs().sum(0).nonzero()
    columns = slice(int(used[0]), int(used[-1]) + 1)
    return columns, matrix[:, columns]


def as_in_toolbox(problem: Problem, iterations: int) -> Tensor:
    """The iterations as the reference toolbox runs them, with its two slips.

    It returns D D' z where c z - D D' z is meant, and adds to band k the column differences of plane k and the row
    differences of plane k + 4, whatever the number of bands.
    """
    x = torch.zeros_like(problem.guide).repeat(1, problem.ms.shape[1], 1, 1)
    dual = torch.cat([x, x], 1)
    for _ in range(iterations):
        mixed = (problem.weights * x).sum(1, keepdim=True)
        goal = (
            problem.alpha * x + imresize(problem.residual(x), problem.ratio, "linear") + problem.weights * (problem.guide - mixed)
        )
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
