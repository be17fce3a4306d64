"""The newest networks: images of the released code on weights given by a formula, published sizes, and the contract."""

from __future__ import annotations

import functools
import json
import re
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tests.methods.formula_weights import values
from waldbench import methods
from waldbench.imaging import sensors
from waldbench.methods.deep import (
    _adwm,
    _attention,
    _kmeans,
    _mamba,
    _selective_scan,
    _tiles,
    arnet,
    cannet,
    fusionmamba,
    pan_crafter,
    wfanet,
)
from waldbench.methods.deep._blocks import bicubic

GOLDEN = Path(__file__).parents[1] / "golden/deep"
SHARED = Path(__file__).parents[2] / "../shared/golden/deep"

# The published network computes Haar transforms as convolutions; at 64x64 pixels these are so many multiplications.
HAAR = 1.966e6
# Parameters with 8 and 4 bands, and the published multiplications by bands and side. Where pixels cost the same in images of any
# size, a sixteenth of those at 256x256 stands for 64x64.
SIZES: dict[str, tuple[int, int, dict[tuple[int, int], float]]] = {
    "cannet": (787_426, 785_118, {(8, 64): 444.8e6, (8, 256): 7.007e9, (4, 256): 6.856e9}),
    "adwm-dicnn": (37_817, 35_509, {(8, 64): 146.0e6, (8, 256): 2.334e9, (4, 256): 2.183e9}),
    "adwm-fusionnet": (87_257, 84_949, {(8, 64): 337.9e6, (8, 256): 5.403e9, (4, 256): 5.252e9}),
    "adwm-lagconv": (396_612, 392_392, {(8, 64): 1.326e9, (8, 256): 21.20e9, (4, 256): 20.96e9}),
    "arnet": (15_923_720, 15_921_412, {(8, 64): 3.473e9, (4, 64): 55.41e9 / 16}),
    "dcfnet": (2_915_783, 2_905_667, {(8, 64): 3.426e9, (8, 256): 54.81e9, (4, 256): 54.54e9}),
    "fusionmamba": (735_401, 726_181, {(8, 64): 640.5e6, (4, 64): 10.07e9 / 16}),
    "pan-crafter": (9_968_808, 9_902_756, {(8, 64): 10.24e9, (8, 256): 163.8e9, (4, 256): 162.6e9}),
    "panmamba": (480_752, 478_444, {(8, 64): 1.788e9, (4, 64): 28.45e9 / 16}),
    "wfanet": (521_606, 506_630, {(8, 64): 1.179e9 - HAAR}),
}
KEYS = tuple(SIZES)
RATIO_FOUR = ("dcfnet", "wfanet")
# Names of the golden files.
FILES = {"pan-crafter": "pancrafter"} | {f"adwm-{name}": f"adwm_{name}" for name in ("dicnn", "fusionnet", "lagconv")}
# Registered because the released networks count them, but no path leads from them to the image.
WITHOUT_PATH = {"dcfnet": r".*unused.*", "pan-crafter": r".*\.key_guide\..*", "panmamba": r".*unused.*"}
# A constant leaves batch normalisation and softmax again: the true gradient is zero.
SHIFT = r"weighting\.maps\.layers\.5\.bias"
CANCELLED = {
    "adwm-dicnn": SHIFT,
    "adwm-fusionnet": SHIFT,
    "adwm-lagconv": rf"{SHIFT}|chain\.\d\.first\.bias\.3\.bias",
    "arnet": r".*(features\.[03]|(height|width)\.[03])\.bias",
}


def network(key, count=4, ratio=4, guide_bands=1, **options):
    torch.manual_seed(0)
    return methods.create(key, sensor=sensors.generic(count, ratio=ratio), guide_bands=guide_bands, **options).eval()


def images(count=4, height=4, width=5, ratio=4, guide_bands=1, batch=1, dtype=torch.float32):
    draw = torch.Generator().manual_seed(count + height + width)
    ms = torch.rand(batch, count, height, width, generator=draw, dtype=dtype)
    guide = torch.rand(batch, guide_bands, ratio * height, ratio * width, generator=draw, dtype=dtype)
    lms = torch.nn.functional.interpolate(ms, scale_factor=float(ratio), mode="bilinear")
    return [2047 * image for image in (ms, lms, guide)]


def tensors(path):
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file if file[name].dtype.kind in "fu" and file[name].ndim}


def given(net, names, rules, scale):
    """Load weights by formula under their released names; buffers stay."""
    own = {net._official_name(name): value for name, value in net.state_dict().items()}
    assert set(names) <= set(own)
    for k, (name, rule) in enumerate(zip(names, rules, strict=True)):
        if rule != "fixed":
            own[name] = values(k, own[name].shape, rule, scale).to(own[name])
    net.load_official(own)
    return net


