"""Several seeds: which spread is shown, and what remains significant when the training is repeated."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.bench.fake_store import SCORES, add
from waldbench.bench.figures import ranks, style
from waldbench.bench.reports import latex, terminal
from waldbench.bench.results import hierarchy, leaderboard
from waldbench.bench.results.columns import index_columns, is_by_construction, marks, spread
from waldbench.bench.results.scores import samples
from waldbench.bench.results.store import Store
from waldbench.bench.site import model

HARD = np.random.default_rng(0).normal(5, 1, 12)


def several(root, shift=0.05, seeds=(1, 2, 3), scatter=0.3):
    """A network whose seeds scatter, beside a classic method that is a little worse on every image."""
    store = Store(root)
    for seed in seeds:
        add(store, "net", {"ergas": HARD + scatter * (seed - 2)}, seed=seed, recipe="unified")
    add(store, "gsa", {"ergas": HARD + shift + np.linspace(0, 0.01, 12)})
    return store


def shown(frame):
    stream = io.StringIO()
    terminal.show(frame, Console(file=stream))
    return stream.getvalue()


def test_the_spread_over_seeds_is_shown_where_there_are_several(tmp_path):
    frame = leaderboard.build(several(tmp_path))
    assert spread(frame).name == "seed_std"
    text = shown(frame)
    assert "±0.3000" in next(line for line in text.splitlines() if line.startswith("1a NET"))
    assert "±" not in next(line for line in text.splitlines() if "GSA" in line)
    assert "±: standard deviation over seeds of the mean over images" in text
    table = latex.quality_table(frame, "tab:x")
    assert r"$\pm$ 0.3000" in table
    assert r"$\pm$ standard deviation over seeds" in table
    page = model.table(frame)
    assert page["spreads"] == ["seeds", "std"]
    assert [row["cells"][0]["seeds"] for row in page["rows"]] == ["0.3000", ""]


def test_one_seed_shows_the_spread_over_images(tmp_path):
    frame = leaderboard.build(several(tmp_path, seeds=(2,)))
    assert spread(frame).name == "std"
    assert "±" not in shown(frame)
    assert r"Mean $\pm$ standard deviation over" in latex.quality_table(frame, "tab:x")
    assert model.table(frame)["spreads"] == ["std"]


def pairs(store):
    found = samples(store)
    return leaderboard.compare_pairs(leaderboard.build(store, found), found).iloc[0]


def test_what_images_show_may_not_hold_over_seeds(tmp_path):
    row = pairs(several(tmp_path / "wide"))
    assert row["p"] < 0.01
    assert row["p_both"] > 0.3
    assert row["both_low"] < 0 < row["both_high"]
    assert (row["seeds_first"], row["seeds_second"]) == (3, 1)
    row = pairs(several(tmp_path / "narrow", scatter=0.001))
    assert row["p_both"] < 0.01
    assert row["both_high"] < 0


def test_one_seed_says_nothing_about_seeds(tmp_path):
    row = pairs(several(tmp_path, seeds=(2,)))
    assert np.isnan(row["p_both"])
    assert np.isnan(row["both_low"])
    assert row["p"] < 0.01


def test_the_bootstrap_has_the_variance_of_both_sources():
    draw = np.random.default_rng(1)
    values = draw.normal(0, 1, (200, 1)) + draw.normal(0, 0.5, (1, 40))
    found = hierarchy.means({"m": values})["m"]
    assert found.mean() == pytest.approx(values.mean(), abs=0.01)
    expected = values.mean(1).var() / 200 + values.mean(0).var() / 40
    assert found.var() == pytest.approx(expected, rel=0.1)


def test_runs_are_those_of_the_images_of_the_matrix(tmp_path):
    store = several(tmp_path)
    found = samples(store)
    frame = leaderboard.build(store, found)
    images = leaderboard.matrix(frame, found, "reduced_ergas_mean")
    values = hierarchy.runs(frame, found, "reduced_ergas_mean", images)
    assert values["net"].shape == (12, 3)
    np.testing.assert_allclose(values["net"].mean(1), images["net"])
    np.testing.assert_allclose(values["gsa"][:, 0], images["gsa"])


def test_the_diagram_says_why_it_may_disagree_with_the_table(tmp_path):
    store = Store(tmp_path)
    for number, method in enumerate(SCORES):
        add(store, method, {"ergas": HARD + number + np.random.default_rng(number).normal(0, 0.01, 12)})
    found = samples(store)
    with style.settings():
        figure = ranks.draw(leaderboard.build(store, found), found)
    texts = [text.get_text() for text in (*figure.texts, *(text for axes in figure.axes for text in axes.texts))]
    assert any("Letters are the table's groups" in text and "can disagree" in text for text in texts)
    assert any("EXP (a)" in text for text in texts)


def test_what_follows_from_the_method_is_not_best(tmp_path):
    store = Store(tmp_path)
    add(store, "exp", {"d_lambda": [0.0], "hqnr": [0.8]})
    add(store, "gsa", {"d_lambda": [0.1], "hqnr": [0.9]})
    add(store, "net", {"d_lambda": [0.2], "hqnr": [0.7]})
    frame = leaderboard.build(store)
    (column,) = (column for column in index_columns(frame, "reduced") if column.name == "reduced_d_lambda")
    best = {frame.loc[row, "method"]: place for row, place in marks(frame, column).items()}
    assert best == {"gsa": 1, "net": 2}
    assert is_by_construction("exp@zoo", column)
    assert not is_by_construction("nobody", column)
    assert "EXP has the best D_λ by construction: that value is not marked." in shown(frame)
    cells = {row["method"]: row["cells"][0]["mark"] for row in model.table(frame)["rows"]}
    assert cells == {"gsa": "best", "exp": "", "net": "second"}
    assert r"\textbf{0.0000}" not in latex.quality_table(frame, "tab:x")


def test_significance_csv_has_both(tmp_path):
    store = several(tmp_path)
    leaderboard.write(store)
    table = pd.read_csv(tmp_path / "significance.csv")
    assert list(table.columns)[-5:] == hierarchy.COLUMNS
    leaderboard.write(Store(tmp_path / "empty"))
    assert list(pd.read_csv(tmp_path / "empty" / "significance.csv").columns) == list(table.columns)
