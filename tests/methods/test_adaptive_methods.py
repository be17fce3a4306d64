"""Z-PNN, lambda-PNN, R-PNN and PCA-Z-PNN: networks, losses without reference, adaptation to the image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tests.methods.formula_weights import values
from waldbench import interp23, methods
from waldbench.imaging import sensors
from waldbench.methods.adaptive import Adaptive, descend, unadapted
from waldbench.methods.deep._full_resolution import (
    CubeLosses,
    Structure,
    band_kernel,
    blurred,
    correlation,
    cube_kernel,
    guide_kernel,
    inner,
    nearest_offsets,
    sampled,
    threshold,
)
from waldbench.methods.deep._half_pixels import Reprojection, half_pixel_offsets, moved
from waldbench.methods.deep._hypercomplex import product, q2n
from waldbench.methods.deep.lambda_pnn import _ergas
from waldbench.methods.deep.pca_z_pnn import ComponentNetwork, Components, ranges
from waldbench.methods.deep.r_pnn import steps_of_bands, structural_weights
from waldbench.metrics import hypercomplex

GOLDEN = Path(__file__).parents[1] / "golden/deep"
SHARED = Path(__file__).parents[2] / "../shared/golden/deep"
MULTISPECTRAL = ("z-pnn", "lambda-pnn")
KEYS = (*MULTISPECTRAL, "r-pnn", "pca-z-pnn")


def arrays(name, folder=GOLDEN):
    if not (folder / f"{name}.npz").exists():
        pytest.skip(f"needs {name}.npz, which may not be redistributed")
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(np.asarray(file[key])) for key in file if file[key].dtype.kind != "U"}


def names_and_rules(name):
    with np.load(GOLDEN / f"formula_{name}.npz") as file:
        return file["names"].tolist(), file["rules"].tolist(), float(file["c"])


def by_formula(net, name):
    names, rules, scale = names_and_rules(name)
    shapes = {net._official_name(own): value.shape for own, value in net.named_parameters()}
    pairs = enumerate(zip(names, rules, strict=True))
    net.load_official({name: values(k, shapes[name], rule, scale) for k, (name, rule) in pairs})
    return net


def network(key, count=4, ratio=4, **options):
    torch.manual_seed(0)
    return methods.create(key, sensor=sensors.generic(count, ratio=ratio), **options).eval()


def scene(count=4, height=16, width=16, ratio=4, guide_bands=1, batch=1):
    """Smooth bands with a common structure, and a guide that shows it sharply."""
    draw = torch.Generator().manual_seed(count + height + width)
    coarse = torch.rand(batch, 1, height // 2 + 2, width // 2 + 2, generator=draw)
    size = (height * ratio, width * ratio)
    detail = functional.interpolate(coarse, size=size, mode="bicubic") + 0.1 * torch.rand(batch, 1, *size, generator=draw)
    weights = torch.rand(batch, count, 1, 1, generator=draw) + 0.5
    ms = 800 * functional.avg_pool2d(detail, ratio) * weights
    guide = 1000 * detail.repeat(1, guide_bands, 1, 1) + 10 * torch.rand(batch, guide_bands, *size, generator=draw)
    return ms, interp23(ms, ratio), guide


# Networks


@pytest.mark.parametrize("count", [4, 8])
@pytest.mark.parametrize("key", MULTISPECTRAL)
def test_weights_by_formula_give_the_released_networks_image(key, count):
    name = f"{key.replace('-', '')}_B{count}"
    net, golden = network(key, count), arrays(f"formula_{name}")
    names, rules, scale = names_and_rules(name)
    shapes = {net._official_name(own): value.shape for own, value in net.named_parameters()}
    net.load_official(
        {name: values(k, shapes[name], rule, scale) for k, (name, rule) in enumerate(zip(names, rules, strict=True))}
    )
    images = arrays(f"scene_B{count}")
    with torch.inference_mode():
        fused = net.fuse(images["ms"], images["lms"], images["pan"])
    torch.testing.assert_close(fused[..., ::3, ::3], golden["fused"], rtol=1e-5, atol=5e-6)


def test_r_pnn_by_formula():
    net, golden = network("r-pnn", 1, ratio=6), arrays("formula_rpnn_B1")
    names, rules, scale = names_and_rules("rpnn_B1")
    shapes = {net._official_name(own): value.shape for own, value in net.named_parameters()}
    net.load_official(
        {name: values(k, shapes[name], rule, scale) for k, (name, rule) in enumerate(zip(names, rules, strict=True))}
    )
    with torch.inference_mode():
        fused = net.fuse(golden["lms"], golden["lms"], golden["pan"])
        # Every band of a cube is treated like a cube of one band.
        cube = net.fuse(golden["lms"], torch.cat([golden["lms"], golden["lms"] / 2], 1), golden["pan"])
        half = net.fuse(golden["lms"], golden["lms"] / 2, golden["pan"])
    torch.testing.assert_close(fused[..., ::3, ::3], golden["fused"], rtol=1e-5, atol=5e-6)
    torch.testing.assert_close(cube, torch.cat([fused, half], 1))


def test_pca_z_pnn_by_formula():
    net, golden = ComponentNetwork(4, 1), arrays("formula_pcazpnn_B4")
    _, rules, scale = names_and_rules("pcazpnn_B4")
    with torch.no_grad():
        for k, (value, rule) in enumerate(zip(net.parameters(), rules, strict=True)):
            value.copy_(values(k, value.shape, rule, scale))
        sharpened = net(torch.cat([golden["lms"], golden["pan"]], 1))
    torch.testing.assert_close(sharpened[..., ::3, ::3], golden["fused"], rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize(("key", "name", "sensor"), [("lambda-pnn", "lambdapnn_WV3", "wv3"), ("r-pnn", "rpnn_PRISMA", None)])
def test_published_weights_give_the_published_image(key, name, sensor):
    golden, weights = arrays(name, SHARED), arrays(f"weights_{name}", SHARED)
    net = methods.create(key, sensor=sensors.get(sensor) if sensor else sensors.generic(1, ratio=6)).eval()
    net.load_official(weights)
    with torch.inference_mode():
        fused = net.fuse(golden["ms"], golden["lms"], golden["pan"])
    torch.testing.assert_close(fused, golden["fused"], rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("key", "count", "parameters", "millions"),
    [
        ("z-pnn", 8, 79_880, 385.2),
        ("z-pnn", 4, 61_124, 291.4),
        ("lambda-pnn", 8, 207_150, 829.4),
        ("lambda-pnn", 4, 198_442, 793.8),
        ("r-pnn", 1, 43_473, 191.5),
        ("r-pnn", 5, 43_473, 5 * 191.5),
    ],
)
def test_published_size(key, count, parameters, millions):
    net = network(key, count).to("meta")
    assert sum(value.numel() for value in net.parameters()) == parameters
    # Shapes have nothing to adapt to: this is the network alone, as published for 64 x 64 pixels.
    images = [image.to("meta") for image in scene(count)]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(*images)
    assert counter.get_total_flops() / 2e6 == pytest.approx(millions, rel=5e-4)


def test_published_size_of_pca_z_pnn():
    net = ComponentNetwork(4, 1)
    assert sum(value.numel() for value in net.parameters()) == 51_396
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.rand(1, 5, 64, 64))
    assert counter.get_total_flops() / 2e6 == pytest.approx(210.2, rel=5e-4)
    assert [module.components for module in network("pca-z-pnn", 12).networks] == [4, 4]


# Losses on given images


def multispectral_loss(golden, gains):
    kernels = torch.stack([band_kernel(gain, 4) for gain in gains])
    limit = threshold(golden["lms"], golden["pan"], kernels[0], 8)
    labels = inner(golden["lms"], 20)[..., 2::4, 2::4]
    middle = [2] * len(gains)
    offsets = golden["rows"].int().tolist(), golden["cols"].int().tolist()
    spectral = [(sampled(golden["output"], kernels, *where, 4) - labels).abs().mean() for where in ((middle, middle), offsets)]
    return kernels, limit, spectral, Structure(golden["pan"], limit, 2)(golden["output"])


@pytest.mark.parametrize(("count", "sensor", "folder"), [(4, "ge1", GOLDEN), (8, "wv3", SHARED)])
def test_the_losses_of_z_pnn(count, sensor, folder):
    golden = arrays(f"loss_zpnn_B{count}", folder)
    kernels, limit, spectral, structural = multispectral_loss(golden, sensors.get(sensor).mtf)
    torch.testing.assert_close(kernels[: len(golden["mtf"])].float(), golden["mtf"], rtol=0, atol=4e-9)
    step = -(-64 // golden["threshold"].shape[-1])
    torch.testing.assert_close(limit[..., ::step, ::step].float(), golden["threshold"], rtol=0, atol=3e-7)
    for found, name in zip(spectral, ("spectral", "spectral_shifted"), strict=True):
        torch.testing.assert_close(found.float(), golden[name], rtol=0, atol=5e-9)
    for found, name in zip(structural, ("structural", "structural_without_threshold"), strict=True):
        torch.testing.assert_close(found, golden[name].double(), rtol=0, atol=3e-8)


@pytest.mark.parametrize(("count", "sensor", "folder"), [(4, "ge1", GOLDEN), (8, "wv3", SHARED)])
def test_the_losses_of_lambda_pnn(count, sensor, folder):
    golden = arrays(f"loss_lambdapnn_B{count}", folder)
    kernels = [band_kernel(gain, 4) for gain in sensors.get(sensor).mtf]
    offsets = list(zip(golden["shift_rows"].int().tolist(), golden["shift_cols"].int().tolist(), strict=True))
    output = golden["output"]
    for where, name in (([(0, 0)] * count, "downgraded"), (offsets, "downgraded_shifted")):
        # The released sums over 1,681 single-precision products are off by this much themselves.
        torch.testing.assert_close(Reprojection(kernels, where, output, 4)(output), golden[name], rtol=0, atol=2e-6)
    limit, step = threshold(golden["lms"], golden["pan"], kernels[0], 8), -(-64 // golden["threshold"].shape[-1])
    torch.testing.assert_close(limit[:, :2, ::step, ::step].float(), golden["threshold"], rtol=0, atol=3e-7)
    structural, _ = Structure(golden["pan"], limit, 2)(output)
    torch.testing.assert_close(structural, golden["structural"].double(), rtol=0, atol=3e-8)
    labels, low = golden["labels32"], golden["downgraded32"]
    torch.testing.assert_close(_ergas(low, labels), golden["ergas32"].double(), rtol=0, atol=2e-8)
    quality = q2n(low * 2048, labels * 2048, rounded=True)
    torch.testing.assert_close(1 - quality, golden["one_minus_q2n32"].double(), rtol=0, atol=3e-9)


def test_the_losses_of_r_pnn():
    golden = arrays("loss_rpnn")
    losses = CubeLosses(golden["band_lr"], golden["band"], golden["pan"], 6)
    torch.testing.assert_close(losses.structure.threshold[..., ::3, ::3].float(), golden["threshold"], rtol=0, atol=1e-7)
    for found, name in zip(losses(golden["output"]), ("spectral", "structural", "structural_without_threshold"), strict=True):
        torch.testing.assert_close(found.float(), golden[name], rtol=0, atol=6e-8)


def test_kernels_keep_what_they_are_published_to_keep():
    assert float(band_kernel(0.3, 4).sum()) == pytest.approx(1)
    assert float(cube_kernel(6, 61).sum()) == pytest.approx(0.99877, abs=5e-6)
    assert float(guide_kernel(0.14, 4).sum()) != pytest.approx(1, abs=1e-5)


def test_the_structural_loss_counts_what_lies_above_the_threshold():
    draw = torch.Generator().manual_seed(0)
    guide, output = torch.rand(1, 1, 12, 12, generator=draw), torch.rand(1, 2, 12, 12, generator=draw)
    lack = 1 - correlation(output, guide, 2)
    low, high = (Structure(guide, torch.full_like(lack, limit), 2)(output) for limit in (-1.0, 3.0))
    torch.testing.assert_close(low, (lack.mean(), lack.mean()))
    torch.testing.assert_close(high, (torch.zeros_like(lack.mean()), lack.mean()))
    # Where negative correlation counts as none, nothing lacks more than 1.
    positive = Structure(guide, torch.full_like(lack, -1.0), 2, positive=True)(output)[0]
    torch.testing.assert_close(positive, lack.clamp(max=1).mean())


@pytest.mark.parametrize(("count", "size"), [(1, (32, 32)), (3, (50, 70)), (4, (16, 40)), (8, (32, 64))])
def test_q2n_is_the_index(count, size):
    draw = torch.Generator().manual_seed(count)
    x = 2000 * torch.rand(2, count, *size, generator=draw, dtype=torch.float64)
    y = (x + 100 * torch.randn(x.shape, generator=draw, dtype=torch.float64)).clamp(min=0).requires_grad_()
    if count > 1:
        x[:, -1] = 0
    expected = hypercomplex.q2n(y.detach(), x).mean()
    rounded, smooth = q2n(y, x, rounded=True), q2n(y, x, rounded=False)
    torch.testing.assert_close(rounded, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(smooth, expected, rtol=0, atol=5e-5)
    (gradient,) = torch.autograd.grad(rounded, y)
    assert not gradient.any()
    (gradient,) = torch.autograd.grad(smooth, y)
    assert gradient.isfinite().all()
    assert gradient.any()


def test_products_of_hypercomplex_numbers_keep_the_modulus():
    a, b = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(product(a, b).norm(dim=-1), a.norm(dim=-1) * b.norm(dim=-1))


class Answer(torch.nn.Module):
    """Stands in for layers that have found the true details."""

    def __init__(self, details):
        super().__init__()
        self.register_buffer("details", details)

    def forward(self, x):
        return self.details


@pytest.mark.parametrize(
    ("key", "margin", "kernel"), [("z-pnn", 8, band_kernel), ("lambda-pnn", 0, band_kernel), ("r-pnn", 0, None)]
)
def test_the_true_image_has_no_spectral_loss(key, margin, kernel):
    count = 1 if key == "r-pnn" else 4
    truth, guide = (image / 2048 for image in scene(count, 20, 18)[1:])
    kernel = cube_kernel(4) if key == "r-pnn" else band_kernel(0.3, 4)
    low = blurred(functional.pad(truth, (20,) * 4, mode="replicate"), kernel.expand(count, -1, -1))
    # Low-resolution pixel k lies on pixel 4 k + 2.
    ms = low[..., 2::4, 2::4]
    lms = interp23(ms, 4)
    net = network(key, count, **({} if key == "r-pnn" else {"registration": False}))
    net.details = Answer(inner(truth - lms, margin))
    assert net.objective(ms, lms, guide)()[1] < 2e-5
    net.details = Answer(torch.zeros_like(inner(truth, margin)))
    assert net.objective(ms, lms, guide)()[1] > 1e-4


# Registration


def test_offsets_below_the_ratio_are_recovered():
    draw = torch.Generator().manual_seed(0)
    guide = 1000 * functional.interpolate(torch.rand(1, 1, 40, 40, generator=draw), scale_factor=3.0, mode="bicubic")
    kernel = band_kernel(0.3, 4)
    low = blurred(functional.pad(guide, (20,) * 4, mode="replicate"), kernel[None])
    offsets = [(0, 0), (3, 1), (2, 2)]
    ms = torch.cat([low[..., row::4, column::4] * (1 + row) for row, column in offsets], 1)
    rows, columns = nearest_offsets(ms, guide, kernel, 4)
    assert list(zip(rows, columns, strict=True)) == offsets


def test_half_pixels_are_recovered_and_undone():
    draw = torch.Generator().manual_seed(0)
    guide = functional.interpolate(torch.rand(1, 1, 20, 22, generator=draw), scale_factor=4.0, mode="bicubic")
    kernel = guide_kernel(0.15, 4)
    low = blurred(functional.pad(guide, (20,) * 4, mode="replicate"), kernel[None])
    offsets = [(0, 0), (1, -2), (3, 4), (-3, 0)]
    assert half_pixel_offsets(torch.cat([moved(low, *offset) for offset in offsets], 1), guide, kernel, 8) == offsets
    # Two half pixels are a whole one.
    torch.testing.assert_close(moved(low, 2, -2)[..., 1:, :-1], low[..., :-1, 1:])
    torch.testing.assert_close(inner(moved(moved(low, 1, 0), -1, 0), 12), inner(low, 12), rtol=0, atol=1e-4)


# Adaptation


def released(registration=True):
    golden = arrays("zpnn_WV3_adaptation", SHARED)
    net = methods.create("z-pnn", sensor=sensors.get("wv3"), registration=registration).eval()
    net.load_official(arrays("weights_zpnn_WV3", SHARED))
    ms, pan = golden["ms"].float(), golden["pan"].float()
    return net, (ms, interp23(ms, 4), pan), golden


def test_the_first_steps_of_z_pnn_are_the_released_ones():
    net, images, golden = released()
    with torch.inference_mode():
        before, after = net.adapt(*images, iterations=0), net.adapt(*images, iterations=6)
    torch.testing.assert_close(before.fused[..., :64, :64] / 2048, golden["fused_before_crop"], rtol=0, atol=1e-5)
    torch.testing.assert_close(after.history, golden["history"][:6], rtol=0, atol=2.4e-5)
    offsets = net._offsets(images[0] / 2048, images[2] / 2048, band_kernel(0.325, 4))
    assert offsets == (golden["rows"].tolist(), golden["cols"].tolist())


def test_z_pnn_without_registration():
    net, images, golden = released(registration=False)
    history = net.adapt(*images, iterations=6).history
    torch.testing.assert_close(history, golden["history_without_registration"][:6], rtol=0, atol=2.4e-5)


@pytest.mark.parametrize("key", KEYS)
def test_the_forward_pass_adapts_and_leaves_the_network_as_it_was(key):
    net, images = network(key, iterations=1), scene()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.inference_mode():
        fused, again = net(*images), net(*images)
        adapted, plain = net.adapt(*images), net.adapt(*images, iterations=0)
    assert torch.equal(fused, again)
    assert torch.equal(fused, adapted.fused)
    assert not torch.equal(fused, plain.fused)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert adapted.history.shape[1] == len(adapted.terms) == len(net.adaptation.terms)
    assert len(plain.history) == 0


@pytest.mark.parametrize("key", KEYS)
def test_without_steps_it_is_the_network(key):
    net, images = network(key, iterations=0), scene()
    with torch.inference_mode():
        expected = net.fuse(*(image / net.scale for image in images)) * net.scale
        torch.testing.assert_close(net(*images), expected)
        torch.testing.assert_close(network(key, iterations=3).train()(*images), expected)


@pytest.mark.parametrize("key", KEYS)
def test_adaptation_lowers_the_loss(key):
    count = 1 if key == "r-pnn" else 4
    history = network(key, count, iterations=12).adapt(*scene(count)).history[:, 0]
    # The second half belongs to the second range of PCA-Z-PNN.
    assert history[:12].argmin() > 6
    assert history[:12].min() < 0.97 * history[0]


def test_adaptation_brings_the_image_to_ms():
    net, images = network("z-pnn", iterations=40), scene()
    net.adaptation = net.published(sensors.generic(4))
    adapted = net.adapt(*images)
    assert adapted.terms[1] == "spectral"
    assert adapted.history[-1, 1] < 0.7 * adapted.history[0, 1]


@pytest.mark.parametrize("key", KEYS)
def test_a_batch_equals_its_images(key):
    net, images = network(key, 2, iterations=1), scene(2, batch=2, height=11, width=13)
    alone = [net(*(image[index : index + 1] for image in images)) for index in range(2)]
    torch.testing.assert_close(net(*images), torch.cat(alone))


@pytest.mark.parametrize(("height", "width"), [(3, 5), (17, 7), (6, 30)])
@pytest.mark.parametrize("key", KEYS)
def test_any_size_and_two_guide_bands(key, height, width):
    net, images = network(key, 5, guide_bands=2, iterations=1), scene(5, height, width, guide_bands=2)
    fused = net(*images)
    assert fused.shape == images[1].shape
    assert fused.isfinite().all()


@pytest.mark.parametrize(("count", "ratio"), [(1, 6), (3, 3), (9, 5)])
@pytest.mark.parametrize("key", ["r-pnn", "pca-z-pnn"])
def test_cubes_of_any_band_count_and_ratio(key, count, ratio):
    images = scene(count, 12, 11, ratio)
    fused = network(key, count, ratio, iterations=1)(*images)
    assert fused.shape == images[1].shape
    assert fused.isfinite().all()


@pytest.mark.parametrize("key", KEYS)
def test_double_precision_stays(key):
    images, net = scene(2), network(key, 2, iterations=1)
    single, double = net(*images), net.double()(*(image.double() for image in images))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    # One step of Adam moves every weight by its learning rate times a sign: where a gradient is about zero, either way.
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2.0)


@pytest.mark.parametrize("key", KEYS)
def test_a_guide_of_zeros_is_allowed(key):
    ms, lms, guide = scene()
    assert network(key, iterations=1)(ms, lms, torch.zeros_like(guide)).isfinite().all()


@pytest.mark.parametrize("key", KEYS)
def test_the_published_loss_needs_no_reference(key):
    net, images = network(key).train(), scene(batch=2)
    empty = torch.full_like(images[1], float("nan"))
    loss = net.own_loss(*images, empty, 0)
    loss.backward()
    assert all(value.grad.isfinite().all() and value.grad.any() for value in net.parameters())
    torch.testing.assert_close(loss, net.published_loss(*(image / net.scale for image in images), empty, 0))


def test_the_released_q2n_only_chooses_the_state():
    images = scene(height=32, width=32)

    def gradients(**options):
        net = network("lambda-pnn", registration=False, **options)
        terms = net.objective(*(image / net.scale for image in images))()
        return terms, torch.autograd.grad(terms[0], list(net.parameters()))

    (loss, ergas, quality, structural, _), released = gradients()
    _, smooth = gradients(smooth_q2n=True)
    torch.testing.assert_close(loss, 0.075 * ergas + 1.5 * quality + 7 * structural)
    assert not any(torch.equal(one, other) for one, other in zip(released, smooth, strict=True))
    net = network("lambda-pnn", registration=False)
    terms = net.objective(*(image / net.scale for image in images))()
    alone = torch.autograd.grad(0.075 * terms[1] + 7 * terms[3], list(net.parameters()))
    torch.testing.assert_close(released, alone)


def test_the_best_state_is_kept_one_step_late():
    weight = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(weight.weight, 1.0)
    # A step of 0.75 from 1 lands at 0.25, then -0.5: the smallest loss is measured at 0.25, the state kept is -0.5.
    history = descend(
        weight, lambda: (weight.weight.abs().sum(), weight.weight.sum()), torch.optim.SGD(weight.parameters(), lr=0.75), 3
    )
    assert history == [[1.0, 1.0], [0.25, 0.25], [0.5, -0.5]]
    assert weight.weight.item() == -0.5


def test_r_pnn_spends_steps_by_the_distance_of_bands():
    assert steps_of_bands((400, 409, 420, 450, 1000, 990)) == [20, 15, 30, 60, 80, 30]
    assert structural_weights((690.0, 700.0, 701.0, 650.0)) == [0.5, 0.5, 0.25, 0.25]
    net = network("r-pnn", 3, iterations=2)
    centres = sensors.generic(3).centres
    assert len(net.adapt(*scene(3)).history) == sum(round(steps / 10) for steps in steps_of_bands(centres))


def test_r_pnn_has_one_optimiser_for_all_bands(monkeypatch):
    made = []
    monkeypatch.setattr(Adaptive, "optimiser", lambda self: made.append(torch.optim.Adam(self.parameters())) or made[-1])
    steps = len(network("r-pnn", 2, iterations=1).adapt(*scene(2)).history)
    assert [int(state["step"]) for optimiser in made for state in optimiser.state.values()] == [steps] * 6


def test_the_bands_of_r_pnn_follow_one_another():
    net, (ms, lms, guide) = network("r-pnn", 2, iterations=2), scene(2)
    together = net.adapt(ms, lms, guide).fused
    swapped = net.adapt(ms.flip(1), lms.flip(1), guide).fused.flip(1)
    assert not torch.equal(together, swapped)
    first = network("r-pnn", 1, iterations=2).adapt(ms[:, :1], lms[:, :1], guide).fused
    torch.testing.assert_close(together[:, :1], first)


def test_ranges_share_the_band_at_770_nm():
    assert ranges((500, 769, 770, 900)) == [(slice(0, 3), 0.5), (slice(2, None), 0.25)]
    assert ranges((500, 600)) == [(slice(0, 3), 0.5)]
    assert ranges((800, 900)) == [(slice(0, None), 0.25)]


def test_components_are_those_of_the_covariance():
    ms = torch.rand(2, 6, 9, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ms[:, :3] += 3 * torch.rand(2, 1, 9, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    components = Components(ms, 6)
    found = components.of(ms).flatten(2)
    covariance = found @ found.mT
    diagonal = covariance.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(covariance, torch.diag_embed(diagonal), rtol=0, atol=1e-9)
    assert (diagonal.diff() <= 0).all()
    assert (components.axes.sum(1) >= 0).all()
    torch.testing.assert_close(components.bands(components.of(ms)) + components.mean, ms)


def test_the_later_range_wins_the_band_that_both_have():
    sensor = sensors.get("pavia")
    net = methods.create("pca-z-pnn", sensor=sensor, iterations=0).eval()
    images = scene(sensor.count)
    with torch.no_grad():
        before = net(*images)
        for value in net.networks[1].parameters():
            value.zero_()
        after = net(*images)
    split = net.ranges[1][0].start
    assert sensor.centres[split - 1] < 770 <= sensor.centres[split]
    assert torch.equal(before[:, :split], after[:, :split])
    torch.testing.assert_close(after[:, split:], images[1][:, split:])
    assert not torch.allclose(before[:, split:], after[:, split:])


@pytest.mark.parametrize("key", MULTISPECTRAL)
def test_published_rates_depend_on_the_sensor(key):
    rates = {name: methods.create(key, sensor=sensors.get(name)).adaptation for name in ("wv3", "wv2", "ge1", "qb")}
    assert rates["qb"] == rates["ge1"] != rates["wv3"]
    assert all(rule.iterations == 100 for rule in rates.values())
    assert "structural" in rates["wv3"].loss


@pytest.mark.parametrize("key", MULTISPECTRAL)
def test_multispectral_losses_are_tied_to_ratio_four(key):
    assert methods.supports(key, sensors.get("wv3"), "ms") is None
    assert "ratio 4" in methods.supports(key, sensors.generic(4, ratio=2), "ms")
    with pytest.raises(ValueError, match="ratio 4"):
        network(key, ratio=2)


def test_adaptive_methods_say_so():
    for key in KEYS:
        net = network(key)
        assert net.adapts
        assert isinstance(net, Adaptive)
        assert "iterations" in methods.options(key)
        assert net.iterations == net.adaptation.iterations > 0
    assert not methods.create("a-pnn", sensor=sensors.generic(4)).adapts
    assert not network("pca-z-pnn").trainable
    assert network("z-pnn").trainable


def test_unadapted_sets_the_steps_aside():
    net, other = network("z-pnn", iterations=7), methods.create("dhp-darn", sensor=sensors.generic(4), iterations=3)
    with unadapted(net):
        assert net.iterations == 0
    with pytest.raises(KeyError), unadapted(net):
        raise KeyError
    assert net.iterations == 7
    with unadapted(other):
        assert other.iterations == 3


def test_wrong_arguments_are_named():
    net, images = network("z-pnn"), scene(batch=2)
    with pytest.raises(ValueError, match="one image, got a batch of 2"):
        net.adapt(*images)
    with pytest.raises(ValueError, match="0 or more, got -1"):
        net.adapt(*(image[:1] for image in images), iterations=-1)
    with pytest.raises(ValueError, match="0 or more, got -2"):
        network("z-pnn", iterations=-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", KEYS)
def test_cuda_agrees_with_cpu(key):
    net, images = network(key, iterations=2).double(), [image.double() for image in scene()]
    expected = net(*images)
    actual = net.cuda()(*(image.cuda() for image in images))
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-6, atol=1e-3)
