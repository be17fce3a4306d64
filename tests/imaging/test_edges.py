"""What the physics of imaging gives at the edges of its definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from waldbench.imaging import Scene, hyperspectral, interp23, sensors, statistics, streaming, strips, tiling
from waldbench.imaging.clouds import coverage, covered
from waldbench.imaging.clustering import kmeans, nearest
from waldbench.imaging.filters import gaussian_kernel, gaussian_low_pass, glp_low_pass, mtf, mtf_pan
from waldbench.imaging.nonnegative import _minimum, nonnegative
from waldbench.imaging.operators import separable
from waldbench.imaging.resampling import cubic_interpolator, decimate, imresize
from waldbench.imaging.wald import degrade


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_covered_begins_at_a_fifth():
    mask = torch.tensor([0.0, 0.19, 0.2, 1.0]).view(1, 1, 2, 2)
    assert covered(mask).flatten().tolist() == [False, False, True, True]
    assert coverage(mask).tolist() == [0.5]


def test_a_mean_is_summed_in_double_precision():
    x = torch.cat([torch.full((1, 1, 1, 1), 2.0**24), torch.ones(1, 1, 1, 255)], -1)
    assert statistics.mean(x).item() == np.float32((2**24 + 255) / 256)


def test_polarisations_are_averaged():
    guide = torch.tensor([-20.0, -10.0]).view(1, 2, 1, 1)
    assert statistics.single_band(guide).flatten().tolist() == [-15]
    assert statistics.single_band(guide[:, :1]) is not None
    assert statistics.divide(torch.tensor([6.0, 5.0]), torch.tensor([2.0, 0.0])).tolist() == [3, 0]


def test_a_weight_more_than_bands_is_a_constant():
    x, weights = random(2, 3, 4, 5), random(2, 4, 1, 1, seed=1)
    expected = (x * weights[:, :3]).sum(1, keepdim=True)
    torch.testing.assert_close(statistics.combine(x, weights[:, :3]), expected)
    torch.testing.assert_close(statistics.combine(x, weights), expected + weights[:, 3:])


@pytest.mark.parametrize("ratio", [2, 3, 4, 5, 6])
def test_low_resolution_pixels_sit_where_the_field_puts_them(ratio):
    x = torch.arange(30.0 * 30).view(1, 1, 30, 30)
    assert torch.equal(decimate(x, ratio)[0, 0, 0, :2], x[0, 0, ratio // 2, [ratio // 2, ratio + ratio // 2]])
    low = random(1, 1, 6, 7)
    for high in (interp23(low, ratio), separable(low, cubic_interpolator(6, ratio), cubic_interpolator(7, ratio))):
        torch.testing.assert_close(decimate(high, ratio), low)
    assert torch.equal(interp23(low, 1), low)


def test_imresize_is_antialiased_and_knows_two_kernels():
    # Four pixels a stripe pair, in the phase in which the nearest pixels alone would give -1.
    stripes = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64).repeat(16).expand(1, 1, 64, 64)
    for kernel in ("cubic", "linear"):
        assert float(imresize(stripes, 0.25, kernel)[..., 4:-4, 4:-4].abs().max()) < 0.05
    pair = torch.tensor([[0.0, 1.0]], dtype=torch.float64)[None, None]
    assert imresize(pair, 2, "linear")[0, 0, 0].tolist() == pytest.approx([0, 0.25, 0.75, 1])
    # Keys' kernel at 1/4, 3/4, 5/4 and 7/4 samples from the centre.
    near, far, beyond, end = 0.8671875, 0.2265625, -0.0703125, -0.0234375
    assert imresize(pair, 2)[0, 0, 0, :2].tolist() == pytest.approx([beyond + end, far + end], abs=1e-12)
    assert near + far + beyond + end == 1


def test_every_filter_takes_its_own_gain_and_width():
    x, sensor = random(1, 8, 48, 48), sensors.get("wv3")
    middle = (..., slice(20, 28), slice(20, 28))

    def direct(band: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(band, kernel[None, None])

    for band, gain in enumerate(sensor.mtf):
        torch.testing.assert_close(mtf(x, sensor)[middle][:, [band]], direct(x[:, [band]], gaussian_kernel(gain, 4)))
        doubled = direct(x[:, [band]], gaussian_kernel(gain, 2))
        torch.testing.assert_close(mtf(x, sensor, ratio=2)[middle][:, [band]], doubled)
    guide = x[:, :1]
    torch.testing.assert_close(mtf_pan(guide, sensor)[middle], direct(guide, gaussian_kernel(0.14, 4)))
    torch.testing.assert_close(gaussian_low_pass(guide, 4)[middle], direct(guide, gaussian_kernel(0.3, 4, width=41)))
    torch.testing.assert_close(glp_low_pass(x, sensor, 4), interp23(decimate(mtf(x, sensor), 4), 4))


def test_a_kernel_falls_to_its_gain_at_nyquist():
    # The toolbox samples the frequency axis with 40 instead of 41 steps, so that the gain comes out a little lower.
    profile = gaussian_kernel(0.3, 4).sum(0)
    response = (profile * torch.cos(2 * torch.pi * torch.arange(-20, 21) / 8)).sum() / profile.sum()
    assert 0.27 < float(response) < 0.3
    # The round window keeps the points at radius 20 and nothing beyond.
    kernel = gaussian_kernel(0.9, 2)
    assert kernel[20, 0] != 0
    assert kernel[20 - 12, 20 - 16] != 0
    assert kernel[19, 0] == 0


def test_a_scene_knows_its_mask():
    ms, full = torch.rand(1, 2, 6, 5), torch.rand(1, 1, 24, 20)
    scene = Scene(ms, full.expand(-1, 2, -1, -1), full, full.expand(-1, 2, -1, -1), ("one",), full.clone())
    part = scene.crop(1, 2, 3, 2)
    for image in (part.lms, part.guide, part.gt, part.mask):
        assert torch.equal(image[:, :1], full[..., 4:16, 8:16])
    assert part.name == scene.to(torch.float64).name == ("one",)
    with pytest.raises(ValueError, match=r"mask: expected shape \(1, 1, 24, 20\)"):
        replace(scene, mask=full[..., 1:])
    with pytest.raises(ValueError, match="expected 1 names, got 2"):
        replace(scene, name=("one", "two"))


def test_sensors_tell_their_range_guide_and_wavelengths():
    sensor = replace(sensors.generic(4), centres=(449.0, 450.0, 800.0, 801.0))
    assert sensor.within_pan() == (False, True, True, False)
    assert [sensors.get(key).guide_bands for key in ("wv3", "sentinel2")] == [1, 2]
    assert (sensors.generic(3).centres, sensors.generic(1).centres) == ((430.0, 690.0, 950.0), (430.0,))


@pytest.mark.parametrize("number", [0, 243])
def test_a_band_that_the_instrument_does_not_have_is_refused(number):
    with pytest.raises(IndexError, match="EO-1 Hyperion has bands 1 to 242"):
        hyperspectral.selected("hyperion", [5, number])
    centres, widths = hyperspectral.selected("hyperion", [1, 242])
    assert (centres[0], centres[1]) == (355.59, pytest.approx(2577.08))
    assert all(9 < width < 12 for width in widths)


def test_walds_protocol_blurs_ms_and_resizes_the_guide():
    ms, guide, sensor = random(1, 4, 16, 24), random(1, 1, 64, 96), sensors.get("qb")
    low, reduced = degrade(ms, guide, sensor)
    torch.testing.assert_close(low, decimate(mtf(ms, sensor), 4))
    torch.testing.assert_close(reduced, imresize(guide, 0.25))
    for bad in ((ms[..., :15, :], guide[..., :60, :]), (ms[..., :23], guide[..., :92]), (ms, guide[..., :95])):
        with pytest.raises(ValueError, match="sides of a multiple of 4 and pan 4 times as large"):
            degrade(*bad, sensor)


def test_kmeans_keeps_a_cluster_that_loses_all_its_pixels():
    features = torch.tensor([5.0, 5.0, 5.0, 5.0, 9.0, 9.0]).view(1, 1, 6)
    assert kmeans(features, 3).flatten().tolist() == [5, 5, 9]
    assert nearest(torch.tensor([3.0, 6.0, 40.0]).view(1, 1, 3), torch.tensor([1.0, 8.0]).view(1, 2, 1)).tolist() == [[0, 1, 1]]


def test_nonnegative_least_squares_of_a_singular_matrix_is_finite():
    matrix = torch.tensor([[1.0, 0.5, 0.5], [0.5, 1.0, 1.0], [0.5, 1.0, 1.0]], dtype=torch.float64)[None]
    right = torch.tensor([[1.0, 2.0, 2.0]], dtype=torch.float64)
    found = nonnegative(matrix, right)
    assert bool((found >= 0).all())
    torch.testing.assert_close(found @ matrix[0], right)
    both = torch.ones(1, 2, dtype=torch.bool)
    assert _minimum(torch.ones(1, 2, 2, dtype=torch.float64), right[:, :2], both).tolist() == [[0, 0]]


@pytest.mark.parametrize(("size", "tile", "overlap"), [(70, 16, 4), (33, 16, 16), (10, 64, 16), (128, 64, 16)])
def test_tiles_cover_the_image_once_and_are_equally_large(size, tile, overlap):
    windows = list(tiling.windows(size, tile, overlap))
    assert [pixel for _, own, end, _ in windows for pixel in range(own, end)] == list(range(size))
    assert {stop - start for start, _, _, stop in windows} == {min(size, tile + 2 * overlap)}
    for start, own, end, stop in windows:
        assert 0 <= start <= max(own - overlap, 0)
        assert min(end + overlap, size) <= stop <= size


def test_the_interpolated_image_of_a_tile_is_that_of_the_whole():
    ms, guide = random(1, 2, 40, 44).float(), random(1, 1, 160, 176, seed=1).float()
    out = torch.full((2, 160, 176), torch.nan)

    def write(top: int, left: int, fused: torch.Tensor) -> None:
        out[:, top : top + fused.shape[-2], left : left + fused.shape[-1]] = fused

    tiling.fuse(lambda ms, lms, guide: lms + 10 * guide, ms[0].numpy(), guide[0].numpy(), write, tile=16, overlap=3)
    torch.testing.assert_close(out[None], interp23(ms, 4) + 10 * guide, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("height", "rows", "margin"), [(70, 7, 6), (20, 4, 9), (9, 20, 3), (30, 10, 10)])
def test_strips_cover_the_image_once_with_their_margins(height, rows, margin):
    own = []
    for first, count, top, bottom in strips.cut(height, rows, margin):
        assert count <= height
        # A strip has its margins at both sides, or is the whole image, which is its own margin.
        assert count == height or (top == margin and count - bottom == margin)
        own += [(first + row) % height for row in range(top, bottom)]
    assert own == list(range(height))


def test_what_is_stored_is_rounded_and_saturates():
    out = np.zeros((1, 2, 4), np.uint8)
    streaming.store(out, 1, torch.tensor([[[-3.0, 0.6, 254.4, 300.0]]]))
    assert out.tolist() == [[[0, 0, 0, 0], [0, 1, 254, 255]]]


def test_sides_of_different_ratios_are_refused():
    assert streaming.check_sizes(np.zeros((4, 5, 6)), np.zeros((1, 15, 18))) == 3
    for guide in ((1, 15, 24), (1, 15, 17)):
        with pytest.raises(ValueError, match="one integer multiple"):
            streaming.check_sizes(np.zeros((4, 5, 6)), np.zeros(guide))