def shape(net, shapes):
    """Set the kernel shapes of ARNet's ten layers."""
    layers = [layer for layer in net.modules() if isinstance(layer, arnet.RectangleConvolution)]
    for layer, found in zip(layers, shapes, strict=True):
        layer.shape.copy_(torch.as_tensor(found))
    return net


def set_reach(net, reach):
    for layer in net.modules():
        if isinstance(layer, arnet.RectangleConvolution):
            layer.reach = reach


def compact(name):
    """The network with weights by formula, the scene, and every third pixel of the released network's images."""
    key, bands = name.split("_B")
    with np.load(GOLDEN / f"formula_{FILES.get(key, key)}_B{bands}.npz") as file:
        net = given(network(key, int(bands)), file["names"].tolist(), file["rules"].tolist(), float(file["c"]))
    golden = tensors(GOLDEN / f"formula_{FILES.get(key, key)}_B{bands}.npz")
    if key == "arnet":
        shape(net, golden["shapes"])
    return net, tensors(GOLDEN / f"scene_B{bands}.npz"), golden


def outputs(net, scene, golden):
    """What the golden files hold, by their names."""
    fused = functools.partial(net.fuse, scene["ms"], scene["lms"], scene["pan"])
    with torch.inference_mode():
        if net.card.key == "cannet":
            return {"fused": fused([golden[f"idx{level}"].long() for level in (1, 2, 3)])}
        if net.card.key == "arnet":
            found = {"fused": fused()}
            set_reach(net, 9)
            return found | {"fused_hw9": fused()}
        if net.card.key == "pan-crafter":
            return crafted(net, *(2 * scene[name] - 1 for name in ("ms", "pan")))
        return {"fused": fused()}


def crafted(net, ms, pan):
    """PAN-Crafter's images between -1 and 1: as released, of the guide, repaired; in the goldens the coarse guide is bicubic."""
    low = bicubic(pan, ms.shape[2:])
    raw, of_guide = net.details(ms, low, pan), net.details(ms, low, pan, of_image=False)
    for block in net.blocks:
        block.attention.repaired = True
    repaired = net.details(ms, low, pan)
    return {
        "fused": raw + bicubic(ms, pan.shape[2:]),
        "raw_net_output_off": of_guide,
        "raw_net_output_intended": repaired,
    }


