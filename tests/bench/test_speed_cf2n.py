"""Speed of CF2N against plain 3x3 convolutions with the same number of products, on one thread."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from waldbench import methods
from waldbench.imaging import sensors

# 46 convolutions 32 -> 32 do 1,736 M products at 64x64, CF2N 1,738 M.
LAYERS, WIDTH = 46, 32
pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = [(8, 32), (1, 64)]


def plain(batch, size):
    torch.manual_seed(0)
    net = nn.Sequential(*(nn.Conv2d(one, other, 3, padding=1) for one, other in pairwise([WIDTH] * (LAYERS + 1))))
    x = torch.rand(batch, WIDTH, size, size).contiguous(memory_format=torch.channels_last)
    return net, (x,)


def cf2n(batch, size):
    torch.manual_seed(0)
    lms, guide = torch.rand(batch, 8, size, size) * 2047, torch.rand(batch, 1, size, size) * 2047
    return methods.create("cf2n", sensor=sensors.get("wv3")), (lms[..., ::4, ::4], lms, guide)


def forward(net, images):
    with torch.inference_mode():
        return net(*images)


def step(net, images):
    net.zero_grad()
    net(*images).abs().mean().backward()


@pytest.mark.parametrize(("batch", "size"), SIZES)
@pytest.mark.parametrize("work", [forward, step])
@pytest.mark.parametrize("build", [plain, cf2n])
def test_time(benchmark, build, work, batch, size):
    net, images = build(batch, size)
    benchmark.group = f"{work.__name__} {batch}x{size}x{size}"
    benchmark.pedantic(work, (net, images), rounds=3, warmup_rounds=1)
