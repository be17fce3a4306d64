import numpy as np
import pandas as pd
import pytest
from scipy import stats

from waldbench.bench.results.significance import (
    friedman,
    groups,
    holm,
    images_needed,
    pairs,
    smallest_p,
    wilcoxon,
)


def table(shifts, images=12, noise=0.01, seed=0):
    """Images of unequal difficulty; method n is worse than the first by shifts[n]."""
    draw = np.random.default_rng(seed)
    hard = draw.normal(5, 2, (images, 1))
    return pd.DataFrame(
        hard + shifts + draw.normal(0, noise, (images, len(shifts))), columns=[f"m{n}" for n in range(len(shifts))]
    )


def test_wilcoxon_equals_hand_and_scipy_values():
    # All of six differences positive: 2 / 2^6.
    assert wilcoxon(np.array([1.0, 2, 3, 4, 5, 6])) == pytest.approx(2 / 64)
    # Rank sum 1 of five: 2 of 32 sign patterns are at most as extreme on each side.
    assert wilcoxon(np.array([-1.0, 2, 3, 4, 5])) == pytest.approx(4 / 32)
    values = np.random.default_rng(0).normal(0.3, size=30)
    assert wilcoxon(values) == pytest.approx(stats.wilcoxon(values).pvalue)
    assert wilcoxon(np.zeros(9)) == 1.0
    assert np.isnan(wilcoxon(np.array([1.0, np.nan])))
    assert 0 < wilcoxon(np.array([1.0, 1, 1, 2, 0, -1])) < 1


def test_holm_equals_hand_values_and_keeps_the_order():
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.02, float("nan"), 0.01]), [0.02, np.nan, 0.02])
    assert holm([]).shape == (0,)


def test_the_images_that_are_needed_follow_from_the_smallest_p_value():
    assert smallest_p(6) == pytest.approx(wilcoxon(np.arange(1.0, 7)))
    assert [images_needed(count) for count in (1, 4, 9)] == [6, 8, 9]
    for count in (1, 4, 9):
        assert smallest_p(images_needed(count)) * count < 0.05 <= smallest_p(images_needed(count) - 1) * count


def test_methods_that_differ_are_separated_and_equal_ones_share_a_group():
    assert groups(table([0.0, 0.001, 1.0, 1.001, 2.0])) == {"m0": 1, "m1": 1, "m2": 2, "m3": 2, "m4": 3}


def test_too_few_images_missing_values_or_one_method_give_no_groups():
    assert groups(table([0.0, 1.0], images=5)) is None
    assert groups(table([0.0, 1.0], images=6)) == {"m0": 1, "m1": 2}
    assert groups(table([0.0])) is None
    assert groups(table([0.0, 1.0]).replace({"m1": {}}).assign(m1=np.nan)) is None


def test_pairs_hold_difference_interval_and_corrected_p():
    images = table([0.0, 0.5, 2.0])
    found = pairs(images).set_index(["first", "second"])
    row = found.loc[("m0", "m1")]
    assert row["difference"] == pytest.approx((images["m0"] - images["m1"]).mean())
    assert row["ci_low"] < row["difference"] < row["ci_high"] < 0
    assert row["p"] == pytest.approx(stats.wilcoxon(images["m0"], images["m1"]).pvalue)
    assert row["p_holm"] == pytest.approx(3 * row["p"])
    assert pairs(images[["m0"]]).empty


def test_friedman_and_nemenyi_equal_scipy_and_the_published_table():
    images = table([0.0, 0.2, 0.1, 3.0], images=14, noise=0.2)
    found = friedman(images, higher_is_better=False)
    assert found.p == pytest.approx(stats.friedmanchisquare(*images.to_numpy().T).pvalue)
    # Demsar (2006), table 5 and its example: q = 2.569 for 4 classifiers, CD = 1.25 on 14 data sets.
    assert found.critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3)
    np.testing.assert_allclose(found.ranks.sum(), 4 * 5 / 2)
    assert found.ranks["m3"] == 4.0
    assert friedman(images, higher_is_better=True).ranks["m3"] == 1.0


def test_friedman_agrees_with_scikit_posthocs_where_it_is_installed():
    posthocs = pytest.importorskip("scikit_posthocs")
    images = table([0.0, 0.2, 0.1, 3.0, 0.4], images=20, noise=0.3)
    found = friedman(images, higher_is_better=False)
    p = posthocs.posthoc_nemenyi_friedman(images.to_numpy())
    distance = np.abs(found.ranks.to_numpy()[:, None] - found.ranks.to_numpy())
    assert ((p.to_numpy() < 0.05) == (distance > found.critical))[~np.eye(5, dtype=bool)].all()


def test_cliques_are_the_longest_runs_within_the_critical_difference():
    found = friedman(table([0.0, 0.001, 3.0, 3.001, 6.0], images=40), higher_is_better=False)
    assert [set(clique) for clique in found.cliques()] == [{"m0", "m1"}, {"m2", "m3"}]


def test_ties_share_ranks_and_too_little_data_gives_nothing():
    same = pd.DataFrame(1.0, index=range(5), columns=["a", "b", "c"])
    found = friedman(same, higher_is_better=False)
    assert (found.ranks == 2.0).all()
    assert found.p == 1.0
    assert friedman(same[["a", "b"]], higher_is_better=False) is None
    assert friedman(same.iloc[:1], higher_is_better=False) is None
