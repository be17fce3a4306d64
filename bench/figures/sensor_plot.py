"""What is known of a sensor: the limits of its bands, and the MTF that filters are matched to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from waldbench.bench.figures import style
from waldbench.imaging.sensors import Sensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More bands than this are drawn without their names.
NAMED = 13


def draw(sensor: Sensor) -> Figure:
    """Draw spectral responses (published 50 % limits; the curves themselves are not known here) and MTFs of a sensor."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(style.PAGE_WIDTH, 2.2), layout="constrained")
    spectrum, frequency = figure.subplots(1, 2, width_ratios=(3, 2))
    colours = _colours(sensor)
    _spectrum(spectrum, sensor, colours)
    _frequency(frequency, sensor, colours)
    figure.suptitle(f"{sensor.title}: bands and modulation transfer function", x=0.01, ha="left", fontsize=7.5, fontweight="bold")
    return figure


def response(gain: float, frequency: np.ndarray) -> np.ndarray:
    """Gaussian MTF with `gain` at frequency 1, the Nyquist frequency of the low-resolution grid."""
    found: np.ndarray = gain ** (frequency**2)
    return found


def _colours(sensor: Sensor) -> list[tuple[float, float, float, float]]:
    from matplotlib import colormaps

    low, high = min(sensor.centres), max(sensor.centres)
    return [colormaps[style.BANDS](0.05 + 0.85 * (centre - low) / max(high - low, 1.0)) for centre in sensor.centres]


def _spectrum(axes: Axes, sensor: Sensor, colours: list[tuple[float, float, float, float]]) -> None:
    if sensor.guide_range is None:
        axes.axvspan(*sensor.pan, ymax=0.62, color="#dddddd", linewidth=0)
        axes.text(sum(sensor.pan) / 2, 0.06, "PAN", ha="center", color=style.MUTED)
    for number, (name, centre, width, colour) in enumerate(
        zip(sensor.bands, sensor.centres, sensor.widths, colours, strict=True)
    ):
        left, right = centre - width / 2, centre + width / 2
        axes.plot([left, left, right, right], [0, 1, 1, 0], color=colour, linewidth=1.0)
        axes.fill_between([left, right], 1, color=colour, alpha=0.25, linewidth=0)
        if sensor.count <= NAMED:
            axes.text(centre, 1.04 + 0.11 * (number % 2), name, ha="center", va="bottom", fontsize=6)
    axes.set(xlabel="wavelength (nm)", ylabel="within the 50 % limits", ylim=(0, 1.3), yticks=[0, 1])


def _frequency(axes: Axes, sensor: Sensor, colours: list[tuple[float, float, float, float]]) -> None:
    f = np.linspace(0, 2, 101)
    for gain in sorted(set(sensor.mtf), reverse=True):
        bands = [number for number, other in enumerate(sensor.mtf) if other == gain]
        names = ", ".join(sensor.bands[number] for number in bands)
        label = names if len(bands) <= 2 else f"{len(bands)} bands" if len(bands) < sensor.count else "all bands"
        axes.plot(f, response(gain, f), color=colours[bands[len(bands) // 2]], linewidth=1.0, label=f"{label}: {gain:g}")
    if sensor.guide_range is None:
        axes.plot(
            f, response(sensor.pan_mtf, f), color=style.TEXT, linestyle="--", linewidth=1.0, label=f"PAN: {sensor.pan_mtf:g}"
        )
    axes.axvline(1, color=style.MUTED, linewidth=0.6, linestyle=":")
    axes.set(xlabel="frequency / Nyquist of the low-resolution grid", ylabel="MTF (nominal)", xlim=(0, 2), ylim=(0, 1.02))
    axes.legend(frameon=False, title="gain at Nyquist", title_fontsize=6.5, labelspacing=0.2)
