"""A plugin with a tiny dataset and tiny methods, for the tests of the harness."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch

from waldbench import datasets, methods
from waldbench.datasets.base import Dataset, DatasetError, Split
from waldbench.imaging import Scene, interp23, sensors
from waldbench.imaging.filters import mtf
from waldbench.imaging.resampling import decimate
from waldbench.methods.base import Method, Network


class _Patches(Split):
    def __init__(self, count: int, side: int, first: int, gt: bool) -> None:
        self.count, self.side, self.first, self.gt = count, side, first, gt

    def __len__(self) -> int:
        return self.count

    def read(self, indices):
        scenes = [self._one(self.first + i) for i in indices]
        gt = torch.cat([gt for gt, _ in scenes])
        sensor = sensors.get("qb")
        ms = decimate(mtf(gt, sensor), 4).contiguous()
        guide = torch.cat([guide for _, guide in scenes])
        names = tuple(f"toy-{self.first + i}" for i in indices)
        return Scene(ms, interp23(ms, 4), guide, gt if self.gt else None, names)

    def _one(self, number):
        draw = torch.Generator().manual_seed(number)
        base = torch.nn.functional.interpolate(
            torch.rand(1, 4, self.side // 8, self.side // 8, generator=draw), scale_factor=8.0, mode="bilinear"
        )
        detail = torch.rand(1, 1, self.side, self.side, generator=draw)
        gt = 200 + 800 * base + 300 * detail
        return gt, gt.mean(1, keepdim=True)


@datasets.register("toy", task="ms", sensor="qb", title="random patches for tests")
class Toy(Dataset):
    """Random images of four bands."""

    key, task, source, fingerprint = "toy", "ms", "simulated", "0" * 64

    def __init__(self) -> None:
        self.sensor = sensors.get("qb")
        self.notices = ["made for tests"]

    @classmethod
    def open(cls, root=None, source="auto"):
        if os.environ.get("TOY_BROKEN"):
            raise DatasetError("toy.h5 is truncated; download it again")
        return cls()

    def split(self, name):
        self.check_split(name)
        sizes = {"train": (12, 32, 0), "valid": (2, 32, 100), "reduced": (2, 96, 200), "full": (1, 96, 300)}
        count, side, first = sizes[name]
        return _Patches(count, side, first, name != "full")


@methods.register("toy-net", tasks={"ms"}, year=2024, paper="none", title="Toy net", family="deep")
class ToyNet(Network):
    """One convolution of the residual."""

    def __init__(self, *, sensor, guide_bands=1):
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.conv = torch.nn.Conv2d(sensor.count + guide_bands, sensor.count, 3, padding=1)

    def fuse(self, ms, lms, guide):
        time.sleep(float(os.environ.get("TOY_SLEEP", "0")) if self.training else 0)
        return lms + 0.1 * self.conv(torch.cat([lms, guide], 1))


@methods.register("toy-copy", tasks={"ms"}, year=2024, paper="none", title="Toy copy", family="interpolation")
class ToyCopy(Method):
    """Returns lms."""

    def forward(self, ms, lms, guide):
        return lms


@methods.register("toy-raises", tasks={"ms"}, year=2024, paper="none", title="Toy that raises", family="interpolation")
class ToyRaises(Method):
    """Raises in forward."""

    def forward(self, ms, lms, guide):
        raise RuntimeError("this method always raises")


@methods.register("toy-nan", tasks={"ms"}, year=2024, paper="none", title="Toy of NaN", family="interpolation")
class ToyNan(Method):
    """Returns NaN."""

    def forward(self, ms, lms, guide):
        return lms * float("nan")


@methods.register("toy-dies", tasks={"ms"}, year=2024, paper="none", title="Toy that dies", family="interpolation")
class ToyDies(Method):
    """Is killed as by the system when memory runs out."""

    def forward(self, ms, lms, guide):
        os.kill(os.getpid(), signal.SIGKILL)
        return lms


@methods.register("toy-diverges", tasks={"ms"}, year=2024, paper="none", title="Toy that diverges", family="deep")
class ToyDiverges(ToyNet):
    """Its loss becomes NaN at the third step."""

    def fuse(self, ms, lms, guide):
        self.calls = getattr(self, "calls", 0) + self.training
        out = super().fuse(ms, lms, guide)
        return out * float("nan") if self.training and self.calls > 2 else out


@methods.register("toy-unbuildable", tasks={"ms"}, year=2024, paper="none", title="Toy that cannot be built", family="deep")
class ToyUnbuildable(Method):
    """Raises in its constructor."""

    def __init__(self, *, sensor, guide_bands=1):
        raise ValueError(f"no such file: {Path('missing.bin')}")
