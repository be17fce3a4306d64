from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from tests.metrics.test_indices import compute, scene_for
from waldbench import metrics
from waldbench.imaging import Scene, interp23, sensors
from waldbench.metrics import conventions
from waldbench.metrics.conventions import HS, TABLE, TORCHMETRICS

WAYS = [(key, name) for key, names in sorted(TABLE.items()) for name in names]


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy and clean images with structure, one image of five bands."""
    generator = torch.Generator().manual_seed(0)
    gt = interp23(torch.rand(1, 5, 12, 12, generator=generator, dtype=torch.float64), 4) * 1200 + 300
    return gt + 80 * torch.randn(gt.shape, generator=generator, dtype=torch.float64), gt


def ours(key: str, fused: torch.Tensor, gt: torch.Tensor, convention: str = TORCHMETRICS) -> float:
    scene = Scene(gt[..., ::4, ::4], gt, gt[:, :1], gt)
    return float(metrics.compute(key, fused, scene, sensor=sensors.generic(gt.shape[1]), convention=convention))


@pytest.mark.parametrize(
    ("key", "function", "options"),
    [
        ("sam", "spectral_angle_mapper", {}),
        ("ergas", "error_relative_global_dimensionless_synthesis", {"ratio": 4}),
        ("psnr", "peak_signal_noise_ratio", {"data_range": 2047.0}),
        ("ssim", "structural_similarity_index_measure", {"data_range": 2047.0}),
        ("uiqi", "universal_image_quality_index", {}),
    ],
)
def test_torchmetrics_is_met(key, function, options, pair):
    functional = pytest.importorskip("torchmetrics.functional.image")
    fused, gt = pair
    assert ours(key, fused, gt) == pytest.approx(float(getattr(functional, function)(fused, gt, **options)), rel=1e-6)


def test_the_spectral_distortion_of_torchmetrics_is_met(pair):
    functional = pytest.importorskip("torchmetrics.functional.image")
    fused, lms = pair
    assert ours("d_lambda", fused, lms) == pytest.approx(float(functional.spectral_distortion_index(lms, fused)), rel=1e-5)


@pytest.mark.parametrize(("key", "convention"), WAYS)
@pytest.mark.parametrize("count", [1, 4])
def test_every_convention_gives_one_finite_value_per_image(key, convention, count):
    scene = scene_for("r_q2n", count)
    values = compute(key, scene.lms, scene, convention=convention)
    assert values.shape == (2,)
    assert bool(torch.isfinite(values).all())
    flat = replace(scene.map(torch.zeros_like), mask=scene.mask)
    if key != "psnr":
        assert bool(torch.isfinite(compute(key, flat.lms, flat, convention=convention)).all())


@pytest.mark.parametrize(("key", "convention"), WAYS)
def test_a_convention_differs_exactly_if_its_text_says_so(key, convention):
    scene = scene_for("r_q2n", 4)
    dark = replace(scene, gt=scene.gt.index_fill(2, torch.tensor([3]), 0.0))
    fused = (scene.lms + scene.gt) / 2
    same = torch.equal(compute(key, fused, dark), compute(key, fused, dark, convention=convention))
    assert same == TABLE[key][convention].startswith("as dlpan")


def test_sam_conventions_of_a_dark_pixel():
    gt = torch.tensor([[[[1.0, 1.0]], [[0.0, 1.0]]]], dtype=torch.float64)
    fused = torch.tensor([[[[0.0, 0.0]], [[1.0, 0.0]]]], dtype=torch.float64)
    sam = metrics.catalogue["sam"].load()
    assert [float(sam(fused, gt, convention=name)) for name in conventions.known("sam")] == [
        90,
        45,
        45,
        pytest.approx(math.pi / 2),
    ]
    assert float(sam(torch.zeros_like(gt), gt, convention=TORCHMETRICS)) == pytest.approx(math.pi / 2)


@pytest.mark.parametrize(
    ("key", "known"), [("sam", "'dlpan', 'hs-toolbox', 'cloud-removal', 'torchmetrics-compatible'"), ("cc", "'dlpan' only")]
)
def test_an_unknown_convention_is_refused_with_the_known_ones(key, known):
    scene = scene_for(key)
    with pytest.raises(ValueError, match=f"{known}, got 'mine'"):
        compute(key, scene.lms, scene, convention="mine")


@pytest.mark.parametrize("key", ["sam", "ssim", "uiqi", "d_lambda", "d_lambda_k", "d_s_reg", "rqnr"])
def test_the_functions_themselves_refuse_an_unknown_convention(key):
    scene = scene_for(key)
    images = {name: getattr(scene, name) for name in metrics.card(key).needs}
    extra = {} if key in {"sam", "uiqi", "d_lambda", "d_s_reg"} else {"sensor": sensors.generic(4)}
    with pytest.raises(ValueError, match="got 'mine'"):
        metrics.catalogue[key].load()(scene.lms, **images, convention="mine", **extra)


def test_an_index_without_the_convention_is_refused():
    scene = scene_for("cc")
    with pytest.raises(ValueError, match="cc knows the convention 'dlpan' only"):
        compute("cc", scene.lms, scene, convention=HS)


def test_cards_state_the_conventions():
    assert set(TABLE) <= set(metrics.names())
    for key in metrics.names():
        lines = metrics.card(key).conventions
        assert [line.split(": ")[0] for line in lines] == list(TABLE.get(key, {}))
    assert metrics.card("sam").conventions[2].startswith("torchmetrics-compatible: radians")


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["lms", "gt"])
def test_one_bad_value_in_any_image_is_refused(bad, name):
    scene = scene_for("sam")
    getattr(scene, name)[1, 2, 5, 7] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        compute("sam", scene.lms, scene)


def test_infinities_of_both_signs_do_not_cancel():
    scene = scene_for("sam")
    scene.gt[0, 0, 0, 0], scene.gt[0, 0, 0, 1] = torch.inf, -torch.inf
    with pytest.raises(ValueError, match="gt has NaN"):
        compute("sam", scene.lms, scene)


def test_a_sum_beyond_the_largest_float_is_no_error():
    scene = scene_for("sam").map(lambda image: torch.full_like(image, 3e38).float())
    assert compute("mae", scene.lms, scene).tolist() == [0, 0]
