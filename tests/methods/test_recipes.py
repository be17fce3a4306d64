"""Published recipes: every network has one, its loss reaches the weights, and losses of several outputs are what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from waldbench import methods
from waldbench.imaging import sensors
from waldbench.methods.base import Network
from waldbench.methods.recipes import Recipe

# Networks of ours, or made for the benchmark as a stand-in: nobody published a training of them.
WITHOUT = {"unet3d-like"}
DEEP = [key for key in methods.names() if methods.card(key).family == "deep"]
# Slow ones whose loss is the default; their smaller relatives or the rest of the list show that it works.
SLOW = {"dsen2-cr", "glf-cr"}


def _images(net, side=32, count=2):
    torch.manual_seed(1)
    c, g, low = net.sensor.count, net.guide_bands, side // net.ratio
    ms, guide = torch.rand(count, c, low, low), torch.rand(count, g, side, side)
    lms, gt = torch.rand(count, c, side, side), torch.rand(count, c, side, side)
    return ms, lms, guide, gt


@pytest.mark.parametrize("key", [key for key in DEEP if key not in WITHOUT | SLOW])
def test_a_published_loss_is_finite_and_trains(key):
    torch.manual_seed(0)
    net = methods.create(key, sensor=sensors.get("qb"))
    assert isinstance(net, Network)
    assert isinstance(net.recipe, Recipe)
    loss = net.published_loss(*_images(net, side=16 + 4 * net.loss_margin, count=1), 0)
    loss.backward()
    assert loss.ndim == 0
    assert loss.isfinite()
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("key", sorted(WITHOUT & set(DEEP)))
def test_networks_without_a_publication_have_none(key):
    assert methods.create(key, sensor=sensors.get("qb")).recipe is None


@pytest.fixture
def qb():
    return sensors.get("qb")


def test_own_loss_takes_digital_numbers(qb):
    net = methods.create("fusionnet", sensor=qb)
    images = _images(net)
    torch.testing.assert_close(net.own_loss(*(image * qb.scale for image in images), 0), net.published_loss(*images, 0))


def test_the_margin_is_left_out(qb):
    net = methods.create("pnn", sensor=qb)
    ms, lms, guide, gt = _images(net)
    spoilt = gt.clone()
    spoilt[..., :8, :] = spoilt[..., -8:] = 99
    assert torch.equal(net.published_loss(ms, lms, guide, gt, 0), net.published_loss(ms, lms, guide, spoilt, 0))


def test_bdpn_moves_from_the_half_scale_to_the_image(qb):
    net = methods.create("bdpn", sensor=qb).eval()
    ms, lms, guide, gt = _images(net)
    middle, fused = net.pyramid(ms, guide)
    half = ((middle - gt[..., ::2, ::2]).square() + 1e-6).sqrt().mean()
    full = ((fused - gt).square() + 1e-6).sqrt().mean()
    for epoch, share in ((0, 1.0), (5, 0.95), (50, 0.5), (100, 0.0), (500, 0.0)):
        torch.testing.assert_close(net.published_loss(ms, lms, guide, gt, epoch), share * half + (1 - share) * full)


@pytest.mark.parametrize(
    ("key", "weights", "criterion"),
    [("mucnn", (0.2, 0.3, 0.5), functional.l1_loss), ("tdnet", (0.4, 0.6), functional.mse_loss)],
)
def test_losses_at_several_scales(qb, key, weights, criterion):
    net = methods.create(key, sensor=qb).eval()
    ms, lms, guide, gt = _images(net)
    outputs = net.stages(ms, lms, guide)
    steps = [gt.shape[-1] // image.shape[-1] for image in outputs]
    parts = zip(weights, outputs, steps, strict=True)
    expected = sum(weight * criterion(image, gt[..., ::step, ::step]) for weight, image, step in parts)
    torch.testing.assert_close(net.published_loss(ms, lms, guide, gt, 0), expected)


def test_tfnet_measures_in_the_stretched_range(qb):
    net = methods.create("tfnet", sensor=qb)
    ms, lms, guide, gt = _images(net)
    expected = functional.l1_loss(2 * net.fuse(ms, lms, guide) - 1, 2 * gt - 1)
    torch.testing.assert_close(net.published_loss(ms, lms, guide, gt, 0), expected)


def test_hspenet_adds_the_cosine_of_the_angle(qb):
    net = methods.create("hspenet", sensor=qb)
    ms, lms, guide, gt = _images(net)
    fused = net.fuse(ms, lms, guide)
    cosine = ((fused * gt).sum(1) / (fused.norm(dim=1) * gt.norm(dim=1))).mean()
    expected = 0.9 * (fused - gt).square().mean() + 0.1 * (1 - cosine)
    torch.testing.assert_close(net.published_loss(ms, lms, guide, gt, 0), expected)


def test_an_unknown_loss_is_the_networks_own_business(qb):
    recipe = replace(methods.create("fusionnet", sensor=qb).recipe, loss="in words")
    with pytest.raises(KeyError, match="in words"):
        recipe.criterion(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4))


def test_bfloat16_gradients_of_dilated_branches_are_finite(qb):
    net = methods.create("awfln", sensor=qb)
    ms, lms, guide, gt = _images(net, side=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = net.published_loss(ms, lms, guide, gt, 0)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters() if parameter.grad is not None)
