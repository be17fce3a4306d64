"""Accuracy against cost: one point a method, labelled where it stands."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd

from waldbench.bench.figures import style
from waldbench.bench.results import leaderboard
from waldbench.bench.results.columns import (
    Column,
    cost_columns,
    data_title,
    headings,
    index_columns,
    machines,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (style.PAGE_WIDTH * 0.62, 3.1)
# Directions in which a label is tried, nearest first (horizontal and vertical share of the distance).
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
DISTANCES = (6.0, 11.0, 18.0, 27.0, 38.0)
# Costs that figures show, by the figure's name.
COSTS = {"cost": "cpu_ms_256", "cuda": "cuda_ms_256", "flops": "flops_256", "parameters": "parameters"}
LABELS = {"cpu_ms_256": "CPU time", "cuda_ms_256": "CUDA time"}
# Methods without any cost stand at this share of the smallest cost, at a tick of their own.
ZERO = 0.2
Offset = tuple[float, float]


def draw(part: pd.DataFrame, name: str = "cost") -> Figure | None:
    """Draw the index that ranks a table against one cost on a logarithmic axis.

    Args:
        part: finished rows of one table of the leaderboard.
        name: of the cost, a key of `COSTS`.

    Returns:
        The figure, with the line of the methods that no other beats in both numbers; None if no method has both numbers, or
        none costs anything.
    """
    from matplotlib.figure import Figure

    ranked = leaderboard.ranking_column(part)
    cost = next((column for column in cost_columns(part) if column.name == COSTS[name]), None)
    if ranked is None or cost is None:
        return None
    points = part[part[ranked].notna() & part[cost.name].notna()]
    if not (points[cost.name] > 0).any():
        return None
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    split = ranked.partition("_")[0]
    index = next(column for column in index_columns(part, split) if f"{column.name}_mean" == ranked)
    where = machines(part) if cost.name in LABELS else ""
    title = f"{data_title(part)}, protocol {part.iloc[0]['protocol']}"
    axes.set_title("\n".join(textwrap.wrap(title, 56)), loc="left", fontweight="bold", fontsize=7.5)
    axes.set_xscale("log")
    axes.set_xlabel("\n".join([_cost_label(cost), *textwrap.wrap(where, 66)]))
    axes.set_ylabel(f"{headings(part)[split]}: {index.title}{f' ({index.unit})' if index.unit else ''} {index.arrow}")
    x = points[cost.name] / cost.divisor
    shown = x.where(x > 0, x[x > 0].min() * ZERO)
    steps = _front(axes, shown, points[ranked], index.arrow == "↑")
    _points(axes, points, shown, ranked)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, handletextpad=0.2, columnspacing=1.0)
    _ticks(axes, bool((x == 0).any()), shown.min())
    _label(figure, axes, shown, points[ranked], [str(title) for title in points["title"]], steps)
    return figure


def front(cost: pd.Series[float], value: pd.Series[float], higher: bool) -> list[Any]:
    """Rows that no other beats: none is cheaper and at least as good, or as cheap and better; cheapest first."""
    ordered = pd.DataFrame({"cost": cost, "value": -value if higher else value}).sort_values(["cost", "value"], kind="stable")
    best = ordered["value"].cummin().shift(fill_value=float("inf"))
    return list(ordered.index[ordered["value"] < best])


def _front(axes: Axes, x: pd.Series[float], y: pd.Series[float], higher: bool) -> list[Offset]:
    """Draw the line of the best and return its corners."""
    rows = front(x, y, higher)
    axes.step(x[rows], y[rows], where="post", color=style.MUTED, linewidth=0.7, linestyle=(0, (4, 2)), zorder=1)
    corners = [(x[row], y[row]) for row in rows]
    turns = [(after[0], before[1]) for before, after in pairwise(corners)]
    return [corner for both in zip(corners, [*turns, corners[-1]], strict=True) for corner in both]


def _cost_label(cost: Column) -> str:
    if cost.name == "parameters":
        return f"Parameters ({cost.unit})"
    return f"{LABELS.get(cost.name, cost.title)} for a guide of 256 × 256 pixels ({cost.unit}) {cost.arrow}".strip()


def _points(axes: Axes, points: pd.DataFrame, x: pd.Series[float], ranked: str) -> None:
    looks = style.families(points["family"])
    for family, (colour, marker) in looks.items():
        members = points[points["family"] == family]
        if len(members):
            look: dict[str, Any] = {"color": colour, "marker": marker, "s": 26, "linewidths": 0.5, "edgecolors": "white"}
            axes.scatter(x[members.index], members[ranked], label=family.replace("_", " ") or "other", zorder=3, **look)
    axes.grid(color=style.GRID, linewidth=0.5, zorder=0)
    axes.margins(0.12, 0.12)


def _ticks(axes: Axes, zero: bool, left: float) -> None:
    """Plain numbers; where methods without cost are drawn, a 0 below them in place of the decades that the axis skips."""
    low, _ = axes.get_xlim()
    style.plain_log(axes.xaxis)
    if not zero:
        return
    from matplotlib.ticker import FixedLocator

    for which, minor in ((axes.xaxis.get_majorticklocs(), False), (axes.xaxis.get_minorticklocs(), True)):
        kept = [float(tick) for tick in which if tick > left / ZERO * 0.4]
        axes.xaxis.set_major_locator(FixedLocator([left, *kept])) if not minor else axes.xaxis.set_minor_locator(
            FixedLocator(kept)
        )
    formatter = axes.xaxis.get_major_formatter()
    axes.xaxis.set_major_formatter(lambda value, _: "0" if value == left else formatter(value))
    axes.axvline(left / ZERO * 0.45, color=style.MUTED, linewidth=0.5, linestyle=":")
    axes.set_xlim(left=low)


def _label(figure: Figure, axes: Axes, x: pd.Series[float], y: pd.Series[float], titles: list[str], line: list[Offset]) -> None:
    """Put every label at the nearest place where it covers no point, no other label, no part of the line and no border."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # the layout must stand before distances on the page mean anything
    figure.set_layout_engine("none")
    renderer = canvas.get_renderer()
    pixels = axes.transData.transform(list(zip(x, y, strict=True)))
    radius = 3.2 * figure.dpi / 72
    taken = [Bbox.from_extents(px - radius, py - radius, px + radius, py + radius) for px, py in pixels]
    corners = axes.transData.transform(line)
    taken += [
        Bbox([(min(a[0], b[0]), min(a[1], b[1])), (max(a[0], b[0]), max(a[1], b[1]))]).padded(1) for a, b in pairwise(corners)
    ]
    frame = axes.get_window_extent(renderer)
    for at, title in sorted(zip(zip(x, y, strict=True), titles, strict=True)):
        tried: list[tuple[float, Offset, Any]] = []
        for distance in DISTANCES:
            for dx, dy in DIRECTIONS:
                offset = (dx * distance, dy * distance)
                note = _note(axes, title, at, offset)
                box = _text_box(note, renderer)
                note.remove()
                tried.append((sum(_overlap(box, other) for other in taken) + _outside(box, frame) + distance, offset, box))
            if min(penalty for penalty, _, _ in tried) <= distance:  # nothing further away can be better than a free place here
                break
        _, offset, box = min(tried, key=lambda found: found[0])
        _note(axes, title, at, offset)
        taken.append(box)


def _note(axes: Axes, title: str, at: Offset, offset: Offset) -> Any:
    dx, dy = offset
    leader = max(abs(dx), abs(dy)) > DISTANCES[1]
    return axes.annotate(
        title,
        at,
        xytext=offset,
        textcoords="offset points",
        ha="left" if dx > 0 else "right" if dx < 0 else "center",
        va="bottom" if dy > 0 else "top" if dy < 0 else "center",
        fontsize=6.5,
        annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": style.MUTED, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2} if leader else None,
    )


def _text_box(note: Any, renderer: Any) -> Any:
    """Extent of the text of a note without its leader line."""
    from matplotlib.text import Text

    note.update_positions(renderer)
    return Text.get_window_extent(note, renderer)


def _overlap(box: Any, other: Any) -> float:
    from matplotlib.transforms import Bbox

    common = Bbox.intersection(box, other)
    return 0.0 if common is None else 1000.0 + float(common.width * common.height)


def _outside(box: Any, frame: Any) -> float:
    over = (frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1)
    return sum(100.0 + float(length) for length in over if length > 0)
