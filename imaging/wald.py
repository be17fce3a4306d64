"""Wald's protocol: degrade a scene by its own resolution ratio, so that the original becomes the ground truth.

Wald, Ranchin, Mangolini, PE&RS 63(6):691-699, 1997; filters as in Vivone et al., IEEE GRSM 9(1), 2021
(doi 10.1109/MGRS.2020.3019315).
"""

from __future__ import annotations

from torch import Tensor

from waldbench.imaging.filters import mtf
from waldbench.imaging.resampling import imresize
from waldbench.imaging.sensors import Sensor


def degrade(ms: Tensor, pan: Tensor, sensor: Sensor) -> tuple[Tensor, Tensor]:
    """Reduce both images by the sensor's ratio r.

    Args:
        ms: multispectral image (B, C, h, w), h and w multiples of r; it becomes the ground truth.
        pan: guide (B, G, r h, r w).
        sensor: sensor of the images; its MTF blurs `ms`, its ratio is r.

    Returns:
        ms blurred by the MTF and decimated with the field's phase, (B, C, h / r, w / r), and the guide resized by
        antialiased cubic convolution, (B, G, h, w).

    Raises:
        ValueError: if the sizes do not fit.
    """
    r = sensor.ratio
    h, w = ms.shape[-2:]
    if h % r or w % r or tuple(pan.shape[-2:]) != (r * h, r * w):
        raise ValueError(
            f"expected ms with sides of a multiple of {r} and pan {r} times as large, got ms {h}x{w} and "
            f"pan {pan.shape[-2]}x{pan.shape[-1]}; crop both to a common area first"
        )
    return mtf(ms, sensor, step=r), imresize(pan, 1 / r)
