"""What the numbers of one table can and cannot show, in one sentence each."""

from __future__ import annotations

import pandas as pd

from waldbench.bench.results import leaderboard
from waldbench.bench.results.columns import index_columns, is_by_construction
from waldbench.bench.results.significance import LEVEL, images_needed
from waldbench.imaging.tracks import SPLITS

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def cautions(part: pd.DataFrame) -> list[str]:
    """Sentences about one table of the leaderboard: what its groups mean, and what its images and seeds cannot show."""
    good = part[part["status"] == "ok"]
    found = [_groups(good)] if len(good) and good["rank_group"].notna().any() else []
    few = [_few(good, split) for split in SPLITS]
    found += _by_construction(good)
    return [sentence for sentence in (*found, *few, _one_seed(good), _missing(good), *_code(good)) if sentence]


def letter(number: int) -> str:
    """Letters of a group, counted from 1 on: a to z, then aa, ab, ..."""
    before, last = divmod(number - 1, len(LETTERS))
    return (letter(before) if before else "") + LETTERS[last]


def letters(part: pd.DataFrame) -> list[str]:
    """Letters of the group of each row, empty where the images cannot tell groups apart."""
    return ["" if pd.isna(group) else letter(int(group)) for group in part["rank_group"]]


def places_with_groups(part: pd.DataFrame) -> list[str]:
    """Rank and group of each row, "2a"; "-" without a rank."""
    ranks = part["rank"].astype("string").fillna("-")
    return [f"{rank}{group}" for rank, group in zip(ranks, letters(part), strict=True)]


def _groups(part: pd.DataFrame) -> str:
    column = leaderboard.ranking_column(part)
    split = str(column).partition("_")[0]
    title = next(index.title for index in index_columns(part, split) if f"{index.name}_mean" == column)
    images = int(part[f"images_{split}"].max())
    return (
        f"Methods that share a letter cannot be told apart from the best of their group ({title}, Wilcoxon's signed-rank test "
        f"over {images} images, Holm's correction, {LEVEL:.0%} level)."
    )


def _by_construction(part: pd.DataFrame) -> list[str]:
    """Which values follow from what a method is; one sentence a method."""
    columns = [column for split in SPLITS for column in index_columns(part, split)]
    sentences = []
    for method, title in zip(part["method"], part["title"], strict=True):
        names = dict.fromkeys(column.title for column in columns if is_by_construction(str(method), column))
        if names:
            sentences.append(f"{title} has the best {' and '.join(names)} by construction: that value is not marked.")
    return sentences


def _few(part: pd.DataFrame, split: str) -> str:
    """Too few images for any method to be significantly better than the others."""
    column = leaderboard.ranking_columns(part).get(split)
    methods = 0 if column is None else int(part[column].notna().sum())
    images = part[f"images_{split}"].max()
    if methods < 2 or pd.isna(images) or images >= images_needed(methods - 1):
        return ""
    amount = f"{int(images)} image{'s' if images > 1 else ''} at {SPLITS[split].lower()}"
    needed = images_needed(methods - 1)
    return f"{amount} cannot show that one of {methods} methods is better than the others (at least {needed} are needed)."


def _missing(part: pd.DataFrame) -> str:
    """How much of the images had no data."""
    share = part["valid_share"].min()
    if pd.isna(share) or share >= 1:
        return ""
    return f"{share:.1%} of the pixels have data; the others were left out of every index."


def _one_seed(part: pd.DataFrame) -> str:
    trained = part[(part["recipe"].fillna("") != "") & (part["seeds"] == 1)]
    if not len(trained):
        return ""
    who = "One method was" if len(trained) == 1 else f"{len(trained)} methods were"
    return f"{who} trained with one seed: how much another seed would change the numbers is unknown."


def _code(part: pd.DataFrame) -> list[str]:
    """Rows that code made which is not today's, or which nobody knows."""
    codes = part["code"].fillna("").astype(str) if "code" in part else pd.Series("", index=part.index)
    stale = codes.str.contains(leaderboard.STALE, regex=False)
    found = [f"{title} is {code}." for title, code in zip(part["title"][stale], codes[stale], strict=True)]
    unknown = int(codes.str.contains(r"(?:^|; )unknown(?:$|;)").sum())
    return found + ([f"Unknown code made {unknown} of these results: they may be stale."] if unknown else [])
