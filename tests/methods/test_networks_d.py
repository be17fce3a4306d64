"""PSRT, DBDENet and networks of hyperspectral images: published weights, weights by formula, sizes, the contract of a network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.methods.formula_weights import values
from waldbench import methods
from waldbench.imaging import sensors
from waldbench.methods.deep.psrt import shuffle, unshuffle

GOLDEN = Path(__file__).parents[1] / "golden/deep"
SHARED = Path(__file__).parents[2] / "../shared/golden/deep"
# Name of the golden vectors by formula.
NAMES = {"psrt": "psrt", "dbdenet": "dbdenet", "hyperkite": "hyperkite", "mda-net": "mdanet", "fpfnet": "fpfnet"}
KEYS = (*NAMES, "hmpnet")
ANY_RATIO = ("psrt", "hyperkite", "hmpnet", "mda-net")
LARGE = ("hyperkite", "mda-net", "fpfnet")
# Constants that leave a softmax: their true gradient is zero.
CANCELLED = ()


def network(key, count=4, ratio=4, guide_bands=1, **options):
    torch.manual_seed(0)
    return methods.create(key, sensor=sensors.generic(count, ratio=ratio), guide_bands=guide_bands, **options).eval()


def images(count=4, height=4, width=5, ratio=4, guide_bands=1, batch=1):
    generator = torch.Generator().manual_seed(count + height + width)
    shapes = (count, height, width), (count, ratio * height, ratio * width), (guide_bands, ratio * height, ratio * width)
    return [2047.0 * torch.rand(batch, *shape, generator=generator) for shape in shapes]


def small(key, height, width):
    """Size of ms for tests of the contract: that of a handful of pixels for the large networks."""
    return (2, 3) if key in LARGE else (height, width)


def tensors(path, names):
    with np.load(path) as file:
        return [torch.from_numpy(file[name]) for name in names]


def formula_network(net, names, shapes, rules, scale):
    """The network with weights by formula; buffers (of batch normalisation) keep their initial values."""
    weights = {
        name: values(k, torch.Size(shapes[name]), rule, scale) for k, (name, rule) in enumerate(zip(names, rules, strict=True))
    }
    buffers = {net._official_name(name): value for name, value in net.named_buffers() if name in net.state_dict()}
    net.load_official(weights | buffers)
    return net


def committed(key, name, count, guide_bands=1):
    """A network with weights by formula, and the arrays of its golden file."""
    with np.load(GOLDEN / f"formula_{name}_B{count}.npz") as file:
        golden = dict(file)
    net, names = network(key, count, guide_bands=guide_bands), golden["names"].tolist()
    shapes = {net._official_name(name): value.shape for name, value in net.named_parameters()}
    # What the released network registers and never uses has no shape here.
    shapes = {name: shapes.get(name, (1,)) for name in names}
    return formula_network(net, names, shapes, golden["rules"].tolist(), float(golden["c"])), golden


# The large networks take seconds: one test each.
THIRDS = [(key, count) for key in NAMES for count in (4, 8) if key not in LARGE or count == 4]
WHOLE = [(key, count) for key in NAMES for count in (4, 8) if key not in LARGE]


@pytest.mark.parametrize(("key", "count"), THIRDS)
def test_every_third_pixel_of_the_formula_golden(key, count):
    net, golden = committed(key, NAMES[key], count)
    with torch.inference_mode():
        fused = net.fuse(*tensors(GOLDEN / f"scene_B{count}.npz", ("ms", "lms", "pan")))
    expected = torch.from_numpy(golden["fused"])
    torch.testing.assert_close(fused[..., ::3, ::3], expected, rtol=1e-5, atol=5e-6 * float(expected.abs().max().clamp(min=1)))


@pytest.mark.skipif(not SHARED.exists(), reason="the full golden vectors lie in ../shared/golden/deep, outside the project")
@pytest.mark.parametrize(("key", "count"), WHOLE)
def test_every_pixel_of_the_formula_golden(key, count):
    name = f"formula_{NAMES[key]}_B{count}"
    entry = json.loads((SHARED / "FORMULA_GOLDENS_2.json").read_text())[name]
    names, shapes, rules = zip(*entry["params"], strict=True)
    net = formula_network(network(key, count), names, dict(zip(names, shapes, strict=True)), rules, entry["c"])
    own = {net._official_name(name): list(value.shape) for name, value in net.named_parameters()}
    assert own == {name: shape for name, shape, _ in entry["params"] if name not in entry["unused"]}
    assert sum(value.numel() for value in net.parameters()) == entry["n_used"]
    *scene, expected = tensors(SHARED / f"{name}.npz", ("ms", "lms", "pan", "fused"))
    with torch.inference_mode():
        fused = net.fuse(*scene)
    torch.testing.assert_close(fused, expected, rtol=1e-5, atol=5e-6 * float(expected.abs().max().clamp(min=1)))


@pytest.mark.parametrize(
    ("key", "name", "count", "guide", "tolerance"),
    [("psrt", "psrt_cave_x4", 31, "rgb", 5e-6), ("hyperkite", "hyperkite_PRISMA", 159, "pan", 5e-6)],
)
def test_published_weights_give_the_published_image(key, name, count, guide, tolerance):
    weights, golden = SHARED / f"weights_{name}.npz", SHARED / f"{name}.npz"
    if not weights.exists() or not golden.exists():
        pytest.skip(f"needs {weights.name} and {golden.name}, which may not be redistributed")
    lms, guide, expected = tensors(golden, ("lms", guide, "fused"))
    net = network(key, count, guide_bands=guide.shape[1])
    with np.load(weights) as file:
        net.load_official({name: torch.from_numpy(file[name]) for name in file})
    with torch.inference_mode():
        torch.testing.assert_close(net.fuse(lms, lms, guide), expected, rtol=0, atol=tolerance)


# Parameters that reach the output, and MACs of the released networks in millions.
PUBLISHED = [
    ("psrt", 8, 1, 233_608, {64: 1_058, 256: 16_930}),
    ("psrt", 4, 1, 231_300, {64: 1_049, 256: 16_780}),
    ("psrt", 31, 3, 247_455, {64: 1_115}),
    ("psrt", 102, 1, 287_846, {64: 1_280}),
    ("psrt", 159, 1, 320_735, {64: 1_414}),
    ("dbdenet", 8, 1, 5_618_392, {64: 7_023, 256: 112_400}),
    ("dbdenet", 4, 1, 5_616_336, {64: 7_015, 256: 112_200}),
    ("dbdenet", 102, 1, 5_666_708, {64: 7_220, 256: 115_500}),
    ("hmpnet", 8, 4, 3_527_215, {64: 13_140, 256: 210_300}),
    ("hmpnet", 31, 4, 3_592_857, {64: 14_480}),
    ("hyperkite", 8, 1, 432_576, {64: 54_090, 256: 865_000}),
    ("hyperkite", 4, 1, 429_056, {64: 54_070}),
    ("hyperkite", 159, 1, 588_861, {}),
    ("mda-net", 8, 1, 11_190_408, {64: 43_400, 256: 694_400}),
    ("mda-net", 4, 1, 11_183_492, {64: 43_370, 256: 693_900}),
    # The published count has a fourth attention of 795,648 parameters.
    ("mda-net", 102, 1, 12_148_582 - 795_648, {64: 44_060}),
    ("fpfnet", 8, 1, 46_604_056, {64: 80_090, 256: 1_281_000}),
    ("fpfnet", 4, 1, 46_593_804, {64: 80_090}),
    # The published count has two unused layers, of which one grows with the bands.
    ("fpfnet", 144, 1, 47_334_710 - 49_878 - 144 * 2_307, {64: 80_320}),
]


@pytest.mark.parametrize(("key", "count", "guide_bands", "parameters", "products"), PUBLISHED)
def test_published_size(key, count, guide_bands, parameters, products):
    net = network(key, count, guide_bands=guide_bands).to("meta")
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    for side, millions in products.items():
        scene = [image.to("meta") for image in images(count, side // 4, side // 4, guide_bands=guide_bands)]
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            net(*scene)
        assert counter.get_total_flops() / 2e6 == pytest.approx(millions, rel=5e-4)


@pytest.mark.parametrize("count", [1, 3, 102, 191])
@pytest.mark.parametrize("key", KEYS)
def test_any_band_count(key, count):
    scene = images(count, *small(key, 4, 5))
    with torch.inference_mode():
        fused = network(key, count)(*scene)
    assert fused.shape == scene[1].shape
    assert fused.isfinite().all()


@pytest.mark.parametrize(("height", "width", "ratio"), [(9, 11, 3), (5, 20, 6), (7, 3, 5), (4, 5, 4), (3, 2, 3)])
@pytest.mark.parametrize("key", KEYS)
def test_any_size_ratio_and_guide_bands(key, height, width, ratio):
    if key not in ANY_RATIO and ratio != 4:
        pytest.skip("tied to ratio 4")
    if key in LARGE and height > 4:
        pytest.skip("needs seconds")
    scene = images(4, height, width, ratio, guide_bands=2, batch=2)
    net = network(key, 4, ratio, guide_bands=2)
    with torch.inference_mode():
        fused, again, swapped = net(*scene), net(*scene), net(*scene[:2], scene[2].flip(1))
    assert fused.shape == scene[1].shape
    assert torch.equal(fused, again)
    assert not torch.allclose(fused, swapped, rtol=1e-4)


@pytest.mark.parametrize("key", KEYS)
def test_gradient_reaches_every_parameter(key):
    net, scene = network(key).train(), images(4, *small(key, 8, 8), batch=2)
    (net(*scene) - scene[1]).square().mean().backward()
    silent = [name for name, value in net.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert [name for name in silent if not name.endswith(CANCELLED)] == []


@pytest.mark.parametrize("key", KEYS)
def test_a_batch_equals_its_images(key):
    net, scene = network(key).double(), [image.double() for image in images(4, *small(key, 6, 7), batch=3)]
    with torch.inference_mode():
        alone = [net(*(image[index : index + 1] for image in scene)) for index in range(3)]
        torch.testing.assert_close(net(*scene), torch.cat(alone), rtol=1e-10, atol=1e-7)


@pytest.mark.parametrize("key", KEYS)
def test_single_precision_agrees_with_double(key):
    net, scene = network(key, 8), images(8, *small(key, 8, 8))
    with torch.inference_mode():
        single = net(*scene)
        double = net.double()(*(image.double() for image in scene))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=2e-5 * 2047)


@pytest.mark.parametrize("key", sorted(set(KEYS) - set(LARGE)))
def test_mixed_precision(key):
    net, scene = network(key), images(4, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        fused = net(*scene)
    assert (fused.float() - net(*scene)).abs().mean() < 0.02 * 2047
    (fused.float() - scene[1]).abs().mean().backward()
    assert all(value.grad.isfinite().all() for value in net.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", KEYS)
def test_cuda_agrees_with_cpu(key):
    net, scene = network(key).double(), [image.double() for image in images(4, *small(key, 9, 11), batch=2)]
    with torch.inference_mode():
        expected = net(*scene)
        actual = net.cuda()(*(image.cuda() for image in scene))
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-8, atol=1e-6)


def test_hmpnet_with_three_images():
    net, golden = committed("hmpnet", "hmpnet", 8, guide_bands=4)
    *scene, expected = (torch.from_numpy(golden[name]) for name in ("ms", "msi", "pan", "fused"))
    with torch.inference_mode():
        torch.testing.assert_close(net.unfold(*scene)[..., ::3, ::3], expected, rtol=1e-5, atol=5e-6)


def test_hmpnet_reads_the_multispectral_image_from_the_bands_after_pan():
    net, (ms, lms, guide) = network("hmpnet", guide_bands=4), [image / 2047 for image in images(4, 4, 5, guide_bands=4)]
    halved = torch.nn.functional.avg_pool2d(guide[:, 1:], 2)
    with torch.inference_mode():
        torch.testing.assert_close(net.fuse(ms, lms, guide), net.unfold(ms, halved, guide[:, :1]), rtol=1e-5, atol=1e-6)
        assert not torch.allclose(net.unfold(ms, halved, guide[:, :1]), net.unfold(ms, None, guide[:, :1]), rtol=1e-3)


def test_the_loss_of_hmpnet_counts_edges():
    net, (ms, lms, guide) = network("hmpnet"), [image / 2047 for image in images(4, 4, 4)]
    fused = net.fuse(ms, lms, guide).detach()
    # A constant error has no edges; every step of a staircase that grows by 0.1 a row does.
    torch.testing.assert_close(net.published_loss(ms, lms, guide, fused + 0.5, 0), torch.tensor(0.5))
    stairs = torch.arange(16.0)[:, None].mul(0.1).expand(1, 4, 16, 16)
    net.fuse = lambda *_: stairs
    expected = stairs.mean() + 0.3 * 0.1
    torch.testing.assert_close(net.published_loss(ms, lms, guide, torch.zeros_like(stairs), 0), expected)


@pytest.mark.parametrize("key", sorted(set(KEYS) - set(ANY_RATIO)))
def test_networks_of_ratio_four_say_so(key):
    if key not in LARGE:
        assert methods.supports(key, sensors.generic(102), "hs") is None
        assert methods.supports(key, sensors.get("wv3"), "ms") is None
    assert "ratio 4" in methods.supports(key, sensors.generic(8, ratio=6), "hs")
    with pytest.raises(ValueError, match="ratio 4"):
        network(key, ratio=6)


@pytest.mark.parametrize("key", LARGE)
def test_networks_too_large_for_a_cpu_say_so(key, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "too much for a CPU above 64x64" in methods.supports(key, sensors.get("pavia"), "hs")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert methods.supports(key, sensors.get("pavia"), "hs") is None


def test_the_intensity_of_dbdenet_is_the_mean_of_the_bands():
    net, (ms, lms, guide) = network("dbdenet"), images(4, 8, 8)
    with torch.inference_mode():
        lifted = net.fuse(ms, lms, guide) - net.fuse(ms.mean(1, keepdim=True).expand_as(ms), lms, guide)
    # Bands that differ and have the same mean differ in the bicubic image alone.
    expected = torch.nn.functional.interpolate(ms - ms.mean(1, keepdim=True), scale_factor=4, mode="bicubic")
    torch.testing.assert_close(lifted, expected, rtol=1e-4, atol=0.05)


def test_shuffled_tiles_land_in_the_quadrant_of_their_parity():
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(8), indexing="ij")
    image = torch.stack([rows, columns], -1)[None].float()
    shuffled = shuffle(image, 2)
    parity = shuffled.long() // 2 % 2
    assert torch.equal(parity[0, ..., 0], torch.tensor([0] * 6 + [1] * 6)[:, None].expand(12, 8))
    assert torch.equal(parity[0, ..., 1], torch.tensor([0] * 4 + [1] * 4).expand(12, 8))
    # Rows 0 and 1 are a tile, the next even tile begins with row 4.
    assert shuffled[0, :6, 0, 0].tolist() == [0, 1, 4, 5, 8, 9]
    assert torch.equal(unshuffle(shuffled, 2), image)


def test_windows_in_small_parts_change_nothing(monkeypatch):
    net, scene = network("psrt").double(), [image.double() for image in images(4, 8, 8)]
    leaf = scene[1].requires_grad_()

    def result():
        fused = net(*scene)
        return torch.cat([fused.flatten(), torch.autograd.grad(fused.square().mean(), leaf)[0].flatten()])

    whole = result()
    monkeypatch.setattr("waldbench.methods.deep._parts.CPU_BUDGET", 1 << 15)
    torch.testing.assert_close(result(), whole, rtol=1e-10, atol=1e-9)
