"""Differences between methods over images and over seeds at once: a hierarchical bootstrap.

A test over images treats the trained networks as fixed: it says which network is better on other images of that kind, not whether
training again would give the same. Here each resample draws images (the same for every method) and, for each method, seeds; the
spread of the differences of the means then has both sources.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from waldbench.bench.results.scores import GROUP
from waldbench.bench.results.statistics import CONFIDENCE, FEWEST, RESAMPLES, SEED, Array, image_weights

COLUMNS = ["seeds_first", "seeds_second", "both_low", "both_high", "p_both"]


def runs(part: pd.DataFrame, found: pd.DataFrame, column: str, images: pd.DataFrame) -> dict[str, Array]:
    """Values (images, seeds) of each method on the images of a matrix.

    Args:
        part: rows of one table of the leaderboard.
        found: `samples` of the store.
        column: of the leaderboard, `<split>_<metric>_mean`.
        images: the `scores.matrix` of that index.
    """
    split, _, metric = column.removesuffix("_mean").partition("_")
    chosen = found[(found["split"] == split) & (found["metric"] == metric) & found["method"].isin(images.columns)]
    for name in GROUP:
        chosen = chosen[chosen[name] == part.iloc[0][name]]
    chosen = chosen.assign(
        namesake=chosen.groupby(["method", "image", "seed"], sort=False).cumcount(), value=pd.to_numeric(chosen["value"])
    )
    result = {}
    for method, values in chosen.groupby("method", sort=False):
        wide = values.pivot(index=["image", "namesake"], columns="seed", values="value")
        result[str(method)] = wide.reindex(images.index).to_numpy()
    return result


def means(values: dict[str, Array]) -> dict[str, Array]:
    """Mean of each method in each resample, (resamples,); empty for fewer than six images."""
    count = len(next(iter(values.values()))) if values else 0
    if count < FEWEST:
        return {}
    found: dict[str, list[Array]] = {method: [] for method in values}
    for block in image_weights(count):
        for method, own in values.items():
            found[method].append(block @ own / count)
    result = {}
    for number, (method, parts) in enumerate(found.items()):
        by_seed = np.concatenate(parts)
        seeds = by_seed.shape[1]
        draw = np.random.default_rng([SEED, count, seeds, number]).multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES)
        result[method] = (by_seed * draw).sum(1) / seeds
    return result


def compare(table: pd.DataFrame, values: dict[str, Array]) -> pd.DataFrame:
    """Pairs of methods with the columns `COLUMNS`: number of seeds, 95 % interval and p value over images and seeds.

    Interval and p value (two-sided, from the share of resamples on the other side of zero) are missing where neither method has
    several seeds, and for fewer than six images.

    Args:
        table: see `significance.pairs`.
        values: see `runs`.
    """
    drawn = means(values)
    rows = [_pair(row.first, row.second, values, drawn) for row in table.itertuples()]
    return table.assign(**pd.DataFrame(rows, columns=COLUMNS, index=table.index))


def _pair(first: Any, second: Any, values: dict[str, Array], drawn: dict[str, Array]) -> tuple[Any, ...]:
    seeds = tuple(values[name].shape[1] for name in (first, second))
    if max(seeds) < 2 or not drawn:
        return (*seeds, np.nan, np.nan, np.nan)
    differences = drawn[first] - drawn[second]
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(differences, (tail, 100 - tail))
    beyond = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return (*seeds, low, high, min(2 * (1 + beyond) / (1 + RESAMPLES), 1.0))
