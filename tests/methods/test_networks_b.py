"""LAGConv, AWFLN, MMAPP, MUCNN, SpanConv and TDNet: against formula goldens, published sizes and the contract."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.methods import formula_weights
from waldbench import methods
from waldbench.imaging import sensors
from waldbench.methods.deep._adaptive_layers import LocalAdaptiveConvolution
from waldbench.methods.deep.awfln import AdaptiveFeatureLearning
from waldbench.methods.deep.mmapp import MixedAdaptiveConvolution

GOLDEN = Path(__file__).parents[1] / "golden" / "deep"
SHARED = Path(__file__).parents[2] / "../shared/golden/deep"
KEYS = ("awfln", "lagconv", "mmapp", "mucnn", "spanconv", "tdnet")
ANY_RATIO = ("awfln", "lagconv", "spanconv")
FORMULA = ("awfln_B4", "awfln_B8", "lagconv_B4", "lagconv_B8", "mmapp_B8", "mucnn_B8", "spanconv_B8", "tdnet_B8")
STAGES = {"mmapp": ("out1", "out2", "ms_u4", "fused"), "mucnn": ("o3", "o4", "fused"), "tdnet": ("o1", "fused")}
# Registered because the released networks count them, but no path leads from them to the final image.
WITHOUT_PATH = re.compile(r"(.*\.)?unused\..*|heads\.[01]\..*|to_(low|half)\.(weight|bias)")
# A constant added to every key of a window leaves its softmax: the true gradient is zero.
CANCELLED = re.compile(r".*\.position\.bias")
# On CPUs, weight gradients of dilated bfloat16 convolutions are NaN where channels come last in memory (torch 2.13, oneDNN).
DILATED = re.compile(r"(wide|narrow)\.branches\.[12]\.weight")
ADAPTIVE = (AdaptiveFeatureLearning, LocalAdaptiveConvolution, MixedAdaptiveConvolution)


def network(key, count=8, guide_bands=1, ratio=4):
    torch.manual_seed(0)
    return methods.create(key, sensor=sensors.generic(count, ratio=ratio), guide_bands=guide_bands).eval()


def scene(count=8, height=9, width=11, guide_bands=1, batch=1, ratio=4):
    draw = torch.Generator().manual_seed(count + height)
    ms = torch.rand(batch, count, height, width, generator=draw, device="cpu") * 2047
    guide = torch.rand(batch, guide_bands, ratio * height, ratio * width, generator=draw, device="cpu") * 2047
    return ms, torch.nn.functional.interpolate(ms, scale_factor=ratio, mode="bilinear"), guide


def formula_network(name, rules, scale):
    key, bands = name.split("_B")
    net = network(key, int(bands))
    formula_weights.fill(net, rules, scale)
    return net


def outputs(net, images):
    key = net.card.key
    with torch.inference_mode():
        found = net.stages(*images) if key in STAGES else (net.fuse(*images),)
    return dict(zip(STAGES.get(key, ("fused",)), found, strict=True))


def tensors(path, names):
    with np.load(path) as file:
        return [torch.from_numpy(file[name]) for name in names]


@pytest.mark.parametrize("name", FORMULA)
def test_every_third_pixel_of_the_formula_golden(name):
    with np.load(GOLDEN / f"formula_{name}.npz") as file:
        golden = dict(file)
    net = formula_network(name, golden["rules"].tolist(), float(golden["c"]))
    found = outputs(net, tensors(GOLDEN / f"scene_{name[-2:]}.npz", ("ms", "lms", "pan")))
    for key, value in found.items():
        expected = torch.from_numpy(golden[key])
        torch.testing.assert_close(
            value[..., ::3, ::3], expected, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}"
        )


@pytest.mark.skipif(not SHARED.exists(), reason="the full golden vectors lie in ../shared/golden/deep, outside the project")
@pytest.mark.parametrize("name", FORMULA)
def test_every_pixel_of_the_formula_golden(name):
    entry = json.loads((SHARED / "FORMULA_GOLDENS.json").read_text())[f"formula_{name}"]
    _, shapes, rules = zip(*entry["params"], strict=True)
    net = formula_network(name, rules, entry["c"])
    assert [list(parameter.shape) for parameter in net.parameters()] == list(shapes)
    path = SHARED / f"formula_{name}.npz"
    found = outputs(net, tensors(path, ("ms", "lms", "pan")))
    for value, expected in zip(found.values(), tensors(path, found), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("key", ["spanconv", "tdnet"])
def test_released_names_lead_to_the_same_layers(key):
    with np.load(GOLDEN / f"formula_{key}_B8.npz") as file:
        names, rules, scale = file["names"].tolist(), file["rules"].tolist(), float(file["c"])
    expected = formula_network(f"{key}_B8", rules, scale).state_dict()
    # The released weight file of SpanConv has another name for the middle than its code.
    released = {name.replace("belly_conv", "res_block"): value for name, value in zip(names, expected.values(), strict=True)}
    net = network(key)
    net.load_official(released)
    assert all(torch.equal(value, expected[name]) for name, value in net.state_dict().items())


def test_fuse_is_the_last_stage():
    for key in STAGES:
        net, images = network(key, 4), [image / 2047 for image in scene(4, 4, 5)]
        with torch.inference_mode():
            assert torch.equal(net.fuse(*images), net.stages(*images)[-1])


# Parameters as published; MACs of the released networks in millions.
PUBLISHED = [
    ("awfln", 8, 174_383, {64: 667.3, 256: 10_677}),
    ("awfln", 4, 162_419, {256: 10_436}),
    ("lagconv", 8, 151_397, {64: 525.3, 256: 8_404}),
    ("lagconv", 4, 148_457, {256: 8_232}),
    ("mmapp", 8, 951_591, {64: 738.2, 256: 11_810}),
    ("mmapp", 4, 840_587, {64: 612.8}),
    ("mucnn", 8, 2_320_460, {64: 1_744, 256: 27_910}),
    ("mucnn", 4, 1_362_832, {256: 20_934}),
    ("spanconv", 8, 16_264, {64: 63.0, 256: 1_008}),
    ("spanconv", 4, 15_504, {256: 961}),
    ("tdnet", 8, 545_842, {64: 1_399, 256: 22_387}),
    ("tdnet", 4, 486_854, {256: 19_985}),
]


@pytest.mark.parametrize(("key", "count", "parameters", "products"), PUBLISHED)
def test_published_size(key, count, parameters, products):
    net = network(key, count)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    for side, millions in products.items():
        assert macs(net, side) / 1e6 == pytest.approx(millions, rel=5e-4)


def macs(net, side):
    """MACs counted without computing them, less those of the zeros between image rows (see the cards)."""
    net = net.to("meta")
    between_rows = []

    def note(layer, arguments, _):
        batch, _, height, width = arguments[0].shape
        surplus = batch * (height + 1) * (width + 1) - (width + 2) - batch * height * width
        between_rows.append(layer.weight.numel() * surplus)

    hooks = [layer.register_forward_hook(note) for layer in net.modules() if isinstance(layer, ADAPTIVE)]
    images = [image.to("meta") for image in scene(net.sensor.count, side // 4, side // 4)]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(*images)
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops() / 2 - sum(between_rows)


@pytest.mark.parametrize("count", [1, 3, 13, 102])
@pytest.mark.parametrize("key", KEYS)
def test_any_band_count(key, count):
    # MUCNN has 150 million parameters at 102 bands: its shapes are computed, not its numbers.
    device = "meta" if (key, count) == ("mucnn", 102) else "cpu"
    with torch.inference_mode(), torch.device(device):
        images = [image.to(device) for image in scene(count, 4, 4)]
        fused = network(key, count)(*images)
    assert fused.shape == images[1].shape
    assert fused.device.type == "meta" or fused.isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(9, 11), (5, 20), (4, 4)])
@pytest.mark.parametrize("key", KEYS)
def test_any_size_and_a_guide_of_two_bands(key, height, width):
    images = scene(4, height, width, guide_bands=2, batch=2)
    net = network(key, 4, guide_bands=2)
    with torch.inference_mode():
        fused = net(*images)
        swapped = net(*images[:2], images[2].flip(1))
    assert fused.shape == images[1].shape
    assert not torch.allclose(fused, swapped, rtol=1e-4)


@pytest.mark.parametrize("ratio", [2, 3, 6])
@pytest.mark.parametrize("key", ANY_RATIO)
def test_other_ratios(key, ratio):
    images = scene(4, 5, 7, ratio=ratio)
    with torch.inference_mode():
        fused = network(key, 4, ratio=ratio)(*images)
    assert fused.shape == images[1].shape


@pytest.mark.parametrize("key", sorted(set(KEYS) - set(ANY_RATIO)))
def test_networks_of_ratio_four_say_so(key):
    sensor = sensors.generic(4, ratio=6)
    reason = methods.supports(key, sensor, "hs")
    assert "ratio 4" in reason
    assert methods.supports(key, sensors.get("wv3"), "ms") is None
    with pytest.raises(ValueError, match=re.escape(reason)):
        methods.create(key, sensor=sensor)


def test_mucnn_refuses_bands_that_would_not_fit_into_memory():
    assert "up to 128 bands" in methods.supports("mucnn", sensors.generic(191), "hs")
    assert methods.supports("mucnn", sensors.generic(102), "hs") is None
    with pytest.raises(ValueError, match="has 191"):
        network("mucnn", 191)


@pytest.mark.parametrize("key", KEYS)
def test_gradient_reaches_every_parameter_with_a_path(key):
    net = network(key, 4).train()
    ms, lms, guide = scene(4, 8, 8, batch=2)
    (net(ms, lms, guide) - lms).abs().mean().backward()
    parameters = dict(net.named_parameters())
    without_path = {name for name in parameters if WITHOUT_PATH.fullmatch(name)}
    assert {name for name, value in parameters.items() if value.grad is None} == without_path
    trained = [name for name in parameters if name not in without_path and not CANCELLED.fullmatch(name)]
    assert [name for name in trained if not parameters[name].grad.abs().sum() > 0] == []


@pytest.mark.parametrize("key", KEYS)
def test_the_same_call_gives_the_same_numbers(key):
    images = scene(4, 8, 9)
    with torch.inference_mode():
        assert torch.equal(network(key, 4)(*images), network(key, 4)(*images))


@pytest.mark.parametrize("key", KEYS)
def test_a_batch_equals_its_images(key):
    net = network(key, 4).double()
    images = [image.double() for image in scene(4, 6, 7, batch=3)]
    with torch.inference_mode():
        alone = [net(*(image[index : index + 1] for image in images)) for index in range(3)]
        torch.testing.assert_close(net(*images), torch.cat(alone), rtol=1e-10, atol=1e-7)


@pytest.mark.parametrize("key", KEYS)
def test_single_precision_agrees_with_double(key):
    net, images = network(key, 4), scene(4, 8, 8)
    with torch.inference_mode():
        single = net(*images)
        double = net.double()(*(image.double() for image in images))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=2e-5 * 2047)


@pytest.mark.parametrize("key", KEYS)
def test_mixed_precision(key):
    net, (ms, lms, guide) = network(key, 4), scene(4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        fused = net(ms, lms, guide)
    assert (fused.float() - net(ms, lms, guide)).abs().mean() < 0.02 * 2047
    (fused.float() - lms).abs().mean().backward()
    gradients = {name: value.grad for name, value in net.named_parameters() if value.grad is not None}
    assert {name for name, value in gradients.items() if not value.isfinite().all()} <= set(filter(DILATED.fullmatch, gradients))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", KEYS)
def test_cuda_agrees_with_cpu(key):
    net = network(key, 4).double()
    images = [image.double() for image in scene(4, 17, 9, batch=2)]
    expected = net(*images)
    actual = net.cuda()(*(image.cuda() for image in images))
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("key", ["mmapp"])
def test_small_parts_change_nothing(key, monkeypatch):
    net = network(key, 4).double()
    images = [image.double() for image in scene(4, 8, 8)]
    leaf = images[0].requires_grad_()

    def result():
        fused = net(*images)
        (gradient,) = torch.autograd.grad(fused.square().mean(), leaf)
        return torch.stack([fused.sum(), gradient.sum()])

    whole = result()
    monkeypatch.setattr("waldbench.methods.deep._parts.CPU_BUDGET", 5000)
    torch.testing.assert_close(result(), whole, rtol=1e-10, atol=1e-10)
