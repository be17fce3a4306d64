import numpy as np
import pandas as pd
import pytest
from scipy import stats

from waldbench.bench.results.statistics import FEWEST, SUMMARY, interval, per_image, summarise


def long(values, seeds=(1,), metric="ergas"):
    """Rows of (seeds, images) values of one index."""
    return pd.DataFrame(
        {"seed": seed, "split": "reduced", "image": f"image {number}", "metric": metric, "value": value}
        for seed, row in zip(seeds, np.atleast_2d(values), strict=True)
        for number, value in enumerate(row)
    )


def test_hand_values_of_two_seeds_and_three_images():
    row = summarise(long([[1.0, 2.0, 6.0], [3.0, 2.0, 10.0]], (1, 2))).loc[("reduced", "ergas")]
    # Images: 2, 2, 8; seeds: 3, 5.
    assert row["mean"] == 4.0
    assert row["std"] == pytest.approx(np.sqrt((4 + 4 + 16) / 2))
    assert row["seed_std"] == pytest.approx(np.sqrt(2))
    assert row[["ci_low", "ci_high"]].isna().all()


def test_spread_between_seeds_and_between_images_are_told_apart():
    draw = np.random.default_rng(0)
    images, seeds = draw.normal(0, 1, 50), np.array([[0.0], [5.0], [10.0]])
    row = summarise(long(images + seeds, (1, 2, 3))).loc[("reduced", "ergas")]
    assert row["std"] == pytest.approx(images.std(ddof=1))
    assert row["seed_std"] == pytest.approx(5.0)


@pytest.mark.parametrize("missing", [float("nan"), None])
def test_a_value_missing_in_one_seed_makes_everything_missing(missing):
    table = summarise(long([[1.0, 2.0], [3.0, missing]], (1, 2)))
    assert list(table.columns) == list(SUMMARY)
    assert table.isna().to_numpy().all()


def test_namesakes_stay_apart_and_seeds_pair_them_by_position():
    rows = long([[1.0, 5.0], [3.0, 9.0]], (1, 2)).assign(image="same")
    assert per_image(rows).tolist() == [2.0, 7.0]


@pytest.mark.parametrize("count", [8, 20, 75])
def test_the_interval_is_that_of_scipys_percentile_bootstrap(count):
    values = np.random.default_rng(count).gamma(2, size=count)
    draw = np.random.default_rng(1)
    ends = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=draw).confidence_interval
    spread = values.std() / np.sqrt(count)
    # Four standard errors of the ends, which are resampled themselves.
    np.testing.assert_allclose(interval(values), ends, atol=0.12 * spread)


def test_the_interval_is_deterministic_paired_and_moves_with_the_values():
    values = np.random.default_rng(0).normal(size=(12, 3))
    low, high = interval(values)
    np.testing.assert_array_equal(low, interval(values)[0])
    np.testing.assert_allclose(interval(values[:, 1])[1], high[1])
    np.testing.assert_allclose(interval(values + 7)[0], low + 7)
    shifted = interval((values[:, 0] + 3) - values[:, 0])
    np.testing.assert_allclose(shifted, (3, 3))


def test_few_images_give_no_interval():
    assert np.isnan(interval(np.arange(FEWEST - 1.0))).all()
    assert np.isfinite(interval(np.arange(FEWEST + 0.0))).all()


def test_many_images_are_resampled_in_blocks():
    low, high = interval(np.random.default_rng(2).normal(size=1500))
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(1500), rel=0.1)