@pytest.mark.parametrize("bands", [8, 4])
@pytest.mark.parametrize("key", KEYS)
def test_every_third_pixel_of_the_formula_golden(key, bands):
    net, scene, golden = compact(f"{key}_B{bands}")
    for name, value in outputs(net, scene, golden).items():
        limit = 1e-5 * float(golden[name].abs().max())
        torch.testing.assert_close(
            value[..., ::3, ::3], golden[name], rtol=1e-4, atol=limit, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.skipif(not SHARED.exists(), reason="the full golden vectors lie in ../shared/golden/deep, outside the project")
@pytest.mark.parametrize("key", KEYS)
def test_every_pixel_of_the_formula_golden(key):
    name = f"formula_{FILES.get(key, key)}_B8"
    entry = json.loads((SHARED / "FORMULA_GOLDENS_3.json").read_text())[name]
    names, shapes, rules = zip(*entry["params"], strict=True)
    net = network(key, 8)
    own = {net._official_name(name): list(value.shape) for name, value in net.state_dict().items()}
    assert [own[name] for name in names] == list(shapes)
    golden, net = tensors(SHARED / f"{name}.npz"), given(net, names, rules, entry["c"])
    if key == "arnet":
        shape(net, list(entry["NXY"].values()))
    # Inputs of most files, stored between -1 and 1 in those of PAN-Crafter.
    for output, value in outputs(net, tensors(GOLDEN / "scene_B8.npz"), golden).items():
        torch.testing.assert_close(value, golden[output], rtol=1e-4, atol=1e-5 * float(golden[output].abs().max()))


@pytest.mark.parametrize("key", KEYS)
def test_parameters_are_those_of_the_released_network(key):
    for count, expected in zip((8, 4), SIZES[key], strict=False):
        assert sum(parameter.numel() for parameter in network(key, count).parameters()) == expected


def pinned(net):
    """A network without choices that one bit may change: CANNet with labels, ARNet with kernel shapes."""
    if net.card.key == "arnet":
        return shape(net, [(3, 3)] * 10)
    if net.card.key == "cannet":
        fuse = net.fuse

        def fuse_labelled(ms, lms, guide):
            sides = [-(-side // 4) * 4 for side in lms.shape[-2:]]
            pixels = [sides[0] * sides[1] // 4**level for level in range(3)]
            return fuse(ms, lms, guide, [torch.arange(n, device=lms.device).expand(len(lms), n) % 33 for n in pixels])

        net.fuse = fuse_labelled
    return net


def macs(net, side):
    """Multiplications of convolutions and matrix products, less those with zeros that only their layout needs."""
    # The shapes that ARNet keeps are numbers.
    device = "cpu" if net.card.key == "arnet" else "meta"
    net, surplus = pinned(net).to(device).requires_grad_(False), []
    scene = [image.to(device) for image in images(net.sensor.count, side // 4, side // 4)]
    with ExitStack() as hooks:
        for layer in net.modules():
            if hasattr(layer, "padding_macs"):
                note = lambda layer, inputs, _: surplus.append(layer.padding_macs(*inputs))  # noqa: E731
                hooks.callback(layer.register_forward_hook(note).remove)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            net(*scene)
    return counter.get_total_flops() / 2 - sum(surplus)


@pytest.mark.parametrize("key", KEYS)
def test_multiplications_are_those_of_the_released_network(key, monkeypatch):
    # The scan has no products of matrices, and thousands of small steps to count.
    monkeypatch.setattr(_mamba, "selective_scan", lambda x, *_: x)
    for (count, side), expected in SIZES[key][2].items():
        # The published table has four digits. PAN-Crafter's code makes the keys that it drops, too.
        options = {"reading": "repaired"} if key == "pan-crafter" else {}
        assert macs(network(key, count, **options), side) == pytest.approx(expected, rel=5e-4)


@pytest.mark.parametrize(("count", "side", "expected"), [(8, 128, 8.140e9), (8, 256, 87.3e9), (4, 256, 87.0e9)])
def test_multiplications_of_wfanet_in_one_piece(count, side, expected):
    found = macs(network("wfanet", count, tile=0), side) + HAAR * (side / 64) ** 2
    # At 256 pixels the published number is an extrapolation of three digits.
    assert found == pytest.approx(expected, rel=5e-4 if side == 128 else 2e-3)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("count", [1, 3, 8, 102])
def test_any_band_count(key, count):
    ms, lms, guide = images(count)
    with torch.inference_mode():
        fused = network(key, count)(ms, lms, guide)
    assert fused.shape == lms.shape
    assert fused.isfinite().all()


# Low-resolution height and width, ratio.
PLACES = ((5, 3, 4), (4, 7, 3), (7, 2, 6), (5, 9, 1))
CASES = [(key, place) for key in KEYS for place in PLACES if key not in RATIO_FOUR or place[2] == 4]


@pytest.mark.parametrize(("key", "place"), CASES)
def test_any_size_and_ratio_and_a_guide_of_two_bands(key, place):
    ms, lms, guide = images(3, *place, guide_bands=2, batch=2)
    net = network(key, 3, place[2], guide_bands=2)
    with torch.inference_mode():
        fused = net(ms, lms, guide)
    assert fused.shape == lms.shape
    assert fused.isfinite().all()


@pytest.mark.parametrize("key", KEYS)
def test_every_guide_band_matters(key):
    ms, lms, guide = images(guide_bands=2)
    net = shaken(network(key, guide_bands=2))
    with torch.inference_mode():
        before = net(ms, lms, guide)
        for band in range(2):
            changed = guide.clone()
            changed[:, band] = changed[:, band].flip(-1)
            assert not torch.allclose(net(ms, lms, changed), before, rtol=1e-4)


def shaken(net):
    """Move every parameter a little: layers that start at zero hide what lies behind them."""
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return net


@pytest.mark.parametrize("key", KEYS)
def test_gradients_reach_every_parameter_that_the_network_uses(key):
    net = shaken(network(key)).train()
    net(*images(height=8, width=8, batch=2)).square().mean().backward()
    silent = {name for name, value in net.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0}
    assert {name for name in silent if not re.fullmatch(CANCELLED.get(key, ""), name)} == without_path(net)


def without_path(net):
    """Parameters from which no path leads to the image."""
    names = [name for name, _ in net.named_parameters()]
    if net.card.key != "arnet":
        return {name for name in names if re.fullmatch(WITHOUT_PATH.get(net.card.key, ""), name)}
    used = {name: arnet.SHAPES.index(tuple(value.tolist())) for name, value in net.named_parameters() if name.endswith("shape")}
    kept = {f"{name.removesuffix('shape')}kernels.{place}." for name, place in used.items()}
    return {name for name in names if name in used or (".kernels." in name and not name.startswith(tuple(kept)))}


@pytest.mark.parametrize("key", KEYS)
def test_training_repeats_exactly(key):
    def train():
        net, scene = network(key).train(), images(batch=2)
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
        for _ in range(2):
            optimiser.zero_grad()
            (net(*scene) - 0.9 * scene[1]).abs().mean().backward()
            optimiser.step()
        return torch.cat([value.detach().flatten() for value in net.parameters()])

    assert torch.equal(train(), train())


@pytest.mark.parametrize("key", KEYS)
def test_a_batch_equals_its_images_and_single_precision_equals_double(key):
    net, scene = pinned(shaken(network(key))), images(height=6, width=5, batch=2)
    with torch.inference_mode():
        single = net(*scene)
        net.double()
        double = [image.double() for image in scene]
        together = net(*double)
        alone = torch.cat([net(*(image[i : i + 1] for image in double)) for i in range(2)])
    assert (single.dtype, together.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-7)
    torch.testing.assert_close(single.double(), together, rtol=1e-4, atol=2e-5 * 2047)


@pytest.mark.parametrize("key", KEYS)
def test_mixed_precision(key):
    net, (ms, lms, guide) = network(key), images(height=8, width=8)
    with torch.autocast("cpu", torch.bfloat16):
        fused = net(ms, lms, guide)
    (fused.float() - lms).abs().mean().backward()
    assert (fused.float() - net(ms, lms, guide)).abs().mean() < 0.03 * 2047
    assert all(value.grad.isfinite().all() for value in net.parameters() if value.grad is not None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", KEYS)
def test_cuda_agrees_with_cpu(key):
    net = network(key).double()
    scene = images(height=9, width=7, batch=2, dtype=torch.float64)
    expected = net(*scene)
    actual = net.cuda()(*(image.cuda() for image in scene))
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("key", KEYS)
def test_weights_of_another_sensor_are_refused(key):
    net = network(key, 8)
    state = {net._official_name(name): value for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match=r"unexpected shapes .*a sensor with 4 bands"):
        network(key, 4).load_official(state)


def labels_of(net, scene):
    """The labels at the three scales that CANNet makes."""
    seen = []
    hooks = [block.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1])) for block in net.blocks[:3]]
    with torch.inference_mode():
        net.fuse(scene["ms"], scene["lms"], scene["pan"])
    for hook in hooks:
        hook.remove()
    return seen


def test_cannet_makes_the_labels_of_the_goldens():
    net, scene, golden = compact("cannet_B8")
    for level, labels in enumerate(labels_of(net, scene), 1):
        assert (labels != golden[f"idx{level}"]).float().mean() < 0.01


def test_another_start_gives_other_clusters():
    net, scene, _ = compact("cannet_B4")
    before = labels_of(net, scene)
    net.start = 0.25
    assert all(not torch.equal(*pair) for pair in zip(before, labels_of(net, scene), strict=True))
    with pytest.raises(ValueError, match=r"start: expected a number in \[0, 1\), got 1"):
        network("cannet", start=1)


def blobs(spread=0.01):
    """Two images of 400 pixels around five points each, and the point that each pixel belongs to."""
    draw = torch.Generator().manual_seed(3)
    truth = torch.arange(400) * 7 % 5
    points = 10 * torch.eye(5)[truth]
    return torch.stack([points, points.flip(1)]) + spread * torch.randn(2, 400, 5, generator=draw), truth


def test_k_means_finds_clusters_that_lie_apart_and_each_image_alone():
    features, truth = blobs()
    labels = _kmeans.cluster(features, 5)
    for image, found in zip(features, labels, strict=True):
        pairs = set(zip(truth.tolist(), found.tolist(), strict=True))
        assert len(pairs) == 5
        assert torch.equal(_kmeans.cluster(image[None], 5)[0], found)


def test_k_means_by_the_definition():
    features = blobs(5.0)[0][:1].double()
    labels = _kmeans.cluster(features, 7)[0]
    x = features[0].float().double()
    centres = [x[200]]
    for j in range(1, 7):
        distance = torch.stack([(x - centre).square().sum(1) for centre in centres]).amin(0).cumsum(0)
        centres.append(x[int((distance <= (0.5 + 0.6180339887498949 * j) % 1 * distance[-1]).sum())])
    centres, old = torch.stack(centres), None
    for _ in range(100):
        new = torch.cdist(x, centres).argmin(1)
        if old is not None and (new != old).sum() <= 4:
            break
        old = new
        centres = torch.stack([x[new == k].mean(0) if (new == k).any() else centres[k] for k in range(7)])
    assert torch.equal(labels, new)


def test_k_means_of_equal_pixels_and_of_fewer_pixels_than_clusters():
    assert torch.equal(_kmeans.cluster(torch.ones(1, 9, 2), 4), torch.zeros(1, 9, dtype=torch.long))
    assert _kmeans.cluster(torch.rand(1, 3, 2), 32).unique().numel() == 3


def test_small_clusters_are_dissolved_and_share_the_kernel_of_all_pixels():
    x = torch.zeros(1, 4, 20, 20)
    x[..., 10:, :] = 1
    x[..., 5, 5] = 50
    labels = cannet.pixel_labels(x, 0.5)[0]
    sizes = torch.bincount(labels, minlength=33)
    assert ((sizes[:32] == 0) | (sizes[:32] > 2)).all()
    layer, noise = cannet.ClusterAdaptiveConvolution(4).eval(), torch.rand(1, 4, 6, 6)
    with torch.inference_mode():
        mixed = layer(noise, torch.arange(36)[None] % 2 + 31)
        whole = layer(noise, torch.full((1, 36), 32))
    torch.testing.assert_close(mixed.flatten(2)[..., 1::2], whole.flatten(2)[..., 1::2])
    assert not torch.allclose(mixed.flatten(2)[..., ::2], whole.flatten(2)[..., ::2], rtol=1e-3)


def layer_in_parts(key):
    """A layer that computes large images in parts, and the call of it for x (2, 16, 9, 8)."""
    torch.manual_seed(0)
    if key == "arnet":
        layer = arnet.RectangleConvolution(16, 18).eval()
        layer.shape.copy_(torch.tensor((3, 5)))
        return layer, lambda x: layer(x, False)
    if key == "cannet":
        layer = cannet.ClusterAdaptiveConvolution(16)
        return layer, lambda x: layer(x, torch.arange(144).view(2, 72) % 33)
    if key == "pan-crafter":
        layer = pan_crafter.LocalAttention(3, 1, 3, True)
        return layer, lambda x: layer._attend(*(x.repeat(1, 8, 1, 1) * (1 + n) for n in range(3)))
    layer = wfanet.SubBandAttention().eval()
    return layer, lambda x: layer(*(torch.cat([x, x * n], 1).permute(0, 2, 3, 1) for n in range(2, 5)))


@pytest.mark.parametrize("key", ["arnet", "cannet", "pan-crafter", "wfanet"])
def test_parts_of_an_image_change_nothing(key, monkeypatch):
    layer, call = layer_in_parts(key)
    layer.double()
    x = torch.rand(2, 16, 9, 8, dtype=torch.float64, requires_grad=True)

    def result():
        found = call(x)
        used = [value for value in layer.parameters() if value.requires_grad]
        return [found.detach(), *torch.autograd.grad(found.square().mean(), [x, *used], materialize_grads=True)]

    whole = result()
    monkeypatch.setattr("waldbench.methods.deep._parts.CPU_BUDGET", 3000)
    for part, expected in zip(result(), whole, strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("key", RATIO_FOUR)
def test_networks_of_ratio_four_say_so(key):
    sensor = sensors.generic(4, ratio=6)
    reason = methods.supports(key, sensor, "hs")
    assert "ratio 4" in reason
    with pytest.raises(ValueError, match=re.escape(reason)):
        methods.create(key, sensor=sensor)


def test_wavelet_sub_bands_are_means_and_half_differences():
    x = torch.rand(2, 3, 4, 6)
    a, b, c, d = (x[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    for band, expected in zip(wfanet.sub_bands(x), (a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d), strict=True):
        torch.testing.assert_close(band, expected / 4)
    torch.testing.assert_close(wfanet.joined(wfanet.sub_bands(x)), x)


def test_attention_is_torchs():
    query, key, value = torch.rand(3, 2, 4, 50, 8).unbind()
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(_attention.attend(query, key, value), expected)


@pytest.mark.parametrize(("size", "largest"), [((3, 7), 5), ((8, 4), 5), ((1, 9), 6), ((4, 4), 4)])
def test_tiles_put_every_pixel_where_it_was_and_see_a_margin(size, largest):
    ms, lms, guide = images(2, *size)
    seen = []

    def fuse(ms, lms, guide):
        seen.append(ms.shape[-2:])
        return lms + guide + ms.repeat_interleave(4, 2).repeat_interleave(4, 3)

    tiled = _tiles.fuse_in_tiles(fuse, (ms, lms, guide), 4, 4)
    assert len(seen) == -(-size[0] // 4) * -(-size[1] // 4)
    assert max(max(shape) for shape in seen) == largest
    assert torch.equal(tiled, fuse(ms, lms, guide))


def test_wfanet_fuses_large_images_in_tiles():
    net, scene = network("wfanet"), images(height=9, width=5)
    with torch.inference_mode():
        whole = net(*scene)
        net.tile = 20
        tiled = net(*scene)
        upper = net.fuse_whole(*(image[..., : 6 * scale, :] / 2047 for image, scale in zip(scene, (1, 4, 4), strict=True)))
    torch.testing.assert_close(tiled[..., :20, :], 2047 * upper[..., :20, :])
    assert not torch.allclose(tiled, whole, rtol=1e-4)
    with pytest.raises(ValueError, match="tile: expected a multiple of 4, or 0 for no tiles, got 30"):
        network("wfanet", tile=30)


@pytest.mark.parametrize(("shapes", "expected"), [((3, 3), 4_417_032), ((7, 7), 6_546_952)])
def test_parameters_that_arnet_uses(shapes, expected):
    net = shape(network("arnet", 8), [shapes] * 10)
    silent = {name for name in without_path(net) if not name.endswith("shape")}
    assert sum(value.numel() for name, value in net.named_parameters() if name not in silent) == expected
    # And the multiplications with large kernels.
    if shapes == (7, 7):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            net(*images(8, 8, 8))
        assert counter.get_total_flops() / 2 == pytest.approx(5.150e9 / 4, rel=5e-4)


def direct_rectangles(x, kernel, heights, widths):
    """The published definition, pixel by pixel."""
    (rows, columns), (height, width) = kernel.kernel_size, x.shape[-2:]
    wide, out = torch.nn.functional.pad(x[0], (1, 1, 1, 1)), torch.zeros(len(kernel.weight), height, width)
    for row, column in np.ndindex(height, width):
        for i, j in np.ndindex(rows, columns):
            y = row + 1 + (i - rows // 2) * float(heights[row, column]) / rows
            z = column + 1 + (j - columns // 2) * float(widths[row, column]) / columns
            corners = [[min(max(v, 0), n + 1) for v in (np.floor(p), np.floor(p) + 1, p)] for p, n in ((y, height), (z, width))]
            for a, b in np.ndindex(2, 2):
                share = (1 - abs(corners[0][2] - corners[0][a])) * (1 - abs(corners[1][2] - corners[1][b]))
                out[:, row, column] += kernel.weight[:, :, i, j] @ wide[:, int(corners[0][a]), int(corners[1][b])] * share
    return out + kernel.bias[:, None, None]


@pytest.mark.parametrize("shapes", [(3, 5), (7, 3)])
def test_rectangles_by_the_definition(shapes):
    layer = shape(torch.nn.Sequential(*(arnet.RectangleConvolution(2, 18) for _ in range(10))), [shapes] * 10)[0].eval()
    x = torch.rand(1, 2, 6, 5, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features = layer.features(100 * x)
        heights, widths = (17 * head(features)[0, 0] + 1 for head in (layer.height, layer.width))
        assert heights.max() > 6
        expected = direct_rectangles(x, layer.kernels[arnet.SHAPES.index(shapes)], heights, widths)
        torch.testing.assert_close(layer(x, False)[0], layer.gain(x)[0] * expected + layer.offset(x)[0])


def test_arnet_keeps_the_shapes_of_its_training():
    net, scene = network("arnet"), [image / 2047 for image in images(height=8, width=8, batch=2)]
    layer = net.blocks[4].second
    assert not layer.shape.any()
    net.train()
    net.published_loss(*scene, scene[1], 99)
    chosen = layer.shape.tolist()
    assert tuple(chosen) in arnet.SHAPES
    shape(net, [(7, 5)] * 10)
    net.published_loss(*scene, scene[1], 100)
    assert layer.shape.tolist() == [7, 5]
    net.eval().fuse(*scene)
    assert layer.shape.tolist() == [7, 5]
    net.train().keep_shapes = False
    net.fuse(*scene)
    assert layer.shape.tolist() == chosen


def test_arnet_chooses_odd_numbers_of_taps_from_the_mean_size():
    layer = arnet.RectangleConvolution(2, 18)
    for mean, taps in ((1.0, 3), (7.9, 3), (8.1, 3), (10.1, 5), (12.5, 5), (14.0, 7), (18.0, 7)):
        sides = [torch.full((2, 3, 3), mean), torch.full((2, 3, 3), 18.0)]
        assert layer._taps(sides, True) == (taps, 7)
    layer.reach = 9
    assert layer._taps([torch.full((1, 1, 1), 5.5), torch.full((1, 1, 1), 3.0)], True) == (5, 3)
    with pytest.raises(ValueError, match="reach: expected at least 3 pixels, got 2"):
        network("arnet", reach=2)


def sequences(length, groups=2, batch=3, channels=4, states=5, dtype=torch.float64):
    """What a scan takes, with step sizes from 1e-3 to 100."""
    draw = torch.Generator().manual_seed(length)

    def noise(*shape):
        return torch.randn(*shape, generator=draw, dtype=dtype)

    tokens = groups, batch, length
    delta = 10 ** noise(*tokens, channels).clamp(-3, 2)
    return noise(*tokens, channels), delta, -noise(groups, channels, states).exp(), noise(*tokens, states), noise(*tokens, states)


def one_by_one(x, delta, decay, enter, leave):
    """The definition of the scan."""
    state, found = 0, []
    for t in range(x.shape[2]):
        state = torch.exp(delta[:, :, t, :, None] * decay[:, None]) * state + x[:, :, t, :, None] * enter[:, :, t, None]
        found.append((state * leave[:, :, t, None]).sum(-1))
    return torch.stack(found, 2)


@pytest.mark.parametrize("length", [1, 2, 5, 16, 17, 100, 900])
def test_the_scan_is_its_definition(length):
    parts = sequences(length)
    expected = one_by_one(*parts)
    torch.testing.assert_close(_selective_scan.selective_scan(*parts), expected, rtol=1e-12, atol=1e-12)
    single = _selective_scan.selective_scan(*(part.float() for part in parts))
    assert (single - expected).abs().max() < 1e-5 * expected.abs().max()


def test_gradients_of_the_scan():
    for length in (1, 4, 7):
        parts = [part.requires_grad_() for part in sequences(length, batch=2, channels=3, states=2)]
        assert torch.autograd.gradcheck(_selective_scan.selective_scan, parts)


def test_the_scan_takes_steps_for_chunks_and_not_for_tokens(monkeypatch):
    calls = []
    advance = _selective_scan._advance
    monkeypatch.setattr(_selective_scan, "_advance", lambda *parts: calls.append(1) or advance(*parts))
    _selective_scan.selective_scan(*sequences(2500))
    assert len(calls) == 2 * 50


def test_the_scan_has_no_matrix_products():
    with FlopCounterMode(display=False) as counter:
        _selective_scan.selective_scan(*sequences(20))
    assert counter.get_total_flops() == 0


def test_operations_of_the_scan_can_be_counted_on_shapes_alone():
    elements = []
    for device in ("cpu", "meta"):
        parts = [part.to(device) for part in sequences(900)]

        class Elements(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                result = func(*args, **(kwargs or {}))
                if func.overloadpacket in (torch.ops.aten.mul, torch.ops.aten.exp_, torch.ops.aten.addcmul_):
                    elements[-1] += result.numel()
                return result

        elements.append(0)
        with Elements():
            found = _selective_scan.selective_scan(*parts)
        assert found.shape == parts[0].shape
    assert elements[1] == pytest.approx(elements[0], rel=0.1)


def test_scan_paths_are_causal_and_start_as_published():
    torch.manual_seed(0)
    path, tokens = _mamba.ScanPath(6, 3, 32).double(), torch.randn(1, 40, 6, dtype=torch.float64)
    changed = tokens.clone()
    changed[:, 25] += 1
    with torch.inference_mode():
        moved = (_mamba.scan([path], [changed], [None]) - _mamba.scan([path], [tokens], [None])).abs().amax((0, 1, 3)) > 0
    assert not moved[:25].any()
    assert moved[25:].all()
    first = torch.nn.functional.softplus(path.step.bias)
    assert (first > 0.99e-3).all()
    assert (first < 0.101).all()
    torch.testing.assert_close(path.log_decay[2].exp().float(), torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("key", ["fusionmamba", "panmamba"])
def test_scans_in_turn_are_scans_side_by_side(key, monkeypatch):
    net, scene = network(key).double(), images(dtype=torch.float64)
    with torch.inference_mode():
        together = net(*scene)
        monkeypatch.setattr(_mamba, "TOGETHER", 0)
        torch.testing.assert_close(net(*scene), together)


def test_orders_of_pixels_lead_back_to_the_image():
    x = torch.rand(2, 3, 5, 4)
    orders = fusionmamba.rows_and_columns(x)
    assert torch.equal(orders[1][:, 0], x[:, 2, 4])
    assert torch.equal(orders[2][:, 1], x[:, 1, 0])
    assert torch.equal(orders[3][:, 1], x[:, 1, 4])
    torch.testing.assert_close(fusionmamba.mean_of_images(torch.stack(orders), x), x)
    sequence = x.flatten(1, 2)
    torch.testing.assert_close(fusionmamba.mean_of_sequences(torch.stack(fusionmamba.to_and_fro(sequence)), sequence), sequence)


@pytest.mark.parametrize("key", ["adwm-dicnn", "adwm-fusionnet", "adwm-lagconv", "fusionmamba", "pan-crafter", "panmamba"])
def test_networks_that_enlarge_ms_themselves_ignore_lms(key):
    net, (ms, lms, guide) = network(key), images()
    with torch.inference_mode():
        assert torch.equal(net(ms, lms, guide), net(ms, lms + 100, guide))


def test_dcfnet_adds_lms_unless_it_is_told_not_to():
    net, scene = network("dcfnet"), images()
    with torch.inference_mode():
        with_lms = net(*scene)
        net.skip = False
        torch.testing.assert_close(with_lms - scene[1], net(*scene), rtol=1e-4, atol=1e-2)


def test_correlation_weights_are_layers_on_cosines_of_centred_rows():
    torch.manual_seed(0)
    layer, x = _adwm.CorrelationWeights(5, 3, norm=True).eval(), torch.rand(1, 40, 5)
    rows = x[0] - x[0].mean(1, keepdim=True)
    cosines = torch.stack([torch.nn.functional.cosine_similarity(rows, column[:, None], 0) for column in rows.T])
    with torch.inference_mode():
        torch.testing.assert_close(layer(x)[0], layer.layers(layer.norm(cosines))[:, 0])
        assert layer(torch.zeros(2, 40, 5)).isfinite().all()


def test_maps_are_weighed_in_shares():
    torch.manual_seed(0)
    layer, maps = _adwm.DualWeighting(4, 3, 5).eval(), torch.rand(3, 2, 4, 6, 5)
    with torch.inference_mode():
        for channels in layer.channels:
            channels.layers[-1].weight.zero_()
            channels.layers[-1].bias.fill_(1)
        same = layer([maps[0]] * 3)
        torch.testing.assert_close(same, maps[0])
        assert not torch.allclose(layer(list(maps)), maps.mean(0))


def test_weights_of_adwm_lagconv_fit_without_the_norm():
    net = network("adwm-lagconv", norm=False)
    state = {net._official_name(name): value for name, value in net.state_dict().items()}
    assert not any(".ln." in name for name in state)
    net.load_official(state)
    with pytest.raises(ValueError, match="missing"):
        network("adwm-lagconv").load_official(state)


def test_a_fresh_pan_crafter_gives_the_bicubic_image():
    net, (ms, lms, guide) = network("pan-crafter"), images()
    with torch.inference_mode():
        torch.testing.assert_close(net(ms, lms, guide), bicubic(ms, guide.shape[2:]), rtol=1e-4, atol=1e-2)


def test_pan_crafter_has_keys_of_the_guide_where_it_is_repaired():
    net, scene = shaken(network("pan-crafter", reading="repaired")).train(), images()
    net(*scene).square().mean().backward()
    assert all(value.grad.abs().sum() > 0 for name, value in net.named_parameters() if "key_guide" in name)
    with pytest.raises(ValueError, match="reading: expected one of released, repaired, got 'intended'"):
        network("pan-crafter", reading="intended")


def test_the_loss_of_pan_crafter_counts_both_images():
    net, (ms, lms, guide) = network("pan-crafter"), [image / 2047 for image in images()]
    low = pan_crafter.decimated(guide, 4)
    expected = (bicubic(ms, guide.shape[2:]) - lms).abs().mean() + (bicubic(low, guide.shape[2:]) - guide).abs().mean()
    torch.testing.assert_close(net.published_loss(ms, lms, guide, lms, 0), 2 * expected)


def test_the_guide_is_decimated_from_its_third_pixel():
    x = torch.zeros(1, 1, 48, 48)
    x[..., 22, 26] = 1
    low = pan_crafter.decimated(x, 4)
    assert low.shape[2:] == (12, 12)
    assert low.argmax() == 5 * 12 + 6
    assert float(low.max()) == pytest.approx(1 / (2 * np.pi * 1.98**2), rel=1e-3)
    torch.testing.assert_close(pan_crafter.decimated(torch.full((2, 2, 9, 6), 0.3), 3), torch.full((2, 2, 3, 2), 0.3))
