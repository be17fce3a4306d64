"""Which differences between methods are more than chance: paired tests over the images of one dataset.

Wilcoxon's signed-rank test (Wilcoxon, Biometrics Bulletin 1(6), 1945) with Holm's correction (Holm, Scand. J. Statist. 6(2),
1979); Friedman's test and Nemenyi's critical difference as Demsar recommends (JMLR 7, 2006).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from waldbench.bench.results.statistics import interval

LEVEL = 0.05
Array = np.ndarray[Any, np.dtype[Any]]


def wilcoxon(differences: Array) -> float:
    """Two-sided p value of Wilcoxon's signed-rank test of paired differences (images,).

    Zero differences are dropped; the exact distribution decides for up to 50 differences without ties, else the normal
    approximation. No difference at all gives 1, a missing value NaN.
    """
    from scipy import stats

    if np.isnan(differences).any():
        return float("nan")
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    tied = len(np.unique(np.abs(differences))) < len(differences)
    method: Any = "exact" if len(differences) <= 50 and not tied else "asymptotic"
    return float(stats.wilcoxon(differences, method=method).pvalue)


def smallest_p(images: int) -> float:
    """Smallest two-sided p value that a signed-rank test over so many images can give."""
    return min(2.0 ** (1 - images), 1.0)


def images_needed(comparisons: int) -> int:
    """Number of images from which on a signed-rank test can be significant after Holm's correction of so many comparisons."""
    images = 1
    while smallest_p(images) * comparisons >= LEVEL:
        images += 1
    return images


def holm(values: Iterable[float]) -> Array:
    """P values adjusted by Holm's step-down procedure, in the given order; missing ones stay missing and do not count."""
    p = np.array(list(values), dtype=float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def pairs(images: pd.DataFrame) -> pd.DataFrame:
    """Compare every pair of methods.

    Args:
        images: one row an image, one column a method, without missing values.

    Returns:
        One row a pair: first, second, images, difference (mean of first - second), ci_low, ci_high (paired bootstrap), p
        (Wilcoxon) and p_holm, adjusted for all pairs.
    """
    found = list(combinations(images.columns, 2))
    if not found or images.empty:
        return pd.DataFrame(columns=["first", "second", "images", "difference", "ci_low", "ci_high", "p", "p_holm"])
    differences = np.stack([images[a].to_numpy() - images[b].to_numpy() for a, b in found], axis=1)
    low, high = interval(differences)
    p = [wilcoxon(column) for column in differences.T]
    facts = {"images": len(images), "difference": differences.mean(0), "ci_low": low, "ci_high": high, "p": p, "p_holm": holm(p)}
    return pd.DataFrame(found, columns=["first", "second"]).assign(**facts)


def groups(images: pd.DataFrame) -> dict[Any, int] | None:
    """Groups of methods that the images cannot separate from the best of their group.

    The best method leads the first group. It is compared with every method behind it (Wilcoxon, Holm over these comparisons);
    those before the first significant difference are in its group, and that method leads the next group in the same way.

    Args:
        images: one row an image, one column a method, the best first.

    Returns:
        Number of the group of each method, from 1 on; None for fewer than two methods, or where the images are too few for
        any difference to be significant.
    """
    names = list(images.columns)
    if len(names) < 2 or images.isna().to_numpy().any() or len(images) < images_needed(len(names) - 1):
        return None
    values, found, leader, number = images.to_numpy(), dict.fromkeys(names, 0), 0, 1
    while leader < len(names):
        behind = range(leader + 1, len(names))
        p = holm(wilcoxon(values[:, leader] - values[:, other]) for other in behind)
        following = next((other for other, value in zip(behind, p, strict=True) if value < LEVEL), len(names))
        found |= dict.fromkeys(names[leader:following], number)
        leader, number = following, number + 1
    return found


@dataclass(frozen=True)
class Friedman:
    """Friedman's test of one index, and the critical difference of mean ranks.

    Attributes:
        ranks: mean rank over images of each method, 1 for the best; ties share their mean rank.
        p: of the hypothesis that all methods rank alike.
        critical: Nemenyi's critical difference of two mean ranks at 5 %.
        images: number of images.
    """

    ranks: pd.Series[float]
    p: float
    critical: float
    images: int

    def cliques(self) -> list[list[str]]:
        """Longest runs of methods, by rank, whose mean ranks differ by less than the critical difference; two at least."""
        ordered = self.ranks.sort_values(kind="stable")
        values, runs = ordered.to_numpy(), []
        reached = 0
        for start, value in enumerate(values):
            stop = int(np.searchsorted(values, value + self.critical))
            if stop > reached and stop - start > 1:
                runs.append([str(name) for name in ordered.index[start:stop]])
            reached = max(reached, stop)
        return runs


def friedman(images: pd.DataFrame, higher_is_better: bool) -> Friedman | None:
    """Rank the methods on every image; None for fewer than three methods or two images, or with missing values."""
    from scipy import stats

    count, methods = images.shape
    if methods < 3 or count < 2 or images.isna().to_numpy().any():
        return None
    ranks = images.rank(axis=1, ascending=not higher_is_better)
    same = bool((ranks.nunique(axis=1) == 1).all())
    p = 1.0 if same else float(stats.friedmanchisquare(*ranks.to_numpy().T).pvalue)
    quantile = float(stats.studentized_range.ppf(1 - LEVEL, methods, np.inf)) / 2**0.5
    return Friedman(ranks.mean(), p, quantile * (methods * (methods + 1) / (6 * count)) ** 0.5, count)
