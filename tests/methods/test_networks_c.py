"""MMFN, RSANet, SFIIN, TRRNet and U2Net: against formula goldens, published sizes and the contract of a network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tests.methods.formula_weights import values
from waldbench import Scene, methods, metrics
from waldbench.imaging import sensors
from waldbench.methods.deep import sfiin
from waldbench.methods.deep.trrnet import structural_similarity
from waldbench.metrics.spatial import ssim

GOLDEN = Path(__file__).parents[1] / "golden/deep"
SHARED = Path(__file__).parents[2] / "../shared"
KEYS = ("mmfn", "rsanet", "sfiin", "trrnet", "u2net")
FORMULA = [f"{key}_B{count}" for key in KEYS for count in (4, 8)]

# Parameters with 8 and 4 bands, multiplications at 64x64 with 8 and 4 bands and at 256x256 with 8 and 4.
SIZES = {
    "mmfn": (2_367_731, 2_317_391, 5.411e9, 5.302e9, 86.58e9, 84.83e9),
    "rsanet": (96_827, 94_415, 297.0e6, 287.1e6, 4.752e9, 4.594e9),
    "sfiin": (85_850, 85_270, 333.4e6, 331.0e6, 5.332e9, 5.296e9),
    # Less 131,072 constants of masks.
    "trrnet": (1_984_440, 1_979_828, 4.680e9, 4.656e9, 74.88e9, 74.50e9),
    # 64x64: a patch of a training, whole; 256x256: 16 tiles.
    "u2net": (642_008, 632_788, 2.995e9, 2.984e9, 16 * 4.608e9, 16 / 25 * 114.8e9),
}
# Registered because the released network counts them, but no path leads from them to the image.
WITHOUT_PATH = re.compile(r"(.*\.)?unused\..*")
# A constant added to every key of a window leaves its softmax: the true gradient is zero.
CANCELLED = re.compile(r".*\.position\.bias")


def network(key, count=4, ratio=4, guide_bands=1, **options):
    torch.manual_seed(0)
    return methods.create(key, sensor=sensors.generic(count, ratio=ratio), guide_bands=guide_bands, **options).eval()


def scene(count=4, height=5, width=7, ratio=4, guide_bands=1, batch=1):
    draw = torch.Generator().manual_seed(count + height)
    ms = torch.rand(batch, count, height, width, generator=draw) * 2047
    guide = torch.rand(batch, guide_bands, ratio * height, ratio * width, generator=draw) * 2047
    return ms, functional.interpolate(ms, scale_factor=ratio, mode="bilinear"), guide


def tensors(path, *names):
    with np.load(path) as file:
        return [torch.from_numpy(file[name]) for name in names or file]


def formula_network(case):
    """The network whose released names are filled by formula, and the golden of that case."""
    key, count = case.split("_B")
    net = network(key, int(count))
    with np.load(GOLDEN / f"formula_{case}.npz") as file:
        golden = dict(file)
    own = {net._official_name(name): value for name, value in net.state_dict().items()}
    rules = zip(golden.pop("names").tolist(), golden.pop("rules").tolist(), strict=True)
    constant = float(golden.pop("c"))
    for name, value in own.items():
        if name.endswith("invconv.p"):
            value.copy_(torch.eye(len(value)))
        elif name.endswith("invconv.sign_s"):
            value.fill_(1)
    for k, (name, rule) in enumerate(rules):
        if rule != "fixed":
            own[name] = values(k, own[name].shape, rule, constant).float()
    net.load_official(own)
    return net, golden


def outputs(net, images):
    """What the goldens hold of a forward pass, by name."""
    with torch.inference_mode():
        if net.card.key == "trrnet":
            fused, *common = net.features(images[0], images[2])
            return {"fused": fused, "common_ms": common[0][..., ::2, ::2], "common_pan": common[1][..., ::2, ::2]}
        if net.card.key == "mmfn":
            return dict(zip(("fused", "out_half", "out_quarter"), net.stages(images[0], images[2]), strict=True))
        if net.card.key == "sfiin":
            # A phase near pi may jump to -pi by rounding alone, which single precision shows as 1e-5 of the image.
            return {"fused": net.double().fuse(*(image.double() for image in images)).float()}
        return {"fused": net.train(net.card.key == "u2net").fuse(*images)}


@pytest.mark.parametrize("case", FORMULA)
def test_every_third_pixel_of_the_formula_golden(case):
    net, golden = formula_network(case)
    found = outputs(net, tensors(GOLDEN / f"scene_{case[-2:]}.npz", "ms", "lms", "pan"))
    assert set(found) == set(golden)
    for name, expected in golden.items():
        torch.testing.assert_close(found[name][..., ::3, ::3], torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not SHARED.exists(), reason="the full golden vectors lie in ../shared/golden/deep, outside the project")
@pytest.mark.parametrize("case", FORMULA)
def test_every_pixel_of_the_formula_golden(case):
    entry = json.loads((SHARED / "golden/deep/FORMULA_GOLDENS_2.json").read_text())[f"formula_{case}"]
    net, golden = formula_network(case)
    shapes = {net._official_name(name): list(value.shape) for name, value in net.named_parameters()}
    assert shapes == {name: shape for name, shape, rule in entry["params"] if rule != "fixed"}
    path = SHARED / f"golden/deep/formula_{case}.npz"
    found = outputs(net, tensors(path, "ms", "lms", "pan"))
    for name, expected in zip(golden, tensors(path, *golden), strict=True):
        torch.testing.assert_close(found[name], expected, rtol=0, atol=3e-6 * max(1, float(expected.abs().max())))


@pytest.mark.parametrize("key", KEYS)
def test_weights_that_do_not_fit_are_named(key):
    net = network(key)
    state = {net._official_name(name): value.clone() + 1 for name, value in net.state_dict().items()}
    net.load_official(state)
    assert all(torch.equal(value, state[net._official_name(name)]) for name, value in net.state_dict().items())
    lost = next(iter(state))
    with pytest.raises(ValueError, match=rf"missing \['{re.escape(lost)}'\]"):
        net.load_official({name: value for name, value in state.items() if name != lost})
    with pytest.raises(ValueError, match=r"left over \['conv9\.bias'\]; use the file of this network"):
        net.load_official(state | {"conv9.bias": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"unexpected shapes .*a sensor with 8 bands"):
        network(key, 8).load_official(state)


@pytest.mark.parametrize("key", KEYS)
def test_parameters_are_those_of_the_released_network(key):
    for count, expected in zip((8, 4), SIZES[key], strict=False):
        assert sum(parameter.numel() for parameter in network(key, count).parameters()) == expected


@pytest.mark.parametrize("key", KEYS)
def test_multiplications_are_those_of_the_released_network(key):
    sides = ((count, side) for side in (64, 256) for count in (8, 4))
    for (count, side), expected in zip(sides, SIZES[key][2:], strict=True):
        # The published table has four digits.
        net = network(key, count).train((key, side) == ("u2net", 64))
        assert macs(net, side) == pytest.approx(expected, rel=5e-4)


def macs(net, side):
    """Multiplications counted without computing them, less those of the zeros between image rows (see the cards)."""
    surplus = []
    layers = [layer for layer in net.to("meta").modules() if hasattr(layer, "padding_macs")]
    hooks = [layer.register_forward_hook(lambda own, x, _: surplus.append(own.padding_macs(x[0]))) for layer in layers]
    images = [image.to("meta") for image in scene(net.sensor.count, side // 4, side // 4)]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(*images)
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops() / 2 - sum(surplus)


@pytest.mark.parametrize("count", [1, 3, 13, 102])
@pytest.mark.parametrize("key", KEYS)
def test_any_band_count(key, count):
    images = scene(count, 4, 4)
    with torch.inference_mode():
        fused = network(key, count)(*images)
    assert fused.shape == images[1].shape
    assert fused.isfinite().all()


@pytest.mark.parametrize(
    ("height", "width", "ratio", "guide_bands"),
    [(9, 11, 4, 1), (3, 5, 4, 2), (5, 7, 3, 1), (5, 4, 6, 2), (7, 5, 2, 1), (5, 7, 1, 2)],
)
@pytest.mark.parametrize("key", KEYS)
def test_any_size_and_ratio(key, height, width, ratio, guide_bands):
    images = scene(3, height, width, ratio, guide_bands, batch=2)
    with torch.inference_mode():
        fused = network(key, 3, ratio, guide_bands)(*images)
    assert fused.shape == images[1].shape
    assert fused.isfinite().all()


@pytest.mark.parametrize("key", KEYS)
def test_every_guide_band_matters(key):
    ms, lms, guide = scene(guide_bands=2)
    net = network(key, guide_bands=2)
    with torch.inference_mode():
        before = net(ms, lms, guide)
        for band in range(2):
            changed = guide.clone()
            changed[:, band] = changed[:, band].flip(-1)
            assert not torch.allclose(net(ms, lms, changed), before, rtol=1e-4)


@pytest.mark.parametrize("key", KEYS)
def test_gradients_reach_every_parameter_that_the_network_uses(key):
    net = network(key).train()
    ms, lms, guide = scene(height=8, width=8, batch=2)
    (net(ms, lms, guide) - lms).square().mean().backward()
    parameters = dict(net.named_parameters())
    without_path = {name for name in parameters if WITHOUT_PATH.fullmatch(name)}
    assert {name for name, value in parameters.items() if value.grad is None} == without_path
    assert not any(parameters[name].requires_grad for name in without_path)
    used = [name for name in parameters if name not in without_path and not CANCELLED.fullmatch(name)]
    assert [name for name in used if not parameters[name].grad.abs().sum() > 0] == []


@pytest.mark.parametrize("key", KEYS)
def test_training_repeats_exactly(key):
    def train():
        net, (ms, lms, guide) = network(key).train(), scene(height=4, width=4, batch=2)
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
        for _ in range(2):
            optimiser.zero_grad()
            (net(ms, lms, guide) - 0.9 * lms).abs().mean().backward()
            optimiser.step()
        return torch.cat([value.detach().flatten() for value in net.parameters()])

    assert torch.equal(train(), train())


@pytest.mark.parametrize("key", KEYS)
def test_a_batch_equals_its_images_and_single_precision_equals_double(key):
    net, images = network(key), scene(height=6, width=5, batch=2)
    with torch.inference_mode():
        single = net(*images)
        double = [image.double() for image in images]
        together = net.double()(*double)
        alone = torch.cat([net(*(image[i : i + 1] for image in double)) for i in range(2)])
    assert (single.dtype, together.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-7)
    torch.testing.assert_close(single.double(), together, rtol=1e-4, atol=2e-5 * 2047)


@pytest.mark.parametrize("key", KEYS)
def test_mixed_precision(key):
    # A patch of a training is whole, so U2Net sees 32x32 pixels and not a tile of 72x72.
    net, (ms, lms, guide) = network(key).train(key == "u2net"), scene(height=8, width=8)
    with torch.autocast("cpu", torch.bfloat16):
        fused = net(ms, lms, guide)
    plain = net(ms, lms, guide)
    assert (fused.float() - plain).abs().mean() < 0.04 * plain.abs().mean()
    (fused.float() - lms).abs().mean().backward()
    assert all(value.grad.isfinite().all() for value in net.parameters() if value.grad is not None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", KEYS)
def test_cuda_agrees_with_cpu(key):
    net = network(key).double()
    images = [image.double() for image in scene(height=17, width=9, batch=2)]
    expected = net(*images)
    actual = net.cuda()(*(image.cuda() for image in images))
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-8, atol=1e-6)


def test_rsanet_in_small_parts_is_the_same(monkeypatch):
    net = network("rsanet").double()
    images = [image.double() for image in scene(height=8, width=8)]

    def result():
        net.zero_grad()
        fused = net(*images)
        fused.square().mean().backward()
        return torch.stack([fused.detach().sum(), net.head.taps[0].query.weight.grad.sum()])

    whole = result()
    monkeypatch.setattr("waldbench.methods.deep._parts.CPU_BUDGET", 5000)
    torch.testing.assert_close(result(), whole, rtol=1e-10, atol=1e-10)


def test_trrnet_starts_from_xavier_and_loads_without_masks():
    net = network("trrnet")
    conv, linear = net.encoder[2], net.decoder[0].blocks[1].mlp[0]
    assert float(conv.weight.detach().std()) == pytest.approx((2 / (9 * (32 + 64))) ** 0.5, rel=0.05)
    assert float(linear.weight.detach().std()) == pytest.approx((2 / (96 + 384)) ** 0.5, rel=0.05)
    assert not conv.bias.any()
    state = {net._official_name(name): value for name, value in net.state_dict().items()}
    table = next(name for name in state if name.endswith("pos_embedding"))
    net.load_official(state | {table.replace("pos_embedding", "upper_lower_mask"): torch.zeros(64, 64)})


def test_trrnet_stays_within_the_scale():
    with torch.inference_mode():
        fused = network("trrnet")(*scene(height=8, width=8))
    assert fused.min() >= 0
    assert fused.max() <= 2047


def test_trrnet_trains_on_structure_and_common_features():
    net = network("trrnet", 2)
    ms, _, guide, gt = (torch.rand(2, *shape) for shape in ((2, 4, 4), (2, 16, 16), (1, 16, 16), (2, 16, 16)))
    fused, common_ms, common_pan = net.features(ms, guide)
    expected = (
        0.1 * (1 - float(ssim(2047 * fused.detach(), 2047 * gt, sensor=net.sensor).mean()))
        + 0.9 * float((fused - gt).detach().abs().mean())
        + 0.1 * float((common_ms - common_pan).detach().abs().mean())
    )
    assert net.published_loss(ms, gt, guide, gt, 0).item() == pytest.approx(expected, rel=1e-5)
    assert structural_similarity(gt, gt).item() == pytest.approx(1)


def test_mmfn_measures_every_scale():
    net = network("mmfn", 2)
    ms, guide, gt = (torch.rand(1, *shape) for shape in ((2, 5, 3), (1, 20, 12), (2, 20, 12)))
    halved = gt.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean((3, 5))
    quartered = gt.unflatten(2, (-1, 4)).unflatten(4, (-1, 4)).mean((3, 5))
    errors = [(x - y).abs().mean() for x, y in zip(net.stages(ms, guide), (gt, halved, quartered), strict=True)]
    torch.testing.assert_close(net.published_loss(ms, gt, guide, gt, 0), sum(errors) / 3)


def test_mmfn_damps_negative_details():
    net, images = network("mmfn"), scene()
    with torch.inference_mode():
        whole = net(*images)
        net.join_full[2][1].weight.fill_(0)
        net.fuse_full.mix_both[2][1].weight.fill_(0)
        damped = net(*images)
    assert whole.min() < 0
    assert damped.min() >= 0


@pytest.mark.parametrize("key", ["mmfn", "trrnet", "u2net"])
def test_networks_that_enlarge_ms_themselves_ignore_lms(key):
    net, (ms, lms, guide) = network(key), scene()
    with torch.inference_mode():
        assert torch.equal(net(ms, lms, guide), net(ms, lms + 100, guide))


@pytest.fixture
def u2net():
    """U2Net with its published weights, which may not be redistributed."""
    weights = SHARED / "golden/deep/weights_u2net_WV3.npz"
    if not weights.exists():
        pytest.skip("the published weights of U2Net lie in ../shared/golden/deep, outside the project")
    net = methods.create("u2net", sensor=sensors.get("wv3"))
    with np.load(weights) as file:
        net.load_official({name: torch.from_numpy(file[name]) for name in file})
    return net


@pytest.mark.parametrize("image", ["WV3", "WV3_real"])
def test_published_weights_give_u2nets_image(u2net, image):
    ms, guide, expected = tensors(SHARED / f"golden/deep/u2net_{image}.npz", "ms", "pan", "fused")
    with torch.inference_mode():
        torch.testing.assert_close(u2net.fuse(ms, expected, guide), expected, rtol=0, atol=1e-5)


def test_published_weights_and_tiles_give_u2nets_indices(u2net):
    """ERGAS and SAM that the released code reaches on a real scene, clipped as it does."""
    path = SHARED / "data/ms/wv3_full_and_reduced.mat"
    if not path.exists():
        pytest.skip("the scene lies in ../shared/data/ms, outside the project")
    file = loadmat(path)
    ms, gt = (torch.from_numpy(file[name]).permute(2, 0, 1)[None] for name in ("I_MS_LR", "I_MS"))
    guide = torch.from_numpy(file["I_PAN_LR"])[None, None]
    with torch.inference_mode():
        fused = u2net.eval()(ms, gt, guide).clamp(0, 2047)
    found = Scene(ms=ms, lms=gt, guide=guide, gt=gt)
    assert metrics.compute("ergas", fused, found, sensor=u2net.sensor).item() == pytest.approx(7.95, abs=0.005)
    assert metrics.compute("sam", fused, found, sensor=u2net.sensor).item() == pytest.approx(8.60, abs=0.005)


@pytest.mark.parametrize(("ratio", "low", "margin"), [(4, 16, 1), (6, 10, 1), (3, 20, 2), (1, 64, 4)])
def test_u2net_fuses_tile_by_tile(ratio, low, margin):
    net = network("u2net", 1, ratio)
    ms, lms, guide = scene(1, low + 3, low - 2, ratio)
    sides = (2 * low, low)
    wide = [functional.pad(x, [f * margin] * 4, mode="reflect") for x, f in ((ms, 1), (guide, ratio))]
    far = (sides[1] - ms.shape[3], sides[0] - ms.shape[2])
    wide = [functional.pad(x, (0, f * far[0], 0, f * far[1])) for x, f in zip(wide, (1, ratio), strict=True)]
    size = low + 2 * margin
    with torch.inference_mode():
        fused = net(ms, lms, guide) / 2047
        for start in (0, low):
            tile = [x[..., f * start : f * (start + size), :] / 2047 for x, f in zip(wide, (1, ratio), strict=True)]
            inner = net.restore(*tile)[..., ratio * margin : -ratio * margin, ratio * margin : -ratio * margin]
            part = fused[..., ratio * start : ratio * (start + low), :]
            torch.testing.assert_close(part, inner[..., : part.shape[2], : part.shape[3]], rtol=1e-5, atol=1e-5)


def test_u2net_counts_untiled_attention_as_published():
    for count, expected in ((8, 631.8e9), (4, 631.6e9)):
        assert macs(network("u2net", count).train(), 256) == pytest.approx(expected, rel=5e-4)


@pytest.mark.parametrize("count", [4, 8])
def test_sfiin_in_single_precision_is_near_the_golden(count):
    net, golden = formula_network(f"sfiin_B{count}")
    with torch.inference_mode():
        fused = net.fuse(*tensors(GOLDEN / f"scene_B{count}.npz", "ms", "lms", "pan"))
    torch.testing.assert_close(fused[..., ::3, ::3], torch.from_numpy(golden["fused"]), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("count", "parameters", "products"), [(8, 611_936, 2.303e9), (4, 609_628, 2.294e9)])
def test_sfiin_of_another_width_has_the_published_size(count, parameters, products):
    net = network("sfiin", count, width=32)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    assert macs(net, 64) == pytest.approx(products, rel=5e-4)


def test_sfiin_refuses_odd_widths():
    with pytest.raises(ValueError, match="expected a multiple of 4, got 6"):
        network("sfiin", width=6)


def test_sfiin_mixes_by_a_rotation_at_the_start():
    mixing = network("sfiin").blocks[0].spatial[0].mix
    with torch.inference_mode():
        matrix = mixing(torch.eye(16)[..., None, None])[..., 0, 0]
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(16), rtol=0, atol=1e-5)


@pytest.mark.parametrize("width", [8, 9])
def test_the_image_of_a_half_spectrum_is_that_of_the_two_dimensional_transform(width):
    amplitude, phase = (torch.randn(2, 3, 7, width // 2 + 1, dtype=torch.float64) for _ in range(2))
    expected = torch.fft.irfft2(torch.polar(amplitude.abs(), phase), s=(7, width))
    torch.testing.assert_close(sfiin._image(amplitude.abs(), phase, width), expected, rtol=0, atol=1e-7)


def test_sfiin_sums_the_absolute_errors():
    net = network("sfiin", 2)
    ms, lms, guide, gt = (torch.rand(3, *shape) for shape in ((2, 4, 4), (2, 16, 16), (1, 16, 16), (2, 16, 16)))
    expected = (net.fuse(ms, lms, guide) - gt).abs().mean() * 2 * 16 * 16 / 2
    torch.testing.assert_close(net.published_loss(ms, lms, guide, gt, 0), expected)


def test_sfiins_gradients_are_finite_where_channels_are_constant():
    net = network("sfiin")
    for layer in (net.blocks[0].spatial[1], net.blocks[0].frequency.out):
        torch.nn.init.zeros_(layer.weight)
    net(*scene()).square().mean().backward()
    assert all(value.grad.isfinite().all() for value in net.parameters())
