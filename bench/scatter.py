"""Accuracy against cost: one point a method, labelled where it stands."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench import leaderboard, style
from bench.columns import SPLITS, Column, cost_columns, data_title, index_columns, machines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (style.PAGE_WIDTH * 0.62, 3.1)
# Directions in which a label is tried, nearest first (horizontal and vertical share of the distance).
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
DISTANCES = (6.0, 11.0, 18.0, 27.0, 38.0)
# Costs by preference; the first that any method has.
COSTS = ("cpu_ms_256", "flops_256")
Offset = tuple[float, float]


def draw(part: pd.DataFrame) -> Figure | None:
    """Draw the index that ranks a table against latency on a logarithmic axis, or FLOPs where no latency was measured.

    Returns:
        The figure, or None if no method has both numbers.
    """
    from matplotlib.figure import Figure

    ranked = leaderboard.ranking_column(part)
    measured = {column.name: column for column in cost_columns(part)}
    cost = next((measured[name] for name in COSTS if name in measured), None)
    if ranked is None or cost is None:
        return None
    points = part[part[ranked].notna() & (part[cost.name] > 0)]
    if points.empty:
        return None
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    split = ranked.partition("_")[0]
    index = next(column for column in index_columns(part, split) if f"{column.name}_mean" == ranked)
    where = machines(part)
    title = f"{data_title(part)}, protocol {part.iloc[0]['protocol']}"
    axes.set_title("\n".join(textwrap.wrap(title, 56)), loc="left", fontweight="bold", fontsize=7.5)
    axes.set_xscale("log")
    axes.set_xlabel("\n".join([_cost_label(cost), *textwrap.wrap(where, 80)]))
    axes.set_ylabel(f"{SPLITS[split]}: {index.title}{f' ({index.unit})' if index.unit else ''} {index.arrow}")
    _points(axes, points, cost, ranked)
    _label(figure, axes, points[cost.name] / cost.divisor, points[ranked], [str(title) for title in points["title"]])
    return figure


def _cost_label(cost: Column) -> str:
    if cost.name == "cpu_ms_256":
        return "CPU time for a guide of 256 × 256 pixels (ms) ↓"
    return f"{cost.title} for a guide of 256 × 256 pixels ({cost.unit})"


def _points(axes: Axes, points: pd.DataFrame, cost: Column, ranked: str) -> None:
    from matplotlib.ticker import LogFormatter

    looks = style.families(points["family"])
    for family, (colour, marker) in looks.items():
        members = points[points["family"] == family]
        if len(members):
            x = members[cost.name] / cost.divisor
            look: dict[str, Any] = {"color": colour, "marker": marker, "s": 26, "linewidths": 0.5, "edgecolors": "white"}
            axes.scatter(x, members[ranked], label=family.replace("_", " ") or "other", zorder=3, **look)
    axes.grid(color="#e6e6e6", linewidth=0.5, zorder=0)
    axes.margins(0.12, 0.12)
    low, high = axes.get_xlim()
    if high / low < 30:  # within one decade and a half a decade's ticks alone would leave the axis almost bare
        axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 1)))
    axes.xaxis.set_major_formatter(LogFormatter())
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=3, frameon=False, handletextpad=0.2, columnspacing=1.0)


def _label(figure: Figure, axes: Axes, x: pd.Series[float], y: pd.Series[float], titles: list[str]) -> None:
    """Put every label at the nearest place where it covers no point, no other label and no border."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # the layout must stand before distances on the page mean anything
    figure.set_layout_engine("none")
    renderer = canvas.get_renderer()
    pixels = axes.transData.transform(list(zip(x, y, strict=True)))
    radius = 3.2 * figure.dpi / 72
    taken = [Bbox.from_extents(px - radius, py - radius, px + radius, py + radius) for px, py in pixels]
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
