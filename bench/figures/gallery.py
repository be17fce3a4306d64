"""Fused images side by side: colours, a busy window enlarged, and the error (or injected detail) of every method."""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from waldbench.bench.figures import style
from waldbench.catalogue import UnknownNameError
from waldbench.imaging import sensors
from waldbench.imaging.tracks import Track, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Array = np.ndarray[Any, np.dtype[Any]]
Window = tuple[slice, slice]
MAX_COLUMNS = 8
DEFAULT = shown("ms")
# Methods that return lms, which is drawn from the reference.
BASELINES = ("exp", "input-copy")
# Percentiles that become black and white.
STRETCH = (1.0, 99.0)
# Inches.
LEFT, GAP, HEADER, FOOTER, MAX_CELL = 0.18, 0.03, 0.15, 0.36, 1.7
# Bold letters of the title to an inch.
LETTERS = 13.5
# Points of a column's title, and how many of its letters go on an inch; longer titles are printed smaller.
TITLE, TITLE_LETTERS = 7.0, 17.0
# Pixels of the longer side of an overview; its cell is printed with fewer dots.
OVERVIEW = 512
ERRORS_REDUCED = ("error", "absolute error, mean over bands (DN)")
ERRORS_FULL = ("detail", "absolute difference to the interpolated image (EXP), mean over bands (DN)")


@dataclass(frozen=True)
class Panel:
    """One column: title, colours (H, W, 3) or (H, W) in [0, 1], and error (H, W) in DN or None."""

    title: str
    colours: Array
    error: Array | None = None


def draw(
    reference: dict[str, Array], fused: dict[str, Array], rgb: tuple[int, int, int], title: str, track: Track = DEFAULT
) -> Figure:
    """Draw one test image.

    Args:
        reference: `lms` and `guide`, and `gt` at reduced resolution, (C, H, W) in DN.
        fused: fused images (C, H, W) by title, in the order of the columns.
        rgb: bands shown as red, green and blue.
        title: what, from where, under which protocol.
        track: tells what `lms` is called, and whether it shows clouds.

    Returns:
        A figure with one column each for `lms`, the methods, GT (if there is one) and the guide, and three rows: colours, zoom,
        and absolute error against gt or, without gt, difference to lms; one colour scale for all columns.
    """
    panels = make_panels(reference, fused, rgb, track.baseline)
    window = busiest(_structure(reference, track.clouds))
    # Clouds would leave nothing of the scale to the methods.
    errors = [panel.error for panel in panels if panel.error is not None and (not track.clouds or panel.title != track.baseline)]
    peak = (float(np.percentile(np.stack(errors), 99.5)) if errors else 0.0) or 1.0
    labels = ERRORS_REDUCED if "gt" in reference else ERRORS_FULL
    page = _Page(title, len(panels), panels[0].colours.shape)
    mapped = None
    for number, panel in enumerate(panels):
        axes = page.column(number)
        mapped = _column(axes, panel, window, peak) or mapped
        if number % page.columns == 0:
            for axis, label in zip(axes, ("RGB", "zoom", labels[0]), strict=True):
                axis.set_ylabel(label, labelpad=2)
    if mapped is not None:
        page.colour_bar(mapped, labels[1])
    return page.figure


class _Page:
    """Places axes on the page, measured in inches from its top left corner; wide sets of columns wrap into blocks."""

    def __init__(self, title: str, panels: int, shape: tuple[int, ...]) -> None:
        from matplotlib.figure import Figure

        blocks = math.ceil(panels / MAX_COLUMNS)
        self.columns = math.ceil(panels / blocks)
        self.cell = min((style.PAGE_WIDTH - LEFT) / self.columns - GAP, MAX_CELL)
        whole = self.cell * shape[0] / shape[1]
        self.rows = (whole, self.cell, whole)
        self.block = HEADER + sum(self.rows) + len(self.rows) * GAP
        self.width = LEFT + self.columns * (self.cell + GAP)
        heading = textwrap.wrap(title, max(int(self.width * LETTERS), 30))
        self.top = 0.06 + 0.125 * len(heading)
        self.height = self.top + blocks * self.block + FOOTER
        self.figure = Figure(figsize=(self.width, self.height))
        left, top = LEFT / self.width, 1 - 0.04 / self.height
        self.figure.text(left, top, "\n".join(heading), va="top", fontsize=7.5, fontweight="bold")

    def column(self, number: int) -> list[Axes]:
        row, column = divmod(number, self.columns)
        top = self.top + row * self.block + HEADER
        axes = []
        for size in self.rows:
            axes.append(self._axes(LEFT + column * (self.cell + GAP), top, self.cell, size))
            top += size + GAP
        return axes

    def colour_bar(self, mapped: Any, label: str) -> None:
        axes = self._axes(0.3 * self.width, self.height - 0.33, 0.4 * self.width, 0.06)
        self.figure.colorbar(mapped, cax=axes, orientation="horizontal", extend="max", label=label)
        axes.tick_params(length=2, pad=1)
        axes.xaxis.labelpad = 1

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))


