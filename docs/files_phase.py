"""Draws docs/files_phase.png: where `sharpen` puts a square of known place under both phases. Run from the project's root."""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import rasterio
from matplotlib import pyplot as plt
from rasterio import Affine

from waldbench.bench.cli import main

SIDE, RATIO = 64, 4


def write(path: Path, image: np.ndarray, pixel: float) -> None:
    """A GeoTIFF of one band."""
    transform = Affine(pixel, 0, 500000, 0, -pixel, 5000000)
    options = {"driver": "GTiff", "count": 1, "dtype": "uint16", "crs": "EPSG:32633", "transform": transform}
    with rasterio.open(path, "w", height=len(image), width=len(image), **options) as file:
        file.write(image.astype(np.uint16), 1)


def draw(output: Path) -> None:
    """Interpolate a square under both phases, and show its profile beside the true one."""
    truth = np.full((SIDE, SIDE), 200.0)
    truth[24:40, 24:40] = 1000.0
    ms = truth.reshape(SIDE // RATIO, RATIO, SIDE // RATIO, RATIO).mean((1, 3))
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "ms.tif", ms, 0.5 * RATIO)
        write(folder / "pan.tif", truth, 0.5)
        scene = ["--ms", str(folder / "ms.tif"), "--pan", str(folder / "pan.tif")]
        images = {}
        for phase in ("centre", "wald"):
            path = folder / f"{phase}.tif"
            main(["sharpen", "--quiet", "--methods", "exp", *scene, "--phase", phase, "--output", str(path)])
            with rasterio.open(path) as file:
                images[phase] = file.read(1).astype(float)
    for axis, (phase, image) in zip(axes, images.items(), strict=False):
        axis.imshow(image, cmap="gray", vmin=150, vmax=1050)
        axis.add_patch(plt.Rectangle((23.5, 23.5), 16, 16, fill=False, edgecolor="tab:red", linewidth=1.5))
        axis.set(xlim=(15.5, 47.5), ylim=(47.5, 15.5), title=f"--phase {phase}", xlabel="PAN column")
    axes[0].set_ylabel("PAN row")
    columns = np.arange(SIDE)
    axes[2].step(columns, truth[32], where="mid", color="tab:red", label="ground")
    for phase, style in (("centre", "-"), ("wald", "--")):
        axes[2].plot(columns, images[phase][32], style, color="black", label=phase)
    axes[2].set(xlim=(16, 48), xlabel="PAN column", ylabel="digital number", title="row 32")
    axes[2].legend(frameon=False)
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    draw(Path("docs/files_phase.png"))
