"""Operations against hand counts: small networks, single operators, and the published size of every network."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.bench.baselines import PUBLISHED, printed
from waldbench import methods
from waldbench.bench.cost.flops import OperationCounter
from waldbench.bench.cost.summary import count, parameters
from waldbench.imaging import sensors

N = 64 * 64


class _Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x):
        return x + self.second(torch.relu(self.first(x)))


class _Attention(nn.Module):
    """Every row attends to every row: two products of (16, 48) and (48, 16) or (16, 16)."""

    def forward(self, x):
        return torch.softmax(x @ x.mT, -1) @ x


def counted(layer, *images):
    with torch.inference_mode(), OperationCounter() as counter:
        layer(*images)
    return counter.macs, counter.flops


@pytest.mark.parametrize(
    ("network", "shape", "macs", "others"),
    [
        # SRCNN-like: 9-1-5 convolutions; a ReLU behind the first two.
        (
            nn.Sequential(
                nn.Conv2d(4, 64, 9, padding=4), nn.ReLU(), nn.Conv2d(64, 32, 1), nn.ReLU(), nn.Conv2d(32, 4, 5, padding=2)
            ),
            (1, 4, 64, 64),
            (81 * 4 * 64 + 64 * 32 + 25 * 32 * 4) * N,
            (64 + 32) * N,
        ),
        (_Residual(8), (2, 8, 64, 64), 2 * 2 * 8 * 8 * 9 * N, 2 * 2 * 8 * N),
        # Depthwise-separable with a stride of two.
        (
            nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False), nn.Conv2d(8, 16, 1, bias=False)),
            (1, 8, 64, 64),
            (8 * 9 + 8 * 16) * N // 4,
            0,
        ),
        # Transposed: every input pixel meets the whole kernel.
        (nn.ConvTranspose2d(4, 4, 8, stride=4, padding=2), (1, 4, 16, 16), 4 * 4 * 64 * 256, 0),
        # Perceptron: 2 layers and a batch normalisation with fixed statistics (scale and shift).
        (
            nn.Sequential(nn.Linear(48, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 8)).eval(),
            (10, 48),
            10 * (48 * 32 + 32 * 8),
            10 * 32 * 3,
        ),
        (_Attention(), (3, 16, 48), 3 * (16 * 16 * 48 * 2), 3 * 5 * 16 * 16),
    ],
)
def test_small_networks(network, shape, macs, others):
    assert counted(network, torch.rand(shape)) == (macs, 2 * macs + others)
    assert counted(network.to("meta"), torch.rand(shape, device="meta")) == (macs, 2 * macs + others)


A = torch.rand(2, 6, 6) + 6 * torch.eye(6)
TALL = torch.rand(2, 10, 4)
X = torch.rand(1, 3, 32, 32)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: X + X, X.numel()),
        (lambda: X.clamp(0, 1), 2 * X.numel()),
        (lambda: X.mean(), X.numel()),
        (lambda: X.var((2, 3)), 4 * X.numel()),
        (lambda: torch.maximum(X, X), X.numel()),
        (lambda: torch.max(X, 1), X.numel()),
        (lambda: torch.where(X > 0.5, X, 0.0), X.numel()),
        (lambda: X.permute(0, 2, 3, 1).contiguous().flatten()[5:].clone(), 0),
        (lambda: torch.arange(100).square() + 1, 0),
        (lambda: nn.functional.avg_pool2d(X, 4), X.numel()),
        (lambda: nn.functional.max_pool2d(X, 2), X.numel()),
        (lambda: torch.softmax(X, 1), 5 * X.numel()),
        (lambda: nn.functional.layer_norm(X, (32, 32)), 7 * X.numel()),
        (lambda: torch.complex(X, X) * torch.complex(X, X), 6 * X.numel()),
        (lambda: torch.fft.fft2(torch.complex(X, X)), 5 * X.numel() * math.log2(1024)),
        (lambda: torch.fft.rfft2(X), 2.5 * X.numel() * math.log2(1024)),
        (lambda: torch.fft.irfft2(torch.fft.rfft2(X)), 5 * X.numel() * math.log2(1024)),
        (lambda: torch.sort(X.flatten(1)), X.numel() * math.log2(3072)),
        (lambda: torch.linalg.eigh(A), 2 * 9 * 216),
        (lambda: torch.linalg.solve(A, torch.rand(2, 6, 3)), 2 * (2 / 3 * 216 + 2 * 36 * 3)),
        (lambda: torch.linalg.inv(A), 2 * 2 * 216),
        (lambda: torch.linalg.cholesky_ex(A @ A.mT)[0], 2 * 72 + 2 * 2 * 216),
        (lambda: torch.linalg.svd(TALL, full_matrices=False), 2 * (6 * 10 * 16 + 20 * 64)),
        (lambda: torch.linalg.svdvals(TALL), 2 * (6 * 10 * 16 + 20 * 64)),
        (lambda: torch.linalg.qr(TALL), 2 * (4 * 10 * 16 - 4 / 3 * 64)),
        (lambda: torch.linalg.lstsq(TALL, torch.rand(2, 10, 1)), 2 * (2 * 10 * 16 - 2 / 3 * 64) + 4 * 20 * 4),
        (lambda: TALL[0] @ torch.rand(4), 80),
        (lambda: torch.zeros(2, 10, 10).baddbmm_(TALL, TALL.mT), 2 * 2 * 100 * 4),
    ],
)
def test_operators(call, expected):
    with torch.inference_mode():
        assert counted(call)[1] == round(expected)


@pytest.mark.parametrize(("key", "bands", "size", "published"), PUBLISHED, ids=[f"{row[0]}-{row[1]}" for row in PUBLISHED])
def test_networks_cost_what_the_released_ones_do(key, bands, size, published):
    """Parameters exactly, MACs to the last printed digit."""
    method = methods.create(key, sensor=sensors.generic(bands), guide_bands=1).eval()
    if size is not None:
        assert parameters(method)["parameters"] == size
    for side, text in published.items():
        assert printed(count(method, side)[0], text) == text


@pytest.mark.parametrize("key", [key for key in methods.names("ms") if methods.card(key).family != "deep"])
def test_classic_methods_have_operations(key):
    method = methods.create(key, sensor=sensors.get("wv3")).eval()
    with torch.inference_mode():
        macs, flops = count(method, 64)
        assert (macs, flops) == count(method, 64)
    # EXP returns the interpolated image that it is given.
    assert (flops > 0) == (key != "exp")
    assert flops >= 2 * macs


@pytest.mark.parametrize("key", ["cf2n", "lagconv", "gppnn", "bdpn"])
def test_shapes_alone_give_the_count_of_computing(key):
    method = methods.create(key, sensor=sensors.get("wv3")).eval()
    assert count(method, 32)[0] == count(method.requires_grad_(False), 32)[0]
