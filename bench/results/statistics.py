"""Mean, spread and confidence of scores: over images first of all, over seeds apart from that.

The tests that compare methods are in `bench.analysis.significance`; `docs/results.md` says which rule decides what.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

SUMMARY = ("mean", "std", "ci_low", "ci_high", "seed_std")
KEYS = ["split", "metric"]
CONFIDENCE = 0.95
RESAMPLES = 10_000
# Fewer images give no interval: resamples of so few values repeat themselves, and the interval is far too short.
FEWEST = 6
# Of the resampling; one for all, so that every method is resampled with the same images.
SEED = 20210305
# Entries of one block of resampling weights: 16 MB.
BLOCK = 2_000_000
Array = np.ndarray[Any, np.dtype[Any]]


def per_image(scores: pd.DataFrame) -> pd.Series[float]:
    """Mean over seeds of each image's value.

    Args:
        scores: rows (seed, split, image, metric, value) of one or several seeds of one method on one dataset.

    Returns:
        Values by (split, metric, image, namesake), in order of appearance; missing where any seed has none. Images may share
        a name; `namesake`, their position among those of that name, keeps them apart.
    """
    keys = [*KEYS, "image"]
    namesake = scores.groupby([*keys, "seed"], sort=False).cumcount().rename("namesake")
    values = scores.assign(namesake=namesake, value=pd.to_numeric(scores["value"]))
    found: pd.Series[float] = values.groupby([*keys, "namesake"], sort=False)["value"].mean(skipna=False)
    return found


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Summarise the scores of one method on one dataset.

    Args:
        scores: rows (seed, split, image, metric, value) of one or several seeds.

    Returns:
        One row per (split, metric), in order of appearance, with `mean` over images of the mean over seeds; `std`, the n - 1
        standard deviation of those over images (missing for one image); `ci_low` and `ci_high`, the 95 % bootstrap interval of
        the mean over images (missing for fewer than six); `seed_std`, the n - 1 standard deviation over seeds of the mean over
        images (missing for one seed). A value that is missing for any image or seed makes all of them missing: a mean over
        fewer images would not compare with the other methods.
    """
    images = per_image(scores)
    values = scores.assign(value=pd.to_numeric(scores["value"]))
    seeds = values.groupby([*KEYS, "seed"], sort=False)["value"].mean()
    grouped = images.groupby(KEYS, sort=False)
    summary = pd.DataFrame({"mean": grouped.mean(), "std": grouped.std(ddof=1)})
    summary = summary.join(_intervals(images), how="left")
    summary["seed_std"] = seeds.groupby(KEYS, sort=False).std(ddof=1)
    incomplete = images.isna().groupby(KEYS, sort=False).any()
    summary.loc[incomplete.reindex(summary.index)] = float("nan")
    return summary[list(SUMMARY)]


def interval(values: Array) -> tuple[Array, Array]:
    """95 % percentile bootstrap interval of the mean over images.

    Args:
        values: (images,) or (images, columns); columns are resampled with the same images, and so are separate calls with as
            many images: differences of two methods are paired when their per-image differences are given.

    Returns:
        Lower and upper ends, each without the first axis; NaN for fewer than six images.
    """
    count = len(values)
    if count < FEWEST:
        missing = np.full(values.shape[1:], np.nan)
        return missing, missing
    means = np.concatenate([weights @ values for weights in image_weights(count)]) / count
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, (tail, 100 - tail), axis=0)
    return low, high


def _intervals(images: pd.Series[float]) -> pd.DataFrame:
    """Ends of the intervals of every (split, metric); indices with equally many images are resampled together."""
    sizes: dict[int, dict[Any, Array]] = {}
    for key, values in images.groupby(KEYS, sort=False):
        sizes.setdefault(len(values), {})[key] = values.to_numpy()
    rows: dict[Any, tuple[float, float]] = {}
    for columns in sizes.values():
        ends = interval(np.stack(list(columns.values()), axis=1))
        rows |= dict(zip(columns, zip(*ends, strict=True), strict=True))
    index = pd.MultiIndex.from_tuples(rows, names=KEYS)
    return pd.DataFrame(list(rows.values()), index=index, columns=["ci_low", "ci_high"])


def image_weights(count: int) -> Iterator[Array]:
    """How often each image is drawn in each resample, (resamples, images), in blocks that fit into memory."""
    size = max(BLOCK // count, 1)
    for start in range(0, RESAMPLES, size):
        yield _block(count, start, min(size, RESAMPLES - start))


@lru_cache(maxsize=4)
def _block(count: int, start: int, size: int) -> Array:
    draw = np.random.default_rng([SEED, count, start])
    return draw.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
