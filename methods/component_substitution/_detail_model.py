"""The band-dependent spatial-detail model that BDSD and its variants fit one step below the target resolution."""

import torch
from torch import Tensor

from waldbench.imaging import Sensor
from waldbench.imaging.filters import mtf, mtf_pan
from waldbench.imaging.resampling import imresize

# Details that are weaker than the rounding of single precision are not in digital numbers, whatever the type of the images.
WEAKEST = torch.float32


def degraded(lms: Tensor, guide: Tensor, sensor: Sensor, ratio: int) -> tuple[Tensor, Tensor, Tensor]:
    """Bands whose details are known, as the model sees them at the low resolution, in float64.

    Returns:
        the blurred bands (B, C, h, w), the blurred and decimated guide (B, 1, h, w), and the details that the blur took from
        the bands (B, C, h, w).
    """
    # The details are small differences of nearly collinear bands: in single precision the fit would see rounding.
    bands = imresize(lms, 1 / ratio).double()
    blurred = mtf(bands, sensor, ratio)
    return blurred, mtf_pan(guide, sensor, ratio, step=ratio).double(), bands - blurred
