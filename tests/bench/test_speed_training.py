"""CPU time of a training step whose batches come from an HDF5 file, beside one whose patches lie in memory; one thread."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest
import torch

from waldbench import methods
from waldbench.bench import protocol
from waldbench.bench.training.batches import Batches
from waldbench.bench.training.execution import Execution
from waldbench.bench.training.step import Stepper
from waldbench.datasets.base import Dataset, Split
from waldbench.datasets.hdf5 import ImageFile
from waldbench.imaging import Scene, sensors

PATCHES, STEPS = 512, 6
pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ("ms", "lms", "pan", "gt")


class FileSplit(Split):
    """Patches of one HDF5 file, as published files are stored."""

    def __init__(self, path):
        self.file = ImageFile(path)

    def __len__(self):
        return PATCHES

    def read(self, indices):
        return Scene(*(self.file.read(name, indices) for name in NAMES))


class FileDataset(Dataset):
    """The same file as every split."""

    key, task, source, fingerprint, notices = "speed", "ms", "simulated", "0" * 64, ()

    def __init__(self, path):
        self.sensor, self.path = sensors.get("wv3"), path

    def split(self, name):
        return FileSplit(self.path)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("speed") / "train.h5"
    draw = np.random.default_rng(0)
    with h5py.File(path, "w") as out:
        for name, bands, side in zip(NAMES, (8, 8, 1, 8), (16, 64, 64, 64), strict=True):
            out[name] = draw.integers(0, 2047, (PATCHES, bands, side, side)).astype(np.float64)
    return path


@pytest.fixture
def stepper(request, file, monkeypatch):
    if request.param == "file":
        monkeypatch.setattr("waldbench.bench.training.batches.MEMORY_BYTES", 0)
    fields = protocol.load("quick").to_dict() | {"patch": 64, "batch": 16}
    torch.manual_seed(0)
    method = methods.create("fusionnet", sensor=sensors.get("wv3"))
    built = Stepper(method, FileDataset(file), protocol.from_dict(fields, "speed"), 1, torch.device("cpu"), Execution())
    assert (built.batches.memory is None) == (request.param == "file")
    return built


def steps(stepper):
    with stepper.batches.ahead(0, STEPS) as stream:
        for number, batch in enumerate(stream):
            stepper.step(batch, number)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("stepper", ["memory", "file"], indirect=True)
def test_time_of_steps(benchmark, stepper):
    benchmark.group = f"{STEPS} training steps of FusionNet, 16 patches of 64x64x8"
    benchmark.pedantic(steps, (stepper,), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("stepper", ["memory", "file"], indirect=True)
def test_time_of_a_batch(benchmark, stepper: Stepper):
    batches: Batches = stepper.batches
    benchmark.group = "one batch of 16 patches of 64x64x8"
    benchmark(batches.batch, 3)
