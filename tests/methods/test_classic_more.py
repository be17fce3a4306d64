"""What is particular to single classic methods."""

from __future__ import annotations

import pytest
import torch

from tests.methods.test_classic import fuse, make_scene
from waldbench import methods
from waldbench.imaging import interp23, sensors
from waldbench.imaging.clustering import kmeans, nearest
from waldbench.imaging.resampling import imresize
from waldbench.methods.multiresolution.indusion import _expand, _reduce
from waldbench.methods.variational import _tv_solver
from waldbench.methods.variational._tv_solver import Problem, Solver
from waldbench.methods.variational.tv import SETTINGS

VARIATIONAL = [key for key in methods.names() if methods.card(key).family == "variational"]


@pytest.mark.parametrize("key", [*VARIATIONAL, "c-gsa", "c-bdsd", "fe-hpm", "indusion"])
def test_brings_the_guides_details_into_the_bands(key):
    sensor, scene = make_scene(4, 4, 32, 29)
    errors = [(image - scene.gt).square().mean() for image in (scene.lms, fuse(key, sensor, scene))]
    # The guided filter smooths the components over its windows: it gains little on so small a scene.
    assert errors[1] < (1 if key == "gfpca" else 0.8) * errors[0]


@pytest.mark.parametrize("strip", [1, 2**9, 2**20])
@pytest.mark.parametrize("height", [1, 7, 8])
def test_tv_strips_do_not_change_the_result(strip, height, monkeypatch):
    _, scene = make_scene(4, 4, height, 6)
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4]).double().view(1, 4, 1, 1).expand(2, -1, -1, -1)
    problem = Problem(scene.ms, scene.guide, weights, torch.full((2, 1, 1, 1), 1.3).double(), 20.0, 4)
    monkeypatch.setattr(_tv_solver, "STRIP", strip)
    torch.testing.assert_close(Solver(problem).run(12), plain_tv(problem, 12), rtol=1e-9, atol=1e-9)


def plain_tv(problem: Problem, iterations: int) -> torch.Tensor:
    """The published iteration with explicit matrices for the differences."""
    height, width = problem.guide.shape[-2:]
    down, right = (torch.diff(torch.eye(size, dtype=torch.float64), dim=0) for size in (height, width))
    x = torch.zeros_like(problem.guide).expand(-1, problem.ms.shape[1], -1, -1)
    rows, columns = torch.zeros_like(down @ x), torch.zeros_like(x @ right.mT)
    for _ in range(iterations):
        guess = imresize(problem.ms - imresize(x, 1 / problem.ratio, "linear"), problem.ratio, "linear")
        goal = problem.alpha * x + guess + problem.weights * (problem.guide - (problem.weights * x).sum(1, keepdim=True))
        slope = torch.zeros_like(x)
        slope[..., :-1, :] += (down @ x) ** 2
        slope[..., :-1] += (x @ right.mT) ** 2
        size = 2 * problem.alpha / problem.smoothness * slope.sqrt() + 8
        free = goal - down.mT @ rows - columns @ right
        rows = (8 * rows + down @ free) / size[..., :-1, :]
        columns = (8 * columns + free @ right.mT) / size[..., :-1]
        x = (goal - down.mT @ rows - columns @ right) / problem.alpha
    return x


def test_tv_uses_the_parameters_it_is_told():
    sensor, scene = make_scene(4, 4)
    results = [
        methods.create("tv", sensor=sensor, tuned_for=name)(scene.ms, scene.lms, scene.guide) for name in ("ikonos", "ge1")
    ]
    assert not torch.allclose(*results)
    with pytest.raises(ValueError, match="expected one of wv3, ikonos, ge1"):
        methods.create("tv", sensor=sensor, tuned_for="landsat")
    with pytest.raises(ValueError, match="8 bands"):
        methods.create("tv", sensor=sensor, tuned_for="wv3")
    with pytest.raises(ValueError, match="at least 4 bands"):
        methods.create("tv", sensor=sensors.generic(3), variant="toolbox")


