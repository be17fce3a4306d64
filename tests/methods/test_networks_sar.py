"""DSen2-CR, GLF-CR, UnCRtainTS and the 3-D U-Net: weights by formula, published sizes, window attention, the contract."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.methods.formula_weights import values
from waldbench import methods
from waldbench.imaging import sensors
from waldbench.methods.deep._windows import FORBIDDEN, join, partition, relative_positions, shift_mask
from waldbench.methods.deep.glf_cr import dynamic_filter

GOLDEN = Path(__file__).parents[1] / "golden/deep"
KEYS = ("dsen2-cr", "dsen2-cr-lite", "glf-cr", "uncrtaints", "unet3d-like")
# Two of the networks are large: everything that does not need their size runs on these.
LIGHT = ("dsen2-cr-lite", "uncrtaints", "unet3d-like")

# The released network updates its SAR features once more than it reads them.
WITHOUT_PATH = {"fusions.5.to_sar.weight", "fusions.5.to_sar.bias"}


def network(key, count=13, guide_bands=2, **options):
    torch.manual_seed(0)
    return methods.create(key, sensor=sensors.generic(count, ratio=1), guide_bands=guide_bands, **options).eval()


def images(count=13, height=16, width=16, batch=1, guide_bands=2):
    """Cloudy image and guide, both in [0, 1]."""
    generator = torch.Generator().manual_seed(count + height + width)
    return [torch.rand(batch, bands, height, width, generator=generator) for bands in (count, guide_bands)]


def fused(net, image, guide):
    with torch.inference_mode():
        return net.fuse(image, image, guide)


def formula_network(key, file):
    net = network(key)
    own = {net._official_name(name): value for name, value in net.state_dict().items()}
    pairs = enumerate(zip(file["names"].tolist(), file["rules"].tolist(), strict=True))
    net.load_official({name: values(k, own[name].shape, rule, float(file["c"])) for k, (name, rule) in pairs})
    return net


def test_dsen2_cr_by_formula():
    with np.load(GOLDEN / "formula_dsen2cr_B8.npz") as file:
        net, expected, stack = (
            formula_network("dsen2-cr", file),
            torch.from_numpy(file["fused"]),
            torch.from_numpy(file["input15"]),
        )
    optical, sar = stack.split((13, 2), 1)
    with torch.inference_mode():
        torch.testing.assert_close(net.core(optical, sar)[..., ::2, ::2], expected, rtol=1e-5, atol=5e-6)
    torch.testing.assert_close(5 * fused(net, optical / 5, sar / 2)[..., ::2, ::2], expected, rtol=1e-4, atol=1e-5)


def test_glf_cr_by_formula():
    with np.load(GOLDEN / "formula_glfcr_32_B8.npz") as file:
        net, expected = formula_network("glf-cr", file), torch.from_numpy(file["fused"])
        result = fused(net, torch.from_numpy(file["optical"]), torch.from_numpy(file["sar"]))
    torch.testing.assert_close(result[..., ::2, ::2], expected, rtol=1e-5, atol=5e-6)


def test_released_buffers_of_glf_cr_are_left_aside():
    net = network("glf-cr")
    state = {net._official_name(name): value for name, value in net.state_dict().items()}
    net.load_official(
        state | {"RDBs.0.convs.1.attn_mask": torch.zeros(1), "RDBs.0.convs.0.attn.relative_position_index": torch.zeros(1)}
    )
    with pytest.raises(ValueError, match=r"left over \['other.weight'\]"):
        net.load_official(state | {"other.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("key", "parameters", "millions"),
    [
        ("dsen2-cr", 18_947_341, {64: 77_570, 128: 310_300, 256: 1_241_200}),
        ("glf-cr", 14_827_373, {64: 15_600, 128: 62_410}),
        ("uncrtaints", 520_218, {64: 1_689, 256: 27_020}),
    ],
)
def test_published_size(key, parameters, millions):
    net = network(key).to("meta")
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    for side, expected in millions.items():
        image, guide = (torch.empty(1, bands, side, side, device="meta") for bands in (13, 2))
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            net.fuse(image, image, guide)
        assert counter.get_total_flops() / 2e6 == pytest.approx(expected, rel=5e-4)


def test_own_sizes():
    counts = {key: sum(value.numel() for value in network(key).parameters()) for key in ("dsen2-cr-lite", "unet3d-like")}
    assert counts == {"dsen2-cr-lite": 459_341, "unet3d-like": 345_821}
    assert sum(value.numel() for value in network("dsen2-cr", width=64, depth=6).parameters()) == counts["dsen2-cr-lite"]
    with pytest.raises(ValueError, match="at least 1"):
        network("dsen2-cr", depth=0)
    with pytest.raises(ValueError, match="at least 1"):
        network("unet3d-like", width=0)


@pytest.mark.parametrize(("count", "height", "width", "guide_bands"), [(13, 17, 9, 2), (4, 33, 20, 2), (3, 8, 40, 1)])
@pytest.mark.parametrize("key", KEYS)
def test_any_size_and_band_count(key, count, height, width, guide_bands):
    image, guide = images(count, height, width, guide_bands=guide_bands)
    net = network(key, count, guide_bands)
    result = fused(net, image, guide)
    assert result.shape == image.shape
    assert torch.equal(result, fused(net, image, guide))
    assert not torch.allclose(result, fused(net, image, torch.zeros_like(guide)), rtol=1e-4)


@pytest.mark.parametrize("key", KEYS)
def test_gradient_reaches_every_parameter(key):
    image, guide = images(batch=2, height=16, width=32)
    net = network(key)
    net.fuse(image, image, guide).square().mean().backward()
    silent = {name for name, value in net.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0}
    assert silent == (WITHOUT_PATH if key == "glf-cr" else set())


@pytest.mark.parametrize("key", [*LIGHT, "glf-cr"])
def test_a_batch_equals_its_images(key):
    net = network(key).double()
    image, guide = (x.double() for x in images(batch=2))
    alone = [fused(net, image[i : i + 1], guide[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(fused(net, image, guide), torch.cat(alone), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("key", [*LIGHT, "glf-cr"])
def test_single_precision_agrees_with_double(key):
    net, (image, guide) = network(key), images()
    single = fused(net, image, guide)
    torch.testing.assert_close(single.double(), fused(net.double(), image.double(), guide.double()), rtol=1e-4, atol=2e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", KEYS)
def test_cuda_agrees_with_cpu(key):
    net, scene = network(key).double(), [x.double() for x in images(height=17, width=40)]
    expected = fused(net, *scene)
    torch.testing.assert_close(fused(net.cuda(), *(x.cuda() for x in scene)).cpu(), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("key", LIGHT)
def test_learns_to_remove_a_cloud(key):
    torch.manual_seed(0)
    clear = torch.rand(4, 13, 16, 16)
    guide = clear[:, :2] + clear[:, 2:4]
    cloudy = clear.clone()
    cloudy[..., 4:12, 4:12] = 0.9
    net = network(key).train()
    optimizer, losses = torch.optim.Adam(net.parameters(), lr=3e-3), []
    for _ in range(12):
        optimizer.zero_grad()
        loss = (net.fuse(cloudy, cloudy, guide) - clear).abs().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_uncrtaints_predicts_means_in_range_and_positive_variances():
    net, (image, guide) = network("uncrtaints"), images()
    with torch.inference_mode():
        means, variances = net.distribution(image, guide)
    assert means.shape == variances.shape == image.shape
    assert all(0 < value < 1 for value in (means.min(), means.max()))
    assert variances.min() > 0
    assert torch.equal(means, fused(net, image, guide))


def test_glf_cr_drops_branches_in_training_only():
    net, (image, guide) = network("glf-cr"), images()
    assert torch.equal(fused(net, image, guide), fused(net, image, guide))
    net.train()
    assert not torch.equal(fused(net, image, guide), fused(net, image, guide))
    rates = [layer.drop for stage in net.stages for layer in stage.layers]
    assert (rates[0], rates[-1]) == (0, pytest.approx(0.2))


def test_windows_are_joined_as_they_were_split():
    x = torch.rand(2, 3, 16, 24)
    tokens = partition(x, 8)
    assert tokens.shape == (2, 6, 64, 3)
    assert torch.equal(tokens[1, 4].T.view(3, 8, 8), x[1, :, 8:, 8:16])
    assert torch.equal(join(tokens, 16, 24), x)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 24)])
def test_the_mask_parts_pixels_that_only_the_shift_brought_together(height, width):
    mask = shift_mask(height, width, 8, 4, like=torch.zeros(1))
    place = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()
    origin = partition(place.roll((-4, -4), (1, 2))[None], 8)[0]
    distance = (origin[:, :, None] - origin[:, None]).abs()
    # In windows that wrap round, pixels of the far edge (the last four rows) meet those of the near one (the first four).
    far = origin >= torch.tensor([height, width]) - 4
    near = origin < 4
    meet = (far[:, :, None] & near[:, None]) | (near[:, :, None] & far[:, None])
    assert set(mask.unique().tolist()) == {0.0, FORBIDDEN}
    assert torch.equal(mask != 0, meet.any(-1))
    assert distance[mask == 0].max() < 8


def test_relative_positions_are_those_of_the_offsets():
    index = relative_positions(3)
    assert index.shape == (9, 9)
    assert index.unique().numel() == 25
    # One pixel down is the same offset everywhere.
    assert index[3, 0] == index[8, 5] == index[4, 1] == (2 + 1) * 5 + 2
    assert index.diagonal().unique().tolist() == [12]


def test_dynamic_filter_of_one_tap_shifts():
    x = torch.rand(1, 2, 6, 7)
    kernel = torch.zeros(1, 50, 6, 7)
    # The tap above right of the centre, in the second channel.
    kernel[:, 25 + 1 * 5 + 3] = 2.0
    result = dynamic_filter(x, kernel)
    assert not result[:, 0].any()
    torch.testing.assert_close(result[:, 1, 1:, :-1], 2 * x[:, 1, :-1, 1:])
    torch.testing.assert_close(result[:, 1, 0, :-1], 2 * x[:, 1, 0, 1:])
