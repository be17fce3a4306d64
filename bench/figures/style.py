"""The look of all figures: sizes for a printed page, one font, colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches: the text width of a two-column journal page.
PAGE_WIDTH = 7.16
DPI = {"pdf": 250, "png": 160}
TEXT = "#222222"
MUTED = "#767676"
BOX = "#ffd400"
GRID = "#e6e6e6"
ERRORS = "magma"
DETAIL = "gray"
BANDS = "viridis"
# Okabe and Ito, Color Universal Design, 2008; black and yellow are left out, they are text and window. Grey fuses nothing.
COLOURS = ("#767676", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#56B4E9", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FAMILIES = ("interpolation", "component_substitution", "multiresolution", "variational", "deep")
SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    # Text stays text in a PDF, so that it can be searched and edited.
    "pdf.fonttype": 42,
    "pdf.compression": 2,
}


def settings() -> AbstractContextManager[None]:
    """The look, for the length of a `with` block; the user's own configuration plays no part."""
    import matplotlib

    chosen: dict[Any, Any] = dict(matplotlib.rcParamsDefault) | {"backend": "agg"} | SETTINGS
    return matplotlib.rc_context(chosen)


def families(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each family; the known ones look alike in every figure."""
    unknown = sorted(set(names) - set(FAMILIES))
    order = [*FAMILIES, *unknown]
    count = len(COLOURS)
    return {name: (COLOURS[i % count], MARKERS[(i + i // count) % count]) for i, name in enumerate(order)}


def short(value: float) -> str:
    """A number under an image: one decimal of digital numbers, two digits of fractions."""
    return f"{value:.1f}" if abs(value) >= 1 or value == 0 else f"{value:.2g}"


def corner(axes: Axes, text: str, top: bool = False) -> None:
    """A line of white text with a black outline in the left corner of an image, at its bottom or top."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=1.2, foreground="black")]
    place = (0.03, 0.97) if top else (0.03, 0.03)
    vertical = "top" if top else "bottom"
    axes.text(*place, text, transform=axes.transAxes, color="white", fontsize=6, va=vertical, path_effects=outline)


def plain_log(axis: Any) -> None:
    """Ticks of a logarithmic axis as plain numbers; within one decade and a half the intermediate ones too."""
    from matplotlib.ticker import LogFormatter, NullFormatter

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    low, high = sorted(axis.get_view_interval())
    close = high / max(low, 1e-300) < 30
    axis.set_minor_formatter(Plain(minor_thresholds=(2, 1)) if close else NullFormatter())
    axis.set_major_formatter(Plain())