@pytest.mark.parametrize("key", SETTINGS)
def test_tv_settings_fit_their_sensors(key):
    assert len(SETTINGS[key].weights) == sensors.get(key).count
    assert sum(SETTINGS[key].weights) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_induction_is_undone_by_reduction(ratio):
    low = torch.rand(1, 2, 7, 10, dtype=torch.float64)
    torch.testing.assert_close(_reduce(_expand(low, ratio), ratio), low)
    sensor, scene = make_scene(3, ratio)
    if ratio < 8:
        fused = methods.create("indusion", sensor=sensor)(scene.ms, scene.lms, scene.guide)
        torch.testing.assert_close(_reduce(fused, ratio), scene.ms)
        assert methods.supports("indusion", sensors.generic(4, 3), "ms")


def test_bicubic_keeps_straight_lines_and_the_sampling_phase():
    ramp = torch.arange(12.0, dtype=torch.float64).expand(1, 1, 9, 12)
    fine = methods.create("bicubic", sensor=sensors.generic(1))(ramp, interp23(ramp, 4), interp23(ramp, 4))
    expected = (torch.arange(48.0, dtype=torch.float64) - 2) / 4
    torch.testing.assert_close(fine[0, 0, 10, 8:-8], expected[8:-8])


@pytest.mark.parametrize("key", ["c-gsa", "c-bdsd"])
def test_labels_are_used_whatever_their_numbers(key):
    sensor, scene = make_scene(3, 4, 32, 29)
    labels = (scene.guide[:, 0] > scene.guide.median()).long()
    results = [
        methods.create(key, sensor=sensor, labels=given)(scene.ms, scene.lms, scene.guide)
        for given in (labels, 7 * labels - 3, torch.zeros_like(labels))
    ]
    torch.testing.assert_close(results[0], results[1])
    assert not torch.allclose(results[0], results[2])


def test_c_gsa_with_one_segment_has_the_gains_of_the_whole_image():
    sensor, scene = make_scene(3, 4)
    one = methods.create("c-gsa", sensor=sensor, segments=1)(scene.ms, scene.lms, scene.guide)
    labels = torch.ones(scene.guide.shape[-2:], dtype=torch.long)
    torch.testing.assert_close(one, methods.create("c-gsa", sensor=sensor, labels=labels)(scene.ms, scene.lms, scene.guide))


def test_c_bdsd_falls_back_to_the_global_model_where_the_guides_weight_is_negative():
    sensor, scene = make_scene(3, 4, 32, 29, batch=1)
    guide, labels = scene.guide.clone(), torch.zeros(scene.guide.shape[-2:], dtype=torch.long)
    labels[:, :60] = 1
    # On the left the guide is the negative of the scene: there its details would be taken away.
    guide[..., :60] = 2000 - guide[..., :60]
    result = methods.create("c-bdsd", sensor=sensor, labels=labels)(scene.ms, scene.lms, guide)
    overall = methods.create("c-bdsd", sensor=sensor, labels=torch.zeros_like(labels))(scene.ms, scene.lms, guide)
    torch.testing.assert_close(result[..., :60], overall[..., :60])
    assert not torch.allclose(result[..., 60:], overall[..., 60:])


def test_kmeans_finds_separate_groups():
    centres = torch.tensor([[0.0, 0.0], [5.0, 5.0], [0.0, 9.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(3, (2, 500), generator=generator)
    features = (centres[labels] + 0.3 * torch.randn(2, 500, 2, generator=generator)).mT
    found = kmeans(features, 3)
    groups = nearest(features, found)
    for image in range(2):
        pairs = set(zip(labels[image].tolist(), groups[image].tolist(), strict=True))
        assert len(pairs) == 3
    assert torch.equal(found, kmeans(features, 3))


def test_fe_hpm_finds_the_blur_between_guide_and_bands():
    """Bands that are blurred copies of the guide: the estimated kernel is as wide as the blur."""
    sensor, scene = make_scene(4, 4, 48, 48)
    method = methods.create("fe-hpm", sensor=sensor)
    kernel = method._estimate(scene.lms, scene.guide)
    assert kernel.shape == (2, 1, 25, 25)
    torch.testing.assert_close(kernel.sum((1, 2, 3)), torch.ones(2, dtype=torch.float64))
    place = torch.arange(25.0, dtype=torch.float64)
    profile = kernel.sum((1, 2))
    centre = (profile * place).sum(-1)
    spread = ((profile * place**2).sum(-1) - centre**2).sqrt()
    assert bool(((spread > 1) & (spread < 5)).all())
