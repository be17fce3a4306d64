"""What timings share: one thread, and a synthetic WorldView-3 scene."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from waldbench.imaging import Scene, interp23, sensors
from waldbench.imaging.filters import mtf

SENSOR = sensors.get("wv3")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(threads)


def synthetic(side: int) -> Scene:
    """A scene whose guide has side x side pixels."""
    generator = torch.Generator().manual_seed(0)
    gt = interp23(torch.rand(1, SENSOR.count, side // 4, side // 4, generator=generator), 4) * 1500 + 200
    ms = mtf(gt, SENSOR, step=4)
    guide = gt.mean(1, keepdim=True) + 50 * torch.rand(1, 1, side, side, generator=generator)
    return Scene(ms=ms, lms=interp23(ms, 4), guide=guide, gt=gt)
