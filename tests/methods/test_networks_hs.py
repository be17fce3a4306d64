"""HyperPNN, HSpeNet, Hyper-DSNet and DHP-DARN: published weights, weights by formula, sizes, the contract."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.methods.formula_weights import values
from waldbench import methods
from waldbench.imaging import sensors
from waldbench.imaging.filters import mtf
from waldbench.methods.deep._deep_prior import Degradation, HourGlass, fit_prior
from waldbench.methods.deep.hyper_dsnet import EdgeChannels

SHARED = Path(__file__).parents[2] / "../shared"
GOLDEN = Path(__file__).parents[1] / "golden/deep"
# Name of the golden vectors by formula, of those with published weights, and of the weight file.
NAMES = {
    "hyperpnn": ("hyperpnn", "hyperpnn", "HyperPNN"),
    "hspenet": ("hspenet", "hspenet", "HSpeNet"),
    "hyper-dsnet": ("hyperdsnet", "hyperdsnet", "HyperDSNet"),
    "dhp-darn": ("darn", "dhpdarn", "DHPDarn"),
}
KEYS = tuple(NAMES)
# Its edges are rounded to 256 levels: a change of rounding is a change of level.
SMOOTH = tuple(key for key in KEYS if key != "hyper-dsnet")


def network(key, count=4, ratio=4, guide_bands=1, **options):
    torch.manual_seed(0)
    return methods.create(key, sensor=sensors.generic(count, ratio=ratio), guide_bands=guide_bands, **options).eval()


def images(count=4, height=4, width=5, ratio=4, guide_bands=1, batch=1):
    generator = torch.Generator().manual_seed(count + height + width)
    shapes = (count, height, width), (count, ratio * height, ratio * width), (guide_bands, ratio * height, ratio * width)
    return [2047.0 * torch.rand(batch, *shape, generator=generator) for shape in shapes]


def tensors(path):
    with np.load(path) as file:
        return [torch.from_numpy(file[name]) for name in ("ms", "lms", "pan")]


@pytest.mark.parametrize("key", NAMES)
def test_weights_by_formula_give_the_released_networks_image(key):
    net = network(key, 8)
    own = {net._official_name(name): value for name, value in net.state_dict().items()}
    with np.load(GOLDEN / f"formula_{NAMES[key][0]}_B8.npz") as file:
        names, rules, c, expected = file["names"], file["rules"], float(file["c"]), torch.from_numpy(file["fused"])
    pairs = enumerate(zip(names, rules, strict=True))
    net.load_official({name: own[name] if rule == "fixed" else values(k, own[name].shape, rule, c) for k, (name, rule) in pairs})
    with torch.inference_mode():
        fused = net.fuse(*tensors(GOLDEN / "scene_B8.npz"))
    torch.testing.assert_close(fused[..., ::3, ::3], expected, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("key", NAMES)
def test_published_weights_give_the_published_image(key):
    _, golden, name = NAMES[key]
    weights, golden = SHARED / f"weights/hs/{name}-PRISMA.tar", SHARED / f"golden/deep/{golden}_PRISMA.npz"
    if not weights.exists() or not golden.exists():
        pytest.skip(f"needs {weights.name} and {golden.name}, which may not be redistributed")
    net = network(key, 159, ratio=6)
    net.load_official(torch.load(weights, map_location="cpu", weights_only=True))
    with np.load(golden) as file, torch.inference_mode():
        fused, expected = net.fuse(*tensors(golden)), torch.from_numpy(file["fused"])
    torch.testing.assert_close(fused, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("key", "count", "parameters", "millions"),
    [
        ("hyperpnn", 8, 120_776, 7_889),
        ("hyperpnn", 159, 140_255, 9_156),
        ("hspenet", 8, 89_224, 5_831),
        ("hspenet", 159, 123_199, 8_048),
        # The published counts, 41,210 and 271,359, include 72 taps of fixed filters.
        ("hyper-dsnet", 8, 41_210 - 72, 2_690),
        ("hyper-dsnet", 159, 271_359 - 72, 16_940),
        ("dhp-darn", 8, 307_868, 19_986),
        ("dhp-darn", 159, 481_971, 31_386),
    ],
)
def test_published_size(key, count, parameters, millions):
    net = network(key, count).to("meta")
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(*(image.to("meta") for image in images(count, 64, 64)))
    assert counter.get_total_flops() / 2e6 == pytest.approx(millions, rel=5e-4)


@pytest.mark.parametrize("count", [1, 3, 102, 191])
@pytest.mark.parametrize("key", KEYS)
def test_any_band_count(key, count):
    scene = images(count)
    with torch.inference_mode():
        fused = network(key, count)(*scene)
    assert fused.shape == scene[1].shape
    assert fused.isfinite().all()


@pytest.mark.parametrize(("height", "width", "ratio"), [(9, 11, 3), (5, 20, 6), (7, 3, 5)])
@pytest.mark.parametrize("key", NAMES)
def test_any_size_ratio_and_guide_bands(key, height, width, ratio):
    scene = images(4, height, width, ratio, guide_bands=2, batch=2)
    net = network(key, 4, ratio, guide_bands=2)
    with torch.inference_mode():
        fused, again, swapped = net(*scene), net(*scene), net(*scene[:2], scene[2] * torch.tensor([0.0, 1.0])[:, None, None])
    assert fused.shape == scene[1].shape
    assert torch.equal(fused, again)
    assert not torch.allclose(fused, swapped, rtol=1e-4)


@pytest.mark.parametrize("key", KEYS)
def test_gradient_reaches_every_parameter(key):
    net, scene = network(key), images(4, 8, 8, batch=2)
    net(*scene).square().mean().backward()
    assert not [name for name, value in net.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]


@pytest.mark.parametrize("key", KEYS)
def test_a_batch_equals_its_images(key):
    net, scene = network(key).double(), [image.double() for image in images(4, 6, 7, batch=3)]
    with torch.inference_mode():
        alone = [net(*(image[index : index + 1] for image in scene)) for index in range(3)]
        torch.testing.assert_close(net(*scene), torch.cat(alone), rtol=1e-10, atol=1e-7)


@pytest.mark.parametrize("key", SMOOTH)
def test_single_precision_agrees_with_double(key):
    net, scene = network(key, 8), images(8, 8, 8)
    with torch.inference_mode():
        single = net(*scene)
        double = net.double()(*(image.double() for image in scene))
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=2e-5 * 2047)


@pytest.mark.parametrize("key", KEYS)
def test_a_guide_of_zeros_is_allowed(key):
    ms, lms, guide = images()
    with torch.inference_mode():
        assert network(key)(ms, lms, torch.zeros_like(guide)).isfinite().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", KEYS)
def test_cuda_agrees_with_cpu(key):
    net, scene = network(key).double(), [image.double() for image in images(4, 9, 11, batch=2)]
    with torch.inference_mode():
        expected = net(*scene)
        actual = net.cuda()(*(image.cuda() for image in scene))
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-8, atol=1e-6)


def test_edge_channels_of_a_step():
    guide = torch.full((1, 1, 8, 8), 0.5)
    guide[..., 4:] = 1.0
    itself, down, right, roberts, prewitt, sobel, laplacian = EdgeChannels()(guide)[0, :, 4]
    torch.testing.assert_close(itself, guide[0, 0, 4])
    assert not down.any()
    torch.testing.assert_close(right, torch.tensor([0, 0, 0, 0, 0.5, 0, 0, 0]))
    for edges in (roberts, prewitt, sobel):
        assert edges[3:5].min() > 0
        assert not edges[[0, 1, 6, 7]].any()
    assert laplacian[[2, 5]].min() > 0


def test_the_deep_prior_has_its_published_size():
    for count, expected in ((8, 2_254_916), (159, 2_448_347)):
        assert sum(value.numel() for value in HourGlass(count).parameters()) == expected


@pytest.mark.parametrize("sensor", [sensors.get("wv3"), sensors.generic(8, ratio=6)])
def test_the_prior_is_degraded_as_by_the_sensor(sensor):
    _, x, _ = images(8, 9, 11, sensor.ratio)
    torch.testing.assert_close(Degradation(sensor, x)(x), mtf(x, sensor, step=sensor.ratio), rtol=1e-4, atol=0.05)


def test_the_prior_is_fitted_to_every_image_whatever_the_mode():
    sensor = sensors.generic(2)
    torch.manual_seed(0)
    ms = torch.rand(2, 2, 8, 9)
    short = fit_prior(ms, (32, 36), sensor, 1)
    with torch.inference_mode():
        long = fit_prior(ms, (32, 36), sensor, 12)
    torch.testing.assert_close(fit_prior(ms[1:], (32, 36), sensor, 1), short[1:])
    assert not long.requires_grad
    errors = [(mtf(image, sensor, step=4) - ms).abs().mean() for image in (short, long)]
    assert errors[1] < 0.7 * errors[0]


def test_dhp_darn_adds_its_details_to_the_prior_it_is_told():
    scene = images(2, 8, 8)
    results = [network("dhp-darn", 2, prior=prior, iterations=2)(*scene) for prior in ("lms", "dhp")]
    assert not torch.allclose(*results)
    with pytest.raises(ValueError, match="expected one of lms, dhp"):
        network("dhp-darn", prior="bicubic")
    with pytest.raises(ValueError, match="at least 1"):
        network("dhp-darn", iterations=0)
