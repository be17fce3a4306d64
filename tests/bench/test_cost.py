from __future__ import annotations

import pytest
import torch

import methods
from bench.cost import count, example, latency, measure
from imaging import sensors
from methods.base import Method


class _Net(Method):
    def __init__(self, layer):
        super().__init__(sensor=sensors.get("qb"))
        self.layer = layer

    def forward(self, ms, lms, guide):
        return self.layer(lms)


@pytest.mark.parametrize(
    ("layer", "macs", "elements"),
    [
        (torch.nn.Conv2d(4, 4, 3, padding=1, bias=False), 4 * 4 * 9 * 64 * 64, 0),
        (torch.nn.Conv2d(4, 8, 1, bias=False), 4 * 8 * 64 * 64, 0),
        (torch.nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), 4 * 9 * 64 * 64, 0),
        (torch.nn.ReLU(), 0, 4 * 64 * 64),
        (torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Sigmoid()), 0, 2 * 4 * 64 * 64),
        (torch.nn.Linear(64, 10, bias=False), 4 * 64 * 64 * 10, 0),
    ],
)
def test_hand_counts(layer, macs, elements):
    assert count(_Net(layer), 64) == (macs, 2 * macs + elements)


def test_example_rounds_up_to_the_ratio():
    method = methods.create("toy-copy", sensor=sensors.get("qb").with_ratio(6))
    ms, lms, guide = example(method, 64, torch.device("cpu"))
    assert ms.shape == (1, 4, 11, 11)
    assert lms.shape == (1, 4, 66, 66)
    assert guide.shape == (1, 1, 66, 66)


def test_measure_says_nothing_about_a_missing_gpu():
    found = measure(methods.create("toy-net", sensor=sensors.get("qb")), torch.device("cpu"))
    assert found["parameters"] == 4 * 5 * 9 + 4
    assert found["cuda_ms_256"] is None
    assert found["cuda_device"] is None
    assert found["cpu_ms_256"] > 0
    assert found["macs_256"] == 16 * found["macs_64"] == 5 * 4 * 9 * 256 * 256
    assert found["peak_mib_512"] is None or found["peak_mib_512"] > 4 * 512 * 512 * 4 / 2**20


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_latency_is_measured_on_the_card():
    device = torch.device("cuda")
    found = measure(methods.create("toy-net", sensor=sensors.get("qb")), device)
    assert found["cuda_ms_256"] > 0
    assert found["cuda_device"] == torch.cuda.get_device_name(device)


def test_latency_is_positive():
    median, iqr = latency(methods.create("toy-copy", sensor=sensors.get("qb")), 64, torch.device("cpu"))
    assert median > 0
    assert iqr >= 0
