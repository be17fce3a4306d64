"""The example that compares a leaderboard with published numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

FILE = Path(__file__).parents[1] / "examples" / "rank_agreement.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("rank_agreement", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def board(published, ergas):
    return pd.DataFrame(
        {
            "method": [f"{key}@zoo" if key == "pnn" else key for key in published["method"]],
            "reduced_ergas_mean": ergas,
            "reduced_sam_mean": published["sam"].iloc[::-1].to_numpy(),
            "reduced_q2n_mean": published["q2n"],
        }
    )


def test_the_same_order_gives_one_and_the_numbers_do_not_matter(example):
    published = pd.read_csv(example.PUBLISHED)
    table = example.agreement(board(published, published["ergas"] ** 2), published).set_index("index")
    assert table.loc["ergas", "spearman"] == pytest.approx(1)
    assert table.loc["sam", "spearman"] < -0.8
    assert set(table["methods"]) == {len(published)}


def test_tables_that_do_not_fit_are_refused(example):
    published = pd.read_csv(example.PUBLISHED)
    ours = board(published, published["ergas"])
    with pytest.raises(ValueError, match="2 methods stand in both"):
        example.agreement(ours.head(2), published)
    with pytest.raises(ValueError, match="stands twice"):
        example.agreement(pd.concat([ours, ours]), published)
