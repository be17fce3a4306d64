"""Images cut into strips of rows, so that a scene larger than the memory is processed as if it were whole.

A strip holds consecutive rows of every image of a scene and is read circularly: the row before the first is the last. The
linear operators (`imaging.operators`) know the place of a strip and give its rows the borders of the whole image; the
statistics (`imaging.statistics`) add up what all strips contribute. So code written for whole images runs on strips unchanged
and gives the same values, but for rounding, up to the rows at both ends that its filters cannot reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor

# Relative change of a statistic between two passes that counts as none.
SETTLED = 1e-12
# No method of the field builds so many statistics on one another.
PASSES = 30
Merge = Callable[[Tensor, Tensor], Tensor]


class UnsettledError(RuntimeError):
    """The statistics still change after many passes: they do not depend on sums over the image alone."""


@dataclass
class Ledger:
    """Image statistics, numbered in the order in which the code asks for them.

    Strips contribute to the totals of this pass and are given those of the pass before. A statistic that needs others is right
    one pass after them; when a pass ends with the totals it began with, all it gave out was right.
    """

    known: list[Tensor] = field(default_factory=list)
    totals: list[Tensor] = field(default_factory=list)
    number: int = 0

    def ask(self, contribution: Tensor, merge: Merge) -> Tensor:
        """Add a contribution to the next statistic and return what is known of it; at first that is the contribution."""
        number = self.number
        self.number += 1
        if number == len(self.totals):
            self.totals.append(contribution)
        else:
            self.totals[number] = merge(self.totals[number], contribution)
        return self.known[number] if number < len(self.known) else contribution

    def close(self) -> bool:
        """End a pass; True if nothing has changed in it."""
        before, self.known, self.totals = self.known, self.totals, []
        return len(before) == len(self.known) and all(map(_same, before, self.known))


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(((one - other).abs() <= SETTLED * other.abs()).all())


@dataclass(frozen=True)
class Strip:
    """Rows first .. first + count - 1 (modulo `height`) of a low-resolution image and the same ground of all others.

    `top` rows at its beginning and all from `bottom` on belong to other strips: they are there for the filters alone.
    `guide_varies` is known of the scene: its guide is not flat.
    """

    height: int
    first: int
    count: int
    top: int
    bottom: int
    ledger: Ledger
    guide_varies: bool = False

    def scale(self, rows: int) -> int:
        """How many rows of an image lie in one low-resolution row."""
        return rows // self.count


_current: ContextVar[Strip | None] = ContextVar("strip", default=None)


def current() -> Strip | None:
    """The strip that is being processed; None while images are whole."""
    return _current.get()


@contextmanager
def within(strip: Strip) -> Iterator[None]:
    """Let operators and statistics know that all images are this strip."""
    token = _current.set(strip)
    strip.ledger.number = 0
    try:
        yield
    finally:
        _current.reset(token)


def height(x: Tensor) -> int:
    """Rows of the whole image of which x (..., H, W) may be a strip."""
    strip = current()
    return x.shape[-2] if strip is None else strip.scale(x.shape[-2]) * strip.height


def inner(x: Tensor) -> Tensor:
    """The rows of x (..., H, W) that belong to the strip itself; all rows of a whole image."""
    strip = current()
    if strip is None:
        return x
    scale = strip.scale(x.shape[-2])
    return x[..., strip.top * scale : strip.bottom * scale, :]


def total(contribution: Tensor, merge: Merge = torch.add) -> Tensor:
    """The sum (or another way to merge two) of the contributions of all strips; a whole image's is returned as it is."""
    strip = current()
    return contribution if strip is None else strip.ledger.ask(contribution, merge)


def cut(height: int, rows: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """First row, count, top and bottom (see `Strip`) of strips of so many rows with a margin at both sides."""
    for start in range(0, height, rows):
        own = min(rows, height - start)
        # A margin that laps the whole image holds it once or more; then the image is its own margin.
        if own + 2 * margin >= height:
            yield 0, height, start, start + own
        else:
            yield start - margin, own + 2 * margin, margin, margin + own


def passes(run: Callable[[Ledger], None]) -> int:
    """Call `run` with a ledger until the statistics are settled; the last call worked with the right ones. Returns the number.

    Raises:
        UnsettledError: if they never settle.
    """
    ledger = Ledger()
    for number in range(1, PASSES + 1):
        run(ledger)
        if ledger.close():
            return number
    raise UnsettledError(f"statistics of the image still change after {PASSES} passes; fuse the image as a whole")
