"""A 3-D U-Net on repeated dates, after Çiçek, Abdulkadir, Lienkamp, Brox, Ronneberger (MICCAI, 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import Network, register

# Halved twice.
DATES, STEP = 4, 4


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for count in (inputs, outputs):
        layers += [nn.Conv3d(count, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


@register(
    tasks={"sar"},
    title="U-Net3D-like",
    year=2016,
    paper="Çiçek, Abdulkadir, Lienkamp, Brox, Ronneberger, MICCAI 2016",
    doi="10.1007/978-3-319-46723-8_49",
    faithful="3-D convolutions with batch normalisation on two scales of space and time, up-convolutions and skips",
    inferred=(
        "no published network: a stand-in for the U-Net3D of published cloud-removal tables, whose figures are not its own",
        "one date is repeated four times, as that network needs several; SAR and optical bands are stacked",
        "16, 32 and 64 features; the mean over the dates, mapped to the bands, is added to the cloudy image",
        "sizes that are no multiple of 4: replicated at the lower and right border, then cropped",
    ),
)
class UNet3DLike(Network):
    """A U-Net whose convolutions also run over the stack of dates, all copies of the one date that there is.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        width: number of features at full scale.

    Raises:
        ValueError: if width is below 1.
    """

    def __init__(self, *, sensor: Sensor, guide_bands: int = 2, width: int = 16) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        if width < 1:
            raise ValueError(f"width: expected at least 1, got {width}")
        self.top = _twice(sensor.count + guide_bands, width)
        self.middle = _twice(width, 2 * width)
        self.bottom = _twice(2 * width, 4 * width)
        self.to_middle = nn.ConvTranspose3d(4 * width, 2 * width, 2, stride=2)
        self.restore_middle = _twice(4 * width, 2 * width)
        self.to_top = nn.ConvTranspose3d(2 * width, width, 2, stride=2)
        self.restore_top = _twice(2 * width, width)
        self.tail = nn.Conv2d(width, sensor.count, 1)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to the cloudy image lms the mean over the dates of what the U-Net restores."""
        height, width = lms.shape[-2:]
        x = torch.cat([lms, guide], 1)
        x = functional.pad(x, (0, -width % STEP, 0, -height % STEP), mode="replicate")
        features = self._restore(x[:, :, None].expand(-1, -1, DATES, -1, -1))
        return lms + self.tail(features.mean(2))[..., :height, :width]

    def _restore(self, dates: Tensor) -> Tensor:
        top = self.top(dates)
        middle = self.middle(functional.max_pool3d(top, 2))
        x = self.to_middle(self.bottom(functional.max_pool3d(middle, 2)))
        x = self.to_top(self.restore_middle(torch.cat([x, middle], 1)))
        return self.restore_top(torch.cat([x, top], 1))
