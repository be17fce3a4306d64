"""Plain convolutional networks: official weights, weights by formula, published sizes, and the contract of a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.methods.formula_weights import values
from waldbench import methods
from waldbench.imaging import sensors
from waldbench.methods.deep._blocks import two_scales

SHARED = Path(__file__).parents[2] / "../shared"
GOLDEN = Path(__file__).parents[1] / "golden/deep"

# Trainable parameters with 8 and 4 bands, multiplications at 64x64 pixels with 8 and 4 bands.
SIZES = {
    "a-pnn": (79_880, 61_124, 385.2e6),
    "bdpn": (1_487_069, 1_481_273, 3.804e9, 60.636e9 / 16),
    "dicnn": (46_792, 42_180, 191.1e6, 2.756e9 / 16),
    "drpnn": (433_465, 418_365, 1.774e9, 27.399e9 / 16),
    "gppnn": (238_592, 119_808, 694.2e6, 5.587e9 / 16),
    "msdcnn": (228_556, 189_852, 935.0e6, 12.424e9 / 16),
    "pannet": (83_024, 77_640, 323.1e6, 5.006e9 / 16),
    "srppnn": (906_870, 897_654, 1.385e9, 21.847e9 / 16),
    "tfnet": (2_366_329, 2_362_869, 1.732e9, 27.492e9 / 16),
}
KEYS = tuple(SIZES)
OFFICIAL = {"pannet": "pannet", "msdcnn": "msdcnn", "drpnn": "drpnn", "dicnn": "dicnn1"}
FORMULA = ("bdpn_B8", "gppnn_B4", "gppnn_B8", "srppnn_B4", "srppnn_B8", "tfnet_B4")
# Counted among the parameters of the released network, which never uses it.
UNUSED = {"bdpn": {"unused.weight"}}


def network(key, count=4, ratio=4, guide_bands=1, **options):
    torch.manual_seed(0)
    return methods.create(key, sensor=sensors.generic(count, ratio=ratio), guide_bands=guide_bands, **options)


def images(count=4, height=4, width=5, ratio=4, guide_bands=1, batch=1, scale=2047.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(count + height + width)
    shapes = (count, height, width), (count, ratio * height, ratio * width), (guide_bands, ratio * height, ratio * width)
    return [scale * torch.rand(batch, *shape, generator=generator).to(dtype) for shape in shapes]


def shared(*parts):
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"reference file {'/'.join(parts)} is not part of the project")
    return path


def tensors(path):
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file if file[name].dtype.kind == "f"}


@pytest.mark.parametrize("sensor", ["wv3", "qb"])
@pytest.mark.parametrize("key", OFFICIAL)
def test_official_weights_give_the_official_image(key, sensor):
    name, folder = OFFICIAL[key], sensor.upper()
    golden = tensors(shared("golden", "deep", f"{name}_{folder}.npz"))
    # That file of the toolbox is misspelt.
    weights = "panet" if (name, sensor) == ("pannet", "qb") else name
    state = torch.load(shared("weights", "dlpan", folder, f"{weights}.pth"), map_location="cpu", weights_only=True)
    net = methods.create(key, sensor=sensors.get(sensor))
    net.load_official(state)
    with torch.inference_mode():
        fused = net.fuse(golden["ms"], golden["lms"], golden["pan"])
    torch.testing.assert_close(fused, golden["fused"], rtol=0, atol=1e-5)


def test_a_pnn_with_the_weights_of_pnn_adds_the_image_of_pnn_to_lms():
    golden = tensors(shared("golden", "deep", "pnn_QB.npz"))
    net = methods.create("a-pnn", sensor=sensors.get("qb"), filters=64)
    net.load_official(torch.load(shared("weights", "dlpan", "QB", "pnn.pth"), map_location="cpu", weights_only=True))
    with torch.inference_mode():
        details = net.fuse(golden["ms"], golden["lms"], golden["pan"]) - golden["lms"]
    torch.testing.assert_close(details, golden["raw_net_output"], rtol=0, atol=1e-5)


def official_state(net, key):
    return {net._official_name(name): value.clone() + 1 for name, value in network(key).state_dict().items()}


@pytest.mark.parametrize("key", [*OFFICIAL, "a-pnn"])
def test_weights_that_do_not_fit_are_named(key):
    net = network(key)
    state = official_state(net, key)
    net.load_official(state | {f"{prefix}0.conv20.weight": torch.zeros(1) for prefix in net.copies})
    assert all(torch.equal(net.state_dict()[name], state[net._official_name(name)]) for name in net.state_dict())
    with pytest.raises(ValueError, match=r"left over \['conv9\.bias'\]; use the file of this network"):
        net.load_official(state | {"conv9.bias": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"missing \['conv1\.weight'\]"):
        net.load_official({name: value for name, value in state.items() if name != "conv1.weight"})
    with pytest.raises(ValueError, match=r"unexpected shapes .*a sensor with 8 bands"):
        network(key, 8).load_official(state)


def formula_image(key, bands, file):
    """The network with weights by formula on the golden scene; TFNet's golden is before its stretch from [-1, 1]."""
    net, scene = network(key, bands), tensors(GOLDEN / f"scene_B{bands}.npz")
    own = dict(net.named_parameters())
    assert set(own) == set(file["names"])
    with torch.inference_mode():
        for k, (name, rule) in enumerate(zip(file["names"], file["rules"], strict=True)):
            own[name].copy_(values(k, own[name].shape, str(rule), float(file["c"])))
        if key == "tfnet":
            return 2 * net.fuse(scene["ms"], (scene["lms"] + 1) / 2, (scene["pan"] + 1) / 2) - 1
        return net.fuse(scene["ms"], scene["lms"], scene["pan"])


