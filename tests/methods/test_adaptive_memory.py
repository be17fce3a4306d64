"""Networks whose kernels differ from pixel to pixel must not unfold large images: 9 C values a pixel would be gigabytes."""

import subprocess
import sys

import pytest

from tests.bench.conftest import ROOT

MEASURE = """
import sys, torch
from waldbench import methods
from waldbench.bench.cost.memory import peak_mib
from waldbench.bench.cost.summary import example
from waldbench.imaging import sensors
torch.set_num_threads(1)
method = methods.create(sys.argv[1], sensor=sensors.get("wv3")).eval()
images = example(method, 512, torch.device("cpu"))
with torch.inference_mode():
    print(peak_mib(lambda: method(*images), torch.device("cpu")))
"""


# A process of its own each: memory that an earlier call left behind would hide the rise.
@pytest.mark.parametrize("key", ["awfln", "cf2n", "cf2n-lite", "lagconv", "mmapp"])
def test_a_forward_pass_of_512_x_512_x_8_stays_below_2_gigabytes(key):
    found = subprocess.run([sys.executable, "-c", MEASURE, key], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    if found.strip() == "None":
        pytest.skip("this system does not tell the peak memory of a process")
    # The fused image alone takes 8 MiB: less would mean that nothing was measured.
    assert 8 < float(found) < 2000
