"""The two tracks of SAR-optical images: cloud removal at one resolution, and sharpening by four."""

from __future__ import annotations

from torch import Tensor

from waldbench.datasets.base import DatasetError
from waldbench.imaging import Scene, Sensor, interp23, sensors
from waldbench.imaging.filters import mtf

# Sensor of each track. Sharpening uses only the bands whose native resolution is 10 m: the others were interpolated to 10 m,
# and their scores would reward blur.
SENSORS = {"sar-cr": "sentinel2", "sar-sharp": "sentinel2-10m"}
DEFAULT = "sar-cr"
TEN_METRES = (1, 2, 3, 7)


def sensor_of(track: str) -> Sensor:
    """Return the sensor of a track. Raises DatasetError for an unknown track."""
    if track not in SENSORS:
        raise DatasetError(f"unknown track '{track}'; expected {' or '.join(SENSORS)}")
    return sensors.get(SENSORS[track])


def assemble(track: str, sar: Tensor, clear: Tensor, cloudy: Tensor, mask: Tensor, name: tuple[str, ...]) -> Scene:
    """Build a scene of one track.

    Args:
        track: "sar-cr": ms and lms are the cloudy image, gt the clear one; "sar-sharp": gt is the clear image in its 10 m bands,
            ms the same blurred by the MTF, decimated by 4 and rounded, lms its interpolation; the guide is SAR in both.
        sar: backscatter (B, 2, H, W) in dB, VV and VH.
        clear: 13 bands (B, 13, H, W) in digital numbers.
        cloudy: the same place on another date.
        mask: clouds and shadows of `cloudy`, (B, 1, H, W), 0 to 1.
        name: one name per image.
    """
    if track == "sar-cr":
        return Scene(ms=cloudy, lms=cloudy, guide=sar, gt=clear, name=name, mask=mask)
    gt = clear[:, list(TEN_METRES)]
    ms = mtf(gt, sensor_of(track), step=4).round().clamp(min=0)
    return Scene(ms=ms, lms=interp23(ms, 4), guide=sar, gt=gt, name=name)
