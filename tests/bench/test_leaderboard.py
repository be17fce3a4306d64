import math
from pathlib import Path

import pandas as pd
import pytest

from tests.bench.fake_store import PROTOCOL, SCORES, add, fail
from waldbench.bench.results import leaderboard
from waldbench.bench.results.statistics import summarise
from waldbench.bench.results.store import Store

DOCS = Path(__file__).parents[2] / "docs" / "results.md"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    for method in SCORES:
        add(store, method)
    return store


def test_means_spreads_and_ranks_of_a_table(store):
    frame = leaderboard.build(store).set_index("method")
    assert list(frame.index) == ["net", "gsa", "exp"]
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame.loc["net", "reduced_ergas_mean"] == 4.0
    assert frame.loc["net", "reduced_ergas_std"] == pytest.approx(math.sqrt(2))
    assert frame.loc["gsa", "full_hqnr_mean"] == 0.9025
    assert math.isnan(frame.loc["gsa", "full_hqnr_std"])
    assert frame.loc["net", ["seeds", "images_reduced", "images_full"]].tolist() == [1, 2, 1]
    assert frame.loc["net", "commit"] == "abc1234-dirty"


def test_columns_follow_the_protocol_and_hold_no_seed_spread_for_one_seed(store):
    names = list(leaderboard.build(store).columns)
    stems = ["reduced_sam", "reduced_ergas", "reduced_psnr", "full_d_lambda_k", "full_d_s", "full_hqnr"]
    expected = [f"{stem}_{name}" for stem in stems for name in ("mean", "std", "ci_low", "ci_high")]
    assert names == [*leaderboard.LEADING, *expected, *leaderboard.TRAILING]


def test_seeds_are_pooled_image_by_image_and_their_spread_stands_apart(tmp_path):
    store = Store(tmp_path)
    add(store, "net", {"ergas": [1.0, 2.0]}, seed=1, cost={"cpu_ms_256": 10.0})
    add(store, "net", {"ergas": [3.0, 6.0]}, seed=2, cost={"cpu_ms_256": 30.0})
    row = leaderboard.build(store).iloc[0]
    # Images: (1 + 3) / 2 and (2 + 6) / 2; seeds: 1.5 and 4.5.
    assert row["seeds"] == 2
    assert row["reduced_ergas_mean"] == 3.0
    assert row["reduced_ergas_std"] == pytest.approx(math.sqrt(2))
    assert row["reduced_ergas_seed_std"] == pytest.approx(math.sqrt(4.5))
    assert row["cpu_ms_256"] == 20.0


def test_a_value_missing_for_one_image_makes_the_mean_missing_and_leaves_the_method_unranked(tmp_path):
    store = Store(tmp_path)
    add(store, "gsa")
    add(store, "net", {"ergas": [0.1, None], "psnr": [30.0, 32.0]})
    frame = leaderboard.build(store).set_index("method")
    assert math.isnan(frame.loc["net", "reduced_ergas_mean"])
    assert frame.loc["net", "reduced_psnr_mean"] == 31.0
    assert frame.loc["gsa", "rank"] == 1
    assert pd.isna(frame.loc["net", "rank"])


def test_images_of_one_name_stay_two_images():
    rows = [{"seed": 1, "split": "full", "image": "same", "metric": "qnr", "value": value} for value in (0.5, 0.7)]
    summary = summarise(pd.DataFrame(rows)).loc[("full", "qnr")]
    assert summary["mean"] == pytest.approx(0.6)
    assert summary["std"] == pytest.approx(math.sqrt(0.02))


def test_failed_methods_come_last_with_their_reason_and_without_a_rank(store):
    fail(store, "broken", "OutOfMemoryError: 12 GiB")
    row = leaderboard.build(store).iloc[-1]
    assert (row["method"], row["status"], row["reason"], row["seeds"]) == ("broken", "failed", "OutOfMemoryError: 12 GiB", 0)
    assert pd.isna(row["rank"])
    assert pd.isna(row["reduced_ergas_mean"])