@pytest.mark.parametrize("case", FORMULA)
def test_weights_by_formula_give_the_released_networks_image(case):
    key, bands = case.split("_B")
    with np.load(GOLDEN / f"formula_{case}.npz") as file:
        golden = torch.from_numpy(file["fused"])
        fused = formula_image(key, int(bands), file)
    torch.testing.assert_close(fused[..., ::2, ::2], golden, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("key", KEYS)
def test_parameters_are_those_of_the_released_network(key):
    for count, expected in zip((8, 4), SIZES[key], strict=False):
        assert sum(parameter.numel() for parameter in network(key, count).parameters()) == expected


@pytest.mark.parametrize("key", KEYS)
def test_multiplications_are_those_of_the_released_network(key):
    for count, expected in zip((8, 4), SIZES[key][2:], strict=False):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(key, count)(*images(count, 16, 16))
        # The published table has four digits or more.
        assert counter.get_total_flops() / 2 == pytest.approx(expected, rel=5e-4)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("count", [1, 3, 4, 8, 13, 102])
def test_any_band_count(key, count):
    ms, lms, guide = images(count)
    with torch.inference_mode():
        fused = network(key, count)(ms, lms, guide)
    assert fused.shape == lms.shape
    assert fused.isfinite().all()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("guide_bands", [1, 2])
@pytest.mark.parametrize(("height", "width", "ratio"), [(9, 11, 4), (9, 11, 3), (5, 4, 6), (7, 5, 2), (9, 7, 1)])
def test_any_size_and_ratio(key, height, width, ratio, guide_bands):
    ms, lms, guide = images(3, height, width, ratio, guide_bands, batch=2)
    with torch.inference_mode():
        fused = network(key, 3, ratio, guide_bands)(ms, lms, guide)
    assert fused.shape == lms.shape
    assert fused.isfinite().all()


@pytest.mark.parametrize("key", KEYS)
def test_every_guide_band_matters(key):
    ms, lms, guide = images(guide_bands=2, height=6, width=6)
    net = network(key, guide_bands=2)
    with torch.inference_mode():
        before = net(ms, lms, guide)
        for band in range(2):
            changed = guide.clone()
            changed[:, band] = changed[:, band].flip(-1)
            assert not torch.allclose(net(ms, lms, changed), before, rtol=1e-4)


@pytest.mark.parametrize("key", KEYS)
def test_gradients_reach_every_parameter_that_the_network_uses(key):
    net = network(key)
    net(*images(height=8, width=8, batch=2)).square().mean().backward()
    silent = {name for name, value in net.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0}
    assert silent == UNUSED.get(key, set())


@pytest.mark.parametrize("key", KEYS)
def test_training_repeats_exactly(key):
    def train():
        net, scene = network(key), images(batch=2)
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
        for _ in range(2):
            optimiser.zero_grad()
            (net(*scene) - 0.9 * scene[1]).abs().mean().backward()
            optimiser.step()
        return torch.cat([value.detach().flatten() for value in net.parameters()])

    assert torch.equal(train(), train())


@pytest.mark.parametrize("key", KEYS)
def test_a_batch_equals_its_images_and_single_precision_equals_double(key):
    net, scene = network(key), images(height=6, width=5, batch=2)
    with torch.inference_mode():
        single = net(*scene)
        net.double()
        double = [image.double() for image in scene]
        together = net(*double)
        alone = torch.cat([net(*(image[i : i + 1] for image in double)) for i in range(2)])
    assert single.dtype == torch.float32
    assert together.dtype == torch.float64
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-7)
    torch.testing.assert_close(single.double(), together, rtol=1e-4, atol=1e-5 * 2047)


@pytest.mark.parametrize("key", ["bdpn", "srppnn"])
def test_deep_stacks_without_normalisation_start_within_reach_of_the_image(key):
    scene = images(height=16, width=16)
    with torch.inference_mode():
        assert network(key)(*scene).abs().mean() < 3 * scene[1].mean()


@pytest.mark.parametrize(("key", "tail"), [("pannet", "tail"), ("dicnn", "details.4"), ("a-pnn", "details.4")])
def test_without_details_the_image_is_lms(key, tail):
    net, (ms, lms, guide) = network(key), images()
    for parameter in net.get_submodule(tail).parameters():
        torch.nn.init.zeros_(parameter)
    with torch.inference_mode():
        torch.testing.assert_close(net(ms, lms, guide), lms)


def test_pannet_sees_high_frequencies_only():
    net, (ms, lms, guide) = network("pannet").double(), images(dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(net(ms + 300, lms, guide + 700), net(ms, lms, guide))


@pytest.mark.parametrize("key", ["bdpn", "gppnn"])
def test_networks_that_enlarge_ms_themselves_ignore_lms(key):
    net, (ms, lms, guide) = network(key), images()
    with torch.inference_mode():
        assert torch.equal(net(ms, lms, guide), net(ms, lms + 100, guide))


def test_ranges_that_the_last_activation_enforces():
    scene = images(height=8, width=8)
    with torch.inference_mode():
        assert network("msdcnn")(*scene).min() == 0
        fused = network("tfnet")(*scene)
    assert fused.min() >= 0
    assert fused.max() <= 2047


@pytest.mark.parametrize(("ratio", "scales"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (6, (3, 2)), (8, (4, 2))])
def test_two_scales_multiply_to_the_ratio(ratio, scales):
    assert two_scales(ratio) == scales
