from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tests.bench.conftest import ROOT
from waldbench import methods
from waldbench.bench.cost.latency import latency
from waldbench.bench.cost.memory import peak_mib
from waldbench.bench.cost.summary import example, measure, parameters
from waldbench.imaging import sensors


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


def test_latency_has_a_spread_and_puts_the_threads_back():
    before = torch.get_num_threads()
    seen = []
    found = latency(lambda: seen.append(torch.get_num_threads()), torch.device("cpu"), seconds=0.0, threads=before + 1)
    assert found.median_ms >= 0
    assert found.iqr_ms >= 0
    assert found.repeats == len(seen) - 1 == 3
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


def test_a_slow_call_needs_no_warm_up(monkeypatch):
    monkeypatch.setattr("waldbench.bench.cost.latency.SLOW_MS", 0.0)
    seen = []
    assert latency(lambda: seen.append(1), torch.device("cpu"), seconds=0).repeats == len(seen) == 3


def test_fixed_parameters_are_told_apart():
    method = methods.create("toy-net", sensor=sensors.get("qb"))
    method.conv.bias.requires_grad_(False)
    assert parameters(method) == {"parameters": 4 * 5 * 9 + 4, "parameters_fixed": 4}


FAULTS = """
import resource, torch
from waldbench.bench.cost.memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
keep_freed_memory()
faults()  # the heap grows a few times before it is large enough
print(before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc's allocator")
def test_kept_memory_is_not_fetched_again():
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    before, after = map(int, found.split())
    assert before > 10_000
    assert after < before / 10


def test_memory_of_a_call_is_seen():
    found = peak_mib(lambda: torch.ones(2**26), torch.device("cpu"))
    assert found is None or 200 < found < 320