def test_one_failed_seed_is_named_and_left_out_of_the_mean(store):
    fail(store, "net", "diverged", seed=43)
    row = leaderboard.build(store).iloc[0]
    assert (row["status"], row["seeds"], row["reason"]) == ("ok", 1, "seed 43: diverged")
    assert row["reduced_ergas_mean"] == 4.0


def test_without_reduced_images_methods_are_ranked_by_hqnr(tmp_path):
    store = Store(tmp_path)
    for method in ("exp", "gsa", "net"):
        add(store, method, {key: SCORES[method][key] for key in ("d_s", "hqnr")})
    assert leaderboard.build(store)["method"].tolist() == ["net", "gsa", "exp"]


def test_equal_values_share_a_rank(tmp_path):
    store = Store(tmp_path)
    for method, value in (("exp", 2.0), ("gsa", 2.0), ("net", 3.0)):
        add(store, method, {"ergas": [value]})
    assert leaderboard.build(store)["rank"].tolist() == [1, 1, 3]


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": "full-99999999"},
        {"dataset": "wv3-simulated"},
        {"dataset": "wv2-published"},
        {"dataset": {"fingerprint": "other"}},
        {"dataset": {"source": "published"}},
    ],
    ids=["protocol", "dataset", "label", "fingerprint", "source"],
)
def test_rows_that_do_not_compare_are_neither_averaged_nor_ranked_together(tmp_path, other):
    store = Store(tmp_path)
    add(store, "net", {"ergas": [2.0]}, seed=1)
    facts = dict(other)
    record = {"dataset": facts.pop("dataset")} if isinstance(facts.get("dataset"), dict) else {}
    if record:
        cell = add(store, "net", {"ergas": [4.0]}, seed=2)
        content = store.read(cell)
        content.dataset |= record["dataset"]
        store.scratch(cell).mkdir()
        store.commit(cell, content, [{"split": "reduced", "image": "0", "metric": "ergas", "value": 4.0}])
    else:
        add(store, "net", {"ergas": [4.0]}, seed=2, **facts)
    frame = leaderboard.build(store)
    assert sorted(frame["reduced_ergas_mean"]) == [2.0, 4.0]
    assert frame["rank"].tolist() == [1, 1]
    names = [name for name, _ in leaderboard.groups(frame)]
    assert len(set(names)) == 2


def test_csv_files_read_back_as_they_were_built(store):
    frame = leaderboard.build(store)
    assert leaderboard.write(store) == [store.root / f"{name}.csv" for name in ("leaderboard", "scores", "significance")]
    read = pd.read_csv(store.root / "leaderboard.csv", keep_default_na=True)
    assert list(read.columns) == list(frame.columns)
    means = [name for name in frame.columns if name.endswith(("_mean", "_std"))]
    pd.testing.assert_frame_equal(read[means], frame[means], check_exact=True)
    assert read["parameters"].tolist() == [466252, 0, 0]
    long = pd.read_csv(store.root / "scores.csv")
    assert list(long.columns) == list(leaderboard.LONG)
    assert len(long) == 3 * (3 * 2 + 3)
    one = long[(long["method"] == "net") & (long["metric"] == "psnr")]
    assert one[["protocol", "seed", "split", "value"]].to_numpy().tolist() == [
        [PROTOCOL, 42, "reduced", 36.0],
        [PROTOCOL, 42, "reduced", 35.0],
    ]


def test_an_empty_store_gives_headers(tmp_path):
    for path in leaderboard.write(Store(tmp_path / "nothing")):
        assert len(path.read_text().splitlines()) == 1
    assert pd.read_csv(tmp_path / "nothing" / "leaderboard.csv").columns[0] == "rank"
    assert list(leaderboard.groups(leaderboard.build(Store(tmp_path)))) == []


def test_every_column_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    missing = [name for name in (*leaderboard.LEADING, *leaderboard.TRAILING, *leaderboard.LONG) if f"`{name}`" not in text]
    assert missing == []
