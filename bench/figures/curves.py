"""Training curves: loss and validation indices of every trained method."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from itertools import product
from typing import TYPE_CHECKING, Any

from waldbench.bench.figures import style
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (("loss", "training loss"), ("ergas", "validation ERGAS ↓"), ("sam", "validation SAM (°) ↓"))
DASHES = ("-", "--", ":", "-.")


def draw(cells: Iterable[tuple[Cell, Record]], title: str) -> Figure | None:
    """Draw the curves that trained cells keep in their records; None if there is none.

    Seeds of a method share a look; a dot marks the step whose weights were kept.
    """
    from matplotlib.figure import Figure

    trained = [(cell, record) for cell, record in cells if record.training["curve"]]
    if not trained:
        return None
    figure = Figure(figsize=(style.PAGE_WIDTH, 2.1), layout="constrained")
    titles = list(dict.fromkeys(record.method["title"] or cell.method for cell, record in trained))
    looks = dict(zip(titles, ((colour, dash) for dash, colour in product(DASHES, style.COLOURS[1:])), strict=False))
    grid: Any = figure.subplots(1, len(PANELS))
    for axes, (name, label) in zip(grid, PANELS, strict=True):
        named: set[str] = set()
        for cell, record in trained:
            _line(axes, name, record.training, record.method["title"] or cell.method, looks, named)
        axes.set(xlabel="step", ylabel=label, yscale="log")
        style.plain_log(axes.yaxis)
        axes.grid(color=style.GRID, linewidth=0.5)
        axes.set_axisbelow(True)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(len(titles), 6), frameon=False)
    figure.suptitle("\n".join(textwrap.wrap(title, 120)), x=0.01, ha="left", fontsize=7.5, fontweight="bold")
    return figure


def _line(axes: Axes, name: str, training: dict[str, Any], title: str, looks: dict[str, Any], named: set[str]) -> None:
    colour, dash = looks.get(title, (style.MUTED, "-"))
    points = [(point["step"], point[name]) for point in training["curve"] if name in point]
    label = title if title not in named else "_"
    named.add(title)
    axes.plot(*zip(*points, strict=True), color=colour, linestyle=dash, linewidth=0.9, label=label)
    best = [(step, value) for step, value in points if step == training["best_step"]]
    if best:
        axes.plot(*best[0], "o", color=colour, markersize=3)
