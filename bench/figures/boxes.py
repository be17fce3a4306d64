"""Scores of every image: a box for each method, one panel an index."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import pandas as pd

from waldbench.bench.figures import style
from waldbench.bench.results.columns import Column, data_title, index_columns
from waldbench.bench.results.scores import matrix
from waldbench.imaging.tracks import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
# Inches.
ROW, HEADER, FOOTER, GAP, PANEL = 0.15, 0.17, 0.24, 0.12, 0.35
# Width of a letter of a name, inches.
LETTER = 0.058
# More images than this are a cloud, not points.
POINTS = 50


def draw(part: pd.DataFrame, found: pd.DataFrame) -> Figure | None:
    """Draw the values of each image.

    Args:
        part: finished rows of one table of the leaderboard; the best method is drawn at the top.
        found: `samples` of the store.

    Returns:
        A figure with one panel for each index of both splits, or None where no index has two images.
    """
    panels = [(split, column, matrix(part, found, column.name)) for split in SPLITS for column in index_columns(part, split)]
    panels = [panel for panel in panels if len(panel[2]) > 1]
    if not panels:
        return None
    page = _Page(len(panels), part)
    for number, (split, column, values) in enumerate(panels):
        axes = page.axes(number)
        _panel(axes, part, column, values, named=number % page.columns == 0)
        axes.set_title(f"{column.title} {column.arrow}{f' ({column.unit})' if column.unit else ''}, {split}", pad=2)
    return page.figure


class _Page:
    """Places panels, measured in inches from the top left corner of the page: constrained layout takes seconds for so many."""

    def __init__(self, count: int, part: pd.DataFrame) -> None:
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch

        self.columns = min(COLUMNS, count)
        self.row = max(ROW * len(part), PANEL)
        self.left = 0.1 + LETTER * max(len(title) for title in _titles(part))
        self.panel = (style.PAGE_WIDTH - self.left) / COLUMNS - GAP
        self.width = self.left + self.columns * (self.panel + GAP)
        title = f"{data_title(part)}, protocol {part.iloc[0]['protocol']}: every test image; box: quartiles, line: median"
        heading = textwrap.wrap(title, max(int(self.width * 14.5), 30))
        self.top = 0.06 + 0.125 * len(heading)
        self.height = self.top + math.ceil(count / self.columns) * (HEADER + self.row + FOOTER) + 0.22
        self.figure = Figure(figsize=(self.width, self.height))
        self.figure.text(0.04 / self.width, 1 - 0.04 / self.height, "\n".join(heading), va="top", fontsize=7.5)
        looks = style.families(part["family"])
        known = [name for name in looks if name in set(part["family"])]
        patches = [Patch(facecolor=looks[name][0], alpha=0.55, label=name.replace("_", " ") or "other") for name in known]
        self.figure.legend(handles=patches, loc="lower left", ncols=len(patches), frameon=False, borderaxespad=0.1)

    def axes(self, number: int) -> Axes:
        row, column = divmod(number, self.columns)
        top = self.top + row * (HEADER + self.row + FOOTER) + HEADER
        left = self.left + column * (self.panel + GAP)
        bottom = (self.height - top - self.row) / self.height
        return self.figure.add_axes((left / self.width, bottom, self.panel / self.width, self.row / self.height))


def _titles(part: pd.DataFrame) -> list[str]:
    return [textwrap.shorten(str(title), 28, placeholder=".") for title in part["title"]]


def _panel(axes: Axes, part: pd.DataFrame, column: Column, values: pd.DataFrame, named: bool) -> None:
    looks = style.families(part["family"])
    order = {method: number for number, method in enumerate(part["method"])}
    places = [order[method] for method in values.columns]
    families = part.set_index("method")["family"]
    line: dict[str, Any] = {"color": style.TEXT, "linewidth": 0.6}
    drawn = axes.boxplot(
        values.to_numpy(),
        positions=places,
        orientation="horizontal",
        widths=0.62,
        patch_artist=True,
        showfliers=False,
        medianprops={"color": style.TEXT, "linewidth": 1.0},
        whiskerprops=line,
        capprops=line,
        boxprops={"linewidth": 0.5},
    )
    for box, method in zip(drawn["boxes"], values.columns, strict=True):
        box.set(facecolor=looks[families[method]][0], alpha=0.55)
    if len(values) <= POINTS:
        heights = [place for place in places for _ in range(len(values))]
        axes.scatter(values.to_numpy().T.ravel(), heights, s=3, color=style.TEXT, linewidths=0, alpha=0.7, zorder=3)
    axes.set_yticks(range(len(part)), _titles(part) if named else [""] * len(part))
    axes.set_ylim(len(part) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=style.GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=4)
