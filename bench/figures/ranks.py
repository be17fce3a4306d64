"""Critical-difference diagrams: mean ranks over the images, and which of them the images cannot tell apart (Demsar, 2006)."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import pandas as pd

from waldbench.bench.figures import style
from waldbench.bench.results import leaderboard
from waldbench.bench.results.cautions import letters
from waldbench.bench.results.columns import Column, data_title, direction, headings, index_columns
from waldbench.bench.results.scores import matrix
from waldbench.bench.results.significance import LEVEL, Friedman, friedman

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Fewer images do not support Friedman's approximation.
FEWEST = 5
# Two tests of two questions: below a diagram whose methods bear the letters of the table.
NOTE = (
    "Bars join methods whose mean ranks differ by less than Nemenyi's critical difference (all pairs, ranks only).\n"
    "Letters are the table's groups (Wilcoxon against the best of a group, sizes of differences count): the two can disagree."
)
# Smaller p values are not printed: the approximation means nothing there.
TINY = 1e-4
# Inches: a line of text, the axis with what stands above it, the distance of two bars.
LINE, HEAD, BAR = 0.15, 0.62, 0.07


def draw(part: pd.DataFrame, found: pd.DataFrame) -> Figure | None:
    """Draw one diagram for each split that has at least three methods and five images; None if there is none.

    Args:
        part: finished rows of one table of the leaderboard.
        found: `samples` of the store.
    """
    from matplotlib.figure import Figure

    tested = [(column, result) for column, result in _tests(part, found) if result is not None and result.images >= FEWEST]
    if not tested:
        return None
    sizes = [_height(result) for _, result in tested]
    title = textwrap.wrap(f"{data_title(part)}, protocol {part.iloc[0]['protocol']}", 100)
    top = 0.1 + 0.13 * len(title)
    height = sum(sizes) + top + (0.32 if any(letters(part)) else 0)
    figure = Figure(figsize=(style.PAGE_WIDTH * 0.8, height))
    figure.text(0.01, 1 - 0.04 / height, "\n".join(title), va="top", fontsize=7.5, fontweight="bold")
    named = zip(part["title"].astype(str), letters(part), strict=True)
    titles = dict(zip(part["method"], [(title, f" ({letter})" if letter else "") for title, letter in named], strict=True))
    for (column, result), size in zip(tested, sizes, strict=True):
        axes = figure.add_axes((0.02, (height - top - size) / height, 0.96, size / height))
        _diagram(axes, column, result, titles, size)
        top += size
    if any(letters(part)):
        figure.text(0.01, 0.03 / height, NOTE, va="bottom", fontsize=6, color=style.MUTED)
    return figure


def _tests(part: pd.DataFrame, found: pd.DataFrame) -> list[tuple[str, Friedman | None]]:
    columns = leaderboard.ranking_columns(part)
    named = []
    for split, name in columns.items():
        index: Column = next(column for column in index_columns(part, split) if f"{column.name}_mean" == name)
        higher = direction(name.removesuffix("_mean").partition("_")[2]) == "higher"
        named.append(
            (f"{index.title} {index.arrow}, {headings(part)[split].lower()}", friedman(matrix(part, found, name), higher))
        )
    return named


def _height(result: Friedman) -> float:
    return HEAD + len(result.cliques()) * BAR + math.ceil(len(result.ranks) / 2) * LINE + 0.15


def _diagram(axes: Axes, column: str, result: Friedman, titles: dict[str, tuple[str, str]], size: float) -> None:
    """Axis of ranks; the better half of the methods is named at the left, the others at the right. Units: ranks and inches."""
    ordered = result.ranks.sort_values(kind="stable")
    count = len(ordered)
    margin = 0.42 * (count - 1)
    axes.set(xlim=(1 - margin, count + margin), ylim=(size, 0))
    axes.axis("off")
    verdict = "methods differ" if result.p < LEVEL else "no difference shown"
    p = f"= {result.p:.2g}" if result.p >= TINY else f"< {TINY:g}"
    text = f"Mean rank by {column}, {result.images} images; Friedman p {p}: {verdict}"
    axes.text(1 - margin, 0.1, text, va="center")
    _ruler(axes, count)
    _critical(axes, result.critical, count)
    cliques = result.cliques()
    for number, clique in enumerate(cliques):
        first, last = ordered[clique[0]], ordered[clique[-1]]
        y = HEAD + (number + 0.6) * BAR
        axes.plot([first - 0.012 * count, last + 0.012 * count], [y, y], color=style.TEXT, linewidth=2.4, solid_capstyle="butt")
    below = HEAD + len(cliques) * BAR + LINE
    half = math.ceil(count / 2)
    for number, (method, rank) in enumerate(ordered.items()):
        left = number < half
        y = below + (number if left else count - 1 - number) * LINE
        end = 1 - 0.05 * margin if left else count + 0.05 * margin
        axes.plot([rank, rank, end], [HEAD, y, y], color=style.MUTED, linewidth=0.6)
        title, letter = titles[str(method)]
        name = textwrap.shorten(title, 30, placeholder=".") + letter
        label = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        axes.text(end + (-0.03 if left else 0.03) * margin, y, label, va="center", ha="right" if left else "left")


def _ruler(axes: Axes, count: int) -> None:
    axes.plot([1, count], [HEAD, HEAD], color=style.TEXT, linewidth=0.8)
    step = max(round(count / 10), 1)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [HEAD - 0.05, HEAD], color=style.TEXT, linewidth=0.6)
        if (rank - 1) % step == 0 or rank == count:
            axes.text(rank, HEAD - 0.06, str(rank), ha="center", va="bottom", fontsize=6.5)


def _critical(axes: Axes, critical: float, count: int) -> None:
    """The critical difference as a length above the axis."""
    y, end = 0.3, min(1 + critical, count * 1.2)
    axes.plot([1, end], [y, y], color=style.TEXT, linewidth=0.8)
    for x in (1, end):
        axes.plot([x, x], [y - 0.03, y + 0.03], color=style.TEXT, linewidth=0.8)
    axes.text(end + 0.02 * count, y, f"critical difference {critical:.2f} (Nemenyi, 5 %)", va="center", fontsize=6.5)
