"""Mean and spread of scores: over images first of all, over seeds apart from that."""

from __future__ import annotations

import pandas as pd

SUMMARY = ("mean", "std", "seed_std")


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Summarise the scores of one method on one dataset.

    Args:
        scores: rows (seed, split, image, metric, value) of one or several seeds.

    Returns:
        One row per (split, metric), in order of appearance, with `mean` over images of the mean over seeds; `std`, the n - 1
        standard deviation of those over images (missing for one image); `seed_std`, the n - 1 standard deviation over seeds
        of the mean over images (missing for one seed). A value that is missing for any image or seed makes all three missing:
        a mean over fewer images would not compare with the other methods.
    """
    keys = ["split", "metric"]
    # Images may share a name; their position among the namesakes keeps them apart.
    namesake = scores.groupby([*keys, "seed", "image"], sort=False).cumcount().rename("namesake")
    values = scores.assign(namesake=namesake, value=pd.to_numeric(scores["value"]))
    images = values.groupby([*keys, "image", "namesake"], sort=False)["value"].mean()
    seeds = values.groupby([*keys, "seed"], sort=False)["value"].mean()
    summary = pd.DataFrame(
        {
            "mean": images.groupby(keys, sort=False).mean(),
            "std": images.groupby(keys, sort=False).std(ddof=1),
            "seed_std": seeds.groupby(keys, sort=False).std(ddof=1),
        }
    )
    incomplete = values["value"].isna().groupby([values[key] for key in keys], sort=False).any()
    summary.loc[incomplete.reindex(summary.index)] = float("nan")
    return summary
