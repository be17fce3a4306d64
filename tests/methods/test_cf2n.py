"""CF2N's parts against independent formulas: adaptive convolution, wavelet, sizes, start."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.methods.test_deep import network, products, scene
from waldbench import methods
from waldbench.imaging import sensors
from waldbench.methods.deep import _adaptive
from waldbench.methods.deep._adaptive import adaptive_conv, shared_adaptive_conv
from waldbench.methods.deep._layers import AdaptiveWeightedFusion, DilatedDepthwise, haar, high_pass, inverse_haar
from waldbench.methods.deep.cf2n import CF2N


def unfolded(x, kernel, weight, bias):
    """The definition: unfold, multiply by the kernel (B, 1 or C, k*k, H, W), contract with the static weight."""
    batch, channels, height, width = x.shape
    size = weight.shape[-1]
    columns = functional.unfold(x, size, padding=size // 2).view(batch, channels, size**2, height, width)
    return torch.einsum("ocu,bcuhw->bohw", weight.flatten(2), columns * kernel) + bias[:, None, None]


def leaves(*shapes):
    torch.manual_seed(1)
    return [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def shared_case(size, batch=2, channels=3, outputs=2, height=5, width=4):
    inputs = leaves(
        (batch, channels, height, width), (batch, size**2, height, width), (outputs, channels, size, size), (outputs,)
    )
    return inputs, lambda x, kernel, weight, bias: unfolded(x, kernel[:, None], weight, bias)


def channel_case(size, batch=2, channels=3, outputs=2, height=5, width=4, codes=2):
    taps = size**2
    inputs = leaves(
        (batch, channels, height, width),
        (batch, codes, height, width),
        (taps * channels, codes, 1, 1),
        (taps * channels,),
        (outputs, channels, size, size),
        (outputs,),
    )

    def reference(x, code, expand, expand_bias, weight, bias):
        kernel = functional.conv2d(code, expand, expand_bias).view(batch, taps, channels, height, width).transpose(1, 2)
        return unfolded(x, kernel, weight, bias)

    return inputs, reference


CASES = [(shared_adaptive_conv, shared_case), (adaptive_conv, channel_case)]


@pytest.mark.parametrize(("function", "case"), CASES)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_adaptive_convolution_equals_its_definition(function, case, size):
    inputs, reference = case(size)
    actual, expected = function(*inputs), reference(*inputs)
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)
    outer = torch.randn_like(expected)
    for one, other in zip(torch.autograd.grad(actual, inputs, outer), torch.autograd.grad(expected, inputs, outer), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("function", "case"), CASES)
def test_adaptive_convolution_gradcheck(function, case):
    assert torch.autograd.gradcheck(function, case(3, batch=1, height=3, width=4)[0])


@pytest.mark.parametrize(("function", "case"), CASES)
def test_runs_do_not_change_the_result(function, case, monkeypatch):
    inputs, _ = case(3, batch=3, height=13, width=11)

    def both():
        y = function(*inputs)
        return [y, *torch.autograd.grad(y.sin().sum(), inputs)]

    whole = both()
    monkeypatch.setattr(_adaptive, "CPU_RUN", 1)
    for one, other in zip(both(), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("function", "case"), CASES)
def test_memory_layout_does_not_matter(function, case):
    inputs, _ = case(3)
    last = [value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value for value in inputs]
    torch.testing.assert_close(function(*inputs), function(*last), rtol=1e-12, atol=1e-12)


def test_haar_is_the_definition_and_its_inverse_undoes_it():
    (x,) = leaves((2, 3, 6, 8))
    a, b, c, d = x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]
    expected = (a + b + c + d) / 2, (-a - b + c + d) / 2, (-a + b - c + d) / 2, (a - b - c + d) / 2
    bands = haar(x)
    for one, other in zip(bands, expected, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(inverse_haar(torch.cat(bands, 1)), x)
    assert torch.autograd.gradcheck(haar, (x,))
    assert torch.autograd.gradcheck(lambda x: inverse_haar(torch.cat(haar(x), 1)), (x,))


def test_dilated_depthwise_equals_torch():
    layer = DilatedDepthwise(3, dilation=3).double()
    (x,) = leaves((2, 3, 8, 7))
    actual, expected = layer(x), nn.Conv2d.forward(layer, x)
    torch.testing.assert_close(actual, expected)
    inputs, outer = [x, layer.weight, layer.bias], torch.randn_like(expected)
    for one, other in zip(torch.autograd.grad(actual, inputs, outer), torch.autograd.grad(expected, inputs, outer), strict=True):
        torch.testing.assert_close(one, other)


def test_fusion_weights_shared_and_unique_parts():
    fuse = AdaptiveWeightedFusion(3).double()
    x, y = leaves((2, 3, 4, 5), (2, 3, 4, 5))
    gates = torch.einsum("oc,bchw->bohw", fuse.gates.weight[:, :, 0, 0], torch.cat([x, y], 1)) + fuse.gates.bias[:, None, None]
    expected = 2 * gates[:, :3].sigmoid() * (x + y) / 2 + gates[:, 3:].tanh() * (x - y) / 2
    torch.testing.assert_close(fuse(x, y), expected)
    torch.testing.assert_close(fuse(x, x), 2 * gates_of(fuse, x).sigmoid() * x)


def gates_of(fuse, x):
    return fuse.gates(torch.cat([x, x], 1))[:, : x.shape[1]]


def test_high_pass_removes_a_constant_and_keeps_a_spike():
    x = torch.full((1, 2, 9, 9), 7.0)
    torch.testing.assert_close(high_pass(x), torch.zeros_like(x))
    x[0, 0, 4, 4] += 25
    assert high_pass(x)[0, 0, 4, 4] == 24


@pytest.mark.parametrize(
    ("count", "options", "parameters"),
    [
        (8, {}, 466_252),
        (8, {"iterations": 2}, 243_306),
        (8, {"iterations": 3}, 354_779),
        (4, {}, 459_864),
        (102, {}, 2_169_282),
        (102, {"channels": 32}, 642_242),
    ],
)
def test_parameters(count, options, parameters):
    assert sum(value.numel() for value in network("cf2n", count, **options).parameters()) == parameters


@pytest.mark.parametrize(
    ("count", "options", "thousands", "digits"),
    [(191, {}, 2500, -1), (13, {"guide_bands": 2}, 478, 0), (13, {"guide_bands": 2, "channels": 48}, 1050, -1)],
)
def test_parameters_with_many_bands_or_a_sar_guide(count, options, thousands, digits):
    parameters = sum(value.numel() for value in network("cf2n", count, **options).parameters())
    assert round(parameters / 1000, digits) == thousands


def test_lite_is_the_two_step_network():
    assert sum(value.numel() for value in network("cf2n-lite", 8).parameters()) == 243_306


def test_parameters_of_the_blocks():
    net = network("cf2n", 8)
    sizes = {name: sum(value.numel() for value in part.parameters()) for name, part in net.named_modules()}
    first = {"frequency": 27_915, "spectral": 13_408, "select": 7_846, "inner": 9_248, "outer": 9_248}
    assert {name: sizes[f"fusions.0.{name}"] for name in first} == first
    assert sizes["fusions.3"] == 60_729
    assert sizes["injections.0"] == 43_808
    assert sizes["guide_head"] == 18_816
    assert sizes["reconstruct"] == 16_640 + 12_480


def test_products_are_those_of_the_layer_table():
    # Convolutions and products with static weights: 1,737.6 M. The adaptive convolution also computes the gaps between image
    # rows (at 64x64: 0.3 %); the 288 products by kernels per pixel are elementwise and not counted.
    assert products(network("cf2n", 8)) / 1e6 == pytest.approx(1737.6, rel=0.005)


@pytest.mark.parametrize("count", [4, 8, 102])
def test_starts_near_the_interpolated_image(count):
    lms, guide = (functional.avg_pool2d(x, 9, stride=1) for x in scene(count, 40, 40)[1:])
    with torch.inference_mode():
        fused = network("cf2n", count)(lms[..., 2::4, 2::4], lms, guide)
    assert 0 < (fused - lms).abs().mean() < 0.05 * lms.abs().mean()


def test_moves_with_the_image():
    # Even shifts: the wavelet sees pairs. The spectral attention sees the whole image, hence a periodic one, away from borders.
    torch.manual_seed(0)
    tile = torch.rand(1, 5, 20, 20, dtype=torch.float64) * 2047
    image = tile.repeat(1, 1, 4, 4)
    moved = image.roll((2, 4), (2, 3))
    net = network("cf2n-lite", 4, channels=8).double()
    with torch.inference_mode():
        one, other = (net(x[:, :4, ::4, ::4], x[:, :4], x[:, 4:]) for x in (image, moved))
    difference = (one.roll((2, 4), (2, 3)) - other)[..., 36:44, 36:44].abs().mean()
    assert difference < 0.05 * (one - image[:, :4]).abs().mean()


def test_learns_the_details_of_one_scene():
    torch.manual_seed(0)
    guide = functional.avg_pool2d(torch.rand(1, 1, 36, 36), 5, stride=1) * 2047
    gt = guide * torch.tensor([0.5, 0.8, 1.0, 1.2])[:, None, None]
    lms = functional.interpolate(functional.avg_pool2d(gt, 4), scale_factor=4, mode="bilinear")
    net = network("cf2n-lite", 4, channels=16)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = (net(lms[..., ::4, ::4], lms, guide) - gt).abs().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.5 * (lms - gt).abs().mean()


@pytest.mark.parametrize(("options", "message"), [({"channels": 7}, "even number"), ({"iterations": 0}, "at least 1")])
def test_wrong_sizes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CF2N(sensor=sensors.get("qb"), **options)


def test_card_lists_what_is_inferred():
    card = methods.card("cf2n")
    assert card.tasks == {"ms", "hs", "sar"}
    assert len(card.inferred) > 8
