"""FusionNet, PNN and CF2N under the contract of a network, and the published weights of the first two."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from waldbench import methods
from waldbench.imaging import sensors

SHARED = Path(__file__).parents[2] / "../shared"
KEYS = ("fusionnet", "pnn", "cf2n", "cf2n-lite")


def scene(count, height, width, guide_bands=1, batch=1, scale=2047.0):
    generator = torch.Generator().manual_seed(count + height + width)
    lms = torch.rand(batch, count, height, width, generator=generator) * scale
    guide = torch.rand(batch, guide_bands, height, width, generator=generator) * scale
    return lms[..., 2::4, 2::4], lms, guide


def network(key, count=4, guide_bands=1, **options):
    torch.manual_seed(0)
    return methods.create(key, sensor=sensors.generic(count), guide_bands=guide_bands, **options)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("count", [1, 3, 4, 8, 13, 102])
def test_any_band_count(key, count):
    ms, lms, guide = scene(count, 16, 12)
    with torch.inference_mode():
        fused = network(key, count)(ms, lms, guide)
    assert fused.shape == lms.shape
    assert fused.isfinite().all()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("size", [(63, 63), (64, 40), (9, 6)])
@pytest.mark.parametrize("guide_bands", [1, 2])
def test_any_size_and_a_guide_of_two_channels(key, size, guide_bands):
    ms, lms, guide = scene(4, *size, guide_bands=guide_bands, batch=2)
    with torch.inference_mode():
        fused = network(key, 4, guide_bands)(ms, lms, guide)
    assert fused.shape == (2, 4, *size)


@pytest.mark.parametrize("key", KEYS)
def test_every_guide_channel_matters(key):
    ms, lms, guide = scene(4, 16, 16, guide_bands=2)
    net = network(key, 4, 2)
    with torch.inference_mode():
        before = net(ms, lms, guide)
        for channel in range(2):
            changed = guide.clone()
            changed[:, channel] = 0
            assert not torch.allclose(net(ms, lms, changed), before, rtol=1e-4)


@pytest.mark.parametrize("key", KEYS)
def test_gradient_reaches_every_parameter(key):
    ms, lms, guide = scene(4, 32, 32, batch=2)
    net = network(key)
    net(ms, lms, guide).square().mean().backward()
    silent = [name for name, value in net.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert not silent


@pytest.mark.parametrize("key", KEYS)
def test_a_batch_equals_its_images(key):
    ms, lms, guide = scene(4, 24, 20, batch=3)
    net = network(key).double()
    ms, lms, guide = ms.double(), lms.double(), guide.double()
    with torch.inference_mode():
        together = net(ms, lms, guide)
        for image in range(3):
            alone = net(ms[image : image + 1], lms[image : image + 1], guide[image : image + 1])
            torch.testing.assert_close(together[image : image + 1], alone, rtol=1e-10, atol=1e-7)


@pytest.mark.parametrize("key", KEYS)
def test_training_steps_repeat_exactly(key):
    def train():
        ms, lms, guide = scene(4, 16, 16, batch=2)
        net = network(key)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            (net(ms, lms, guide) - lms * 0.9).abs().mean().backward()
            optimizer.step()
        return torch.cat([value.detach().flatten() for value in net.parameters()])

    assert torch.equal(train(), train())


@pytest.mark.parametrize("key", KEYS)
def test_single_precision_agrees_with_double(key):
    ms, lms, guide = scene(8, 32, 32)
    net = network(key, 8)
    with torch.inference_mode():
        single = net(ms, lms, guide)
        double = net.double()(ms.double(), lms.double(), guide.double())
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2e-5 * 2047)


@pytest.mark.parametrize("key", KEYS)
def test_autocast(key):
    ms, lms, guide = scene(4, 16, 16)
    net = network(key)
    with torch.autocast("cpu", torch.bfloat16):
        fused = net(ms, lms, guide)
        (fused.float() - lms).abs().mean().backward()
    reference = net(ms, lms, guide)
    assert (fused.float() - reference).abs().mean() < 0.02 * 2047
    assert all(value.grad.isfinite().all() for value in net.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", KEYS)
def test_cuda_agrees_with_cpu(key):
    ms, lms, guide = scene(4, 33, 32, batch=2)
    net = network(key).double()
    images = [image.double() for image in (ms, lms, guide)]
    expected = torch.autograd.grad(net(*images).square().mean(), list(net.parameters()))
    net.cuda()
    actual = torch.autograd.grad(net(*(image.cuda() for image in images)).square().mean(), list(net.parameters()))
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-6, atol=1e-6 * float(other.abs().max()))


@pytest.mark.parametrize(
    ("key", "count", "parameters", "millions"),
    [("fusionnet", 8, 78_632, 320.9), ("fusionnet", 4, 76_324, None), ("pnn", 8, 104_360, 504.8), ("pnn", 4, 80_420, None)],
)
def test_parameters_and_products(key, count, parameters, millions):
    net = network(key, count)
    assert sum(value.numel() for value in net.parameters()) == parameters
    if millions is not None:
        assert products(net) / 1e6 == pytest.approx(millions, abs=0.05)


def products(net, size=64):
    """Multiply-accumulate operations of convolutions and matrix products, counted without computing them."""
    net = net.to("meta")
    ms, lms, guide = (image.to("meta") for image in scene(net.sensor.count, size, size, net.guide_bands))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(ms, lms, guide)
    return counter.get_total_flops() / 2


@pytest.mark.parametrize(("key", "sensor"), [(key, sensor) for key in ("fusionnet", "pnn") for sensor in ("wv3", "qb")])
def test_published_weights_give_the_published_output(key, sensor):
    golden, weights = (
        SHARED / "golden/deep" / f"{key}_{sensor.upper()}.npz",
        SHARED / "weights/dlpan" / sensor.upper() / f"{key}.pth",
    )
    if not golden.exists() or not weights.exists():
        pytest.skip(f"needs {golden.name} and {weights.name}, which may not be redistributed")
    net = methods.create(key, sensor=sensors.get(sensor))
    net.load_official(torch.load(weights, map_location="cpu", weights_only=True))
    reference = {name: torch.from_numpy(value) for name, value in np.load(golden).items()}
    with torch.inference_mode():
        fused = net.fuse(reference["ms"], reference["lms"], reference["pan"])
    torch.testing.assert_close(fused, reference["fused"], rtol=1e-4, atol=1e-5)


def test_weights_of_another_sensor_are_refused():
    state = network("pnn", 8).state_dict()
    with pytest.raises(ValueError, match="sensor with 4 bands"):
        network("pnn", 4).load_official(state)


def test_pnn_margin_is_its_padding():
    net = network("pnn")
    ms, lms, guide = scene(4, 40, 40)
    changed = lms.clone()
    changed[..., 0, 0] += 100
    with torch.inference_mode():
        moved = (net(ms, changed, guide) - net(ms, lms, guide)).abs().amax((0, 1)) > 0
    assert moved[: net.loss_margin + 1, : net.loss_margin + 1].all()
    assert not moved[net.loss_margin + 1 :].any()