def make_panels(
    reference: dict[str, Array], fused: dict[str, Array], rgb: tuple[int, int, int], baseline: str = "EXP"
) -> list[Panel]:
    """The columns of a figure, stretched alike."""
    gt, lms, guide = reference.get("gt"), reference["lms"], reference["guide"]
    low, high = limits(lms if gt is None else gt, rgb)
    target = lms if gt is None else gt

    def panel(title: str, image: Array, error: bool) -> Panel:
        difference = np.abs(image.astype(np.float32) - target).mean(0) if error else None
        return Panel(title, np.clip((image[list(rgb)].transpose(1, 2, 0) - low) / (high - low), 0, 1), difference)

    panels = [panel(baseline, lms, gt is not None), *(panel(title, image, True) for title, image in fused.items())]
    panels += [panel("GT", gt, False)] if gt is not None else []
    return [*panels, Panel("PAN" if len(guide) == 1 else "SAR (VV, VH)", guide_colours(guide))]


def guide_colours(guide: Array) -> Array:
    """PAN as grey (H, W); SAR as VV, VH and their difference in dB, which tells forest from town, in (H, W, 3); 0 to 1."""
    bands = guide[:1] if len(guide) == 1 else np.stack([guide[0], guide[1], guide[0] - guide[1]])
    dark, bright = (limit[:, None, None] for limit in np.percentile(bands, STRETCH, axis=(1, 2)))
    shown = np.clip((bands - dark) / span(dark, bright), 0, 1)
    return shown[0] if len(guide) == 1 else shown.transpose(1, 2, 0)


def _structure(reference: dict[str, Array], clouded: bool) -> Array:
    """The image (H, W) whose edges are looked for: PAN, what clouds change, or the target where speckle covers the guide."""
    guide = reference["guide"]
    if clouded and "gt" in reference:
        return np.abs(reference["lms"].astype(np.float32) - reference["gt"]).mean(0)
    return guide[0] if len(guide) == 1 else reference.get("gt", reference["lms"]).mean(0)


def limits(image: Array, rgb: tuple[int, int, int]) -> tuple[Array, Array]:
    """Digital numbers shown as black and white, one pair for each of red, green and blue."""
    low, high = np.percentile(image[list(rgb)], STRETCH, axis=(1, 2))
    return low, low + span(low, high)


def span(low: Array, high: Array) -> Array:
    """Width of a stretch, in whatever unit; 1 where an image is constant."""
    return np.where(high > low, high - low, 1.0)


def busiest(guide: Array) -> Window:
    """The square with the strongest mean gradient of a guide (H, W); a quarter of the shorter side, 32 pixels at least."""
    from scipy.ndimage import uniform_filter

    side = min(max(min(guide.shape) // 4, 32), *guide.shape)
    gradient = np.hypot(*np.gradient(guide.astype(np.float32)))
    # A window centred at c starts at c - side // 2; only windows inside the image count.
    inside = tuple(slice(side // 2, length - side + side // 2 + 1) for length in guide.shape)
    mean = uniform_filter(gradient, side, mode="nearest")[inside]
    top, left = (int(i) for i in np.unravel_index(int(mean.argmax()), mean.shape))
    return slice(top, top + side), slice(left, left + side)


def _column(axes: list[Axes], panel: Panel, window: Window, peak: float) -> Any:
    from matplotlib.patches import Rectangle

    colours, zoom, error = axes
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1} if panel.colours.ndim == 2 else {}
    overview(colours, panel.colours, **grey)
    rows, columns = window
    corner, side = (columns.start - 0.5, rows.start - 0.5), rows.stop - rows.start
    colours.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=style.BOX, linewidth=0.8))
    title = textwrap.shorten(panel.title, 32, placeholder=".")
    colours.set_title(
        title, pad=2, fontsize=TITLE * min(colours.bbox.width / colours.figure.dpi * TITLE_LETTERS / len(title), 1.0)
    )
    zoom.imshow(panel.colours[window], interpolation="nearest", **grey)
    zoom.spines[:].set(visible=True, color=style.BOX, linewidth=0.8)
    if panel.error is None:
        return None
    style.corner(error, style.short(float(panel.error.mean())))
    return overview(error, panel.error, cmap=style.ERRORS, vmin=0, vmax=peak)


def overview(axis: Axes, image: Array, **options: Any) -> AxesImage:
    """Show a whole image; one that has several pixels a dot is averaged over blocks first, in the coordinates of the original."""
    height, width = image.shape[:2]
    step = max(max(height, width) // OVERVIEW, 1)
    rows, columns = height // step * step, width // step * step
    blocks = image[:rows, :columns].reshape(rows // step, step, columns // step, step, *image.shape[2:]).mean(axis=(1, 3))
    return axis.imshow(blocks, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), **options)


def shown_bands(key: str, bands: int) -> tuple[int, int, int]:
    """Bands shown as red, green and blue for the key of a sensor; of unnamed sensors, spread over the spectrum.

    The keys of users' cubes end in their own three bands, counted from 1.
    """
    if own := re.fullmatch(rf"cube{bands}-(\d+)-(\d+)-(\d+)", key):
        red, green, blue = (int(number) - 1 for number in own.groups())
        return red, green, blue
    try:
        sensor = sensors.get(key)
    except UnknownNameError:
        sensor = sensors.generic(bands)
    return sensor.rgb if sensor.count == bands else sensors.generic(bands).rgb
