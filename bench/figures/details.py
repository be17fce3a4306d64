"""Detail maps: what two methods add to the interpolated image, what comes out, and how far it is from the truth."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from waldbench.bench.figures import style
from waldbench.bench.figures.gallery import STRETCH, Array, limits, overview, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
LEFT, GAP, HEADER, FOOTER = 0.2, 0.04, 0.17, 0.36
HEADINGS = ("guide and MS", "detail", "fused", "absolute error")


def draw(reference: dict[str, Array], fused: dict[str, Array], rgb: tuple[int, int, int], title: str) -> Figure:
    """Draw one test image of reduced resolution.

    Args:
        reference: `gt`, `lms` and `guide`, (C, H, W) in DN.
        fused: fused images (C, H, W) of one or two methods by title.
        rgb: bands shown as red, green and blue.
        title: what, from where, under which protocol.

    Returns:
        A figure with one row a method: guide (first row) or interpolated MS (second), detail (fused - interpolated, mean over
        bands), fused image, absolute error (mean over bands); details and errors of both methods on one scale each.
    """
    lms, gt = reference["lms"].astype(np.float32), reference["gt"].astype(np.float32)
    details = [(image - lms).mean(0) for image in fused.values()]
    errors = [np.abs(image - gt).mean(0) for image in fused.values()]
    strongest = float(np.percentile(np.abs(np.stack(details)), 99)) or 1.0
    peak = float(np.percentile(np.stack(errors), 99.5)) or 1.0
    low, high = limits(reference["gt"], rgb)
    page = _Page(title, len(fused), lms.shape)
    inputs = (_grey(reference["guide"][0]), _colours(reference["lms"], rgb, low, high))
    mapped: list[Any] = []
    for row, (name, image) in enumerate(fused.items()):
        first, detail, colours, error = page.row(row)
        overview(first, inputs[row], **({"cmap": "gray"} if inputs[row].ndim == 2 else {}))
        overview(colours, _colours(image, rgb, low, high))
        mapped = [
            overview(detail, details[row], cmap=style.DETAIL, vmin=-strongest, vmax=strongest),
            overview(error, errors[row], cmap=style.ERRORS, vmin=0, vmax=peak),
        ]
        first.set_ylabel(
            "PAN" if row == 0 and len(reference["guide"]) == 1 else "guide" if row == 0 else "MS, interpolated", labelpad=2
        )
        for axes in (detail, colours, error):
            style.corner(axes, textwrap.shorten(name, 24, placeholder="."), top=True)
        style.corner(error, f"mean {style.short(float(errors[row].mean()))}")
    page.colour_bar(1, mapped[0], "fused - MS, mean over bands (DN)", "both")
    page.colour_bar(3, mapped[1], "|fused - GT|, mean over bands (DN)", "max")
    return page.figure


class _Page:
    """Four columns of images, measured in inches from the top left corner."""

    def __init__(self, title: str, rows: int, shape: tuple[int, ...]) -> None:
        from matplotlib.figure import Figure

        self.cell = (style.PAGE_WIDTH - LEFT) / len(HEADINGS) - GAP
        self.whole = self.cell * shape[-2] / shape[-1]
        heading = textwrap.wrap(title, 100)
        self.top = 0.06 + 0.125 * len(heading) + HEADER
        self.height = self.top + rows * (self.whole + GAP) + FOOTER
        self.figure = Figure(figsize=(style.PAGE_WIDTH, self.height))
        self.figure.text(
            LEFT / style.PAGE_WIDTH, 1 - 0.04 / self.height, "\n".join(heading), va="top", fontsize=7.5, fontweight="bold"
        )

    def row(self, number: int) -> list[Axes]:
        """Axes of one row; the first row has the headings."""
        top = self.top + number * (self.whole + GAP)
        found = [self._axes(LEFT + column * (self.cell + GAP), top, self.cell, self.whole) for column in range(len(HEADINGS))]
        for axes, heading in zip(found, HEADINGS, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if number == 0:
                axes.set_title(heading, pad=2)
        return found

    def colour_bar(self, column: int, mapped: Any, label: str, extend: str) -> None:
        """A scale below one column."""
        left = LEFT + column * (self.cell + GAP) + 0.08 * self.cell
        axes = self._axes(left, self.height - 0.33, 0.84 * self.cell, 0.06)
        self.figure.colorbar(mapped, cax=axes, orientation="horizontal", extend=extend, label=label)
        axes.tick_params(length=2, pad=1)
        axes.xaxis.labelpad = 1

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        page = style.PAGE_WIDTH
        return self.figure.add_axes((left / page, bottom / self.height, width / page, height / self.height))


def _colours(image: Array, rgb: tuple[int, int, int], low: Array, high: Array) -> Array:
    found: Array = np.clip((image[list(rgb)].transpose(1, 2, 0) - low) / (high - low), 0, 1)
    return found


def _grey(image: Array) -> Array:
    dark, bright = np.percentile(image, STRETCH)
    found: Array = np.clip((image - dark) / span(dark, bright), 0, 1)
    return found
