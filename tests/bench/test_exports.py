import pandas as pd
import pytest

from tests.bench.fake_store import PROTOCOL, add, fail
from waldbench.bench.reports import exports
from waldbench.bench.results import leaderboard
from waldbench.bench.results.store import Store


def test_benchopt_columns_hold_seeds_times_and_objectives(tmp_path):
    store = Store(tmp_path)
    add(store, "net", {"ergas": [1.0, 2.0], "hqnr": [0.9]}, seed=3)
    add(store, "net", {"ergas": [3.0, 6.0], "hqnr": [0.8]}, seed=5)
    add(store, "gsa", {"ergas": [4.0, 5.0]})
    add(store, "high", {"hqnr": [0.7]}, dataset="qb-simulated")
    fail(store, "broken", "no memory")
    paths = exports.write(store, leaderboard.build(store), ("benchopt",))
    table = pd.read_csv(paths[0])
    fixed = ["objective_name", "dataset_name", "data_name", "solver_name", "stop_val", "idx_rep", "time", "objective_value"]
    assert set(fixed) <= set(table.columns)
    net = table[table["solver_name"] == "net"]
    assert net["objective_reduced_ergas"].tolist() == net["objective_value"].tolist() == [1.5, 4.5]
    assert net["idx_rep"].tolist() == [0, 1]
    assert net["p_solver_seed"].tolist() == [3, 5]
    assert net["time"].tolist() == [0.612] * 2
    assert set(net["objective_name"]) == {PROTOCOL}
    assert table.set_index("solver_name").loc["high", "objective_value"] == pytest.approx(-0.7)
    assert "broken" not in set(table["solver_name"])


def test_an_empty_store_gives_an_empty_table(tmp_path):
    store = Store(tmp_path)
    assert exports.benchopt(store, leaderboard.build(store)).empty
