"""Latencies: measured in quiet, with what tells how quiet it was, and repeated where they are not steady."""

from __future__ import annotations

import io
import os

import pytest
from rich.console import Console

from tests.bench.fake_store import add, fail
from waldbench import methods
from waldbench.bench import cli
from waldbench.bench.cost import quiet
from waldbench.bench.cost.latency import Latency
from waldbench.bench.reports import latex, terminal
from waldbench.bench.results import leaderboard
from waldbench.bench.results.columns import is_unsteady
from waldbench.bench.results.store import Store
from waldbench.bench.site import model
from waldbench.imaging import sensors

FOUND = {"cpu_ms_256": 7.0, "cpu_iqr_ms_256": 0.1, "cpu_spread": 0.02, "calibration_ms": 3.0, "load": 0.5, "quiet": True}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    add(store, "gsa", cost={"cpu_ms_256": 40.0, "cpu_spread": 0.5, "load": 7.0, "calibration_ms": 9.0})
    for seed in (1, 2):
        add(store, "net", cost={"cpu_ms_256": 5.0, "cpu_spread": 0.05}, seed=seed, recipe="unified")
    fail(store, "broken", "no memory")
    return store


def test_a_measurement_tells_how_quiet_it_was(one_thread):
    found = quiet.measure(quiet.Target("exp", sensors.get("wv3")))
    assert set(found) >= {"cpu_ms_256", "cpu_iqr_ms_256", "cpu_spread", "calibration_ms", "load", "quiet", "cpu_threads"}
    assert found["cpu_ms_256"] > 0
    assert found["calibration_ms"] > 0.1
    assert 0 <= found["load"] < 1000
    assert found["cpu_spread"] >= 0


def test_rounds_that_differ_are_seen(monkeypatch):
    method = methods.create("exp", sensor=sensors.get("wv3"))
    # Calibrations and rounds take turns.
    times = iter([1.0, 2.0, 1.0, 20.0, 1.0, 2.0])
    monkeypatch.setattr(quiet, "latency", lambda *_: Latency(next(times), 0.1, 3))
    found = quiet._rounds(method)
    assert found["cpu_spread"] == pytest.approx(9.0)
    assert is_unsteady(found)


def test_unsteady_numbers_are_marked_everywhere(store):
    frame = leaderboard.build(store)
    assert list(frame.set_index("method").loc[["gsa", "net"], "cpu_spread"]) == [0.5, 0.05]
    assert list(frame.set_index("method").loc[["gsa"], "load"]) == [7.0]
    stream = io.StringIO()
    terminal.show(frame, Console(file=stream))
    assert "40.0*" in stream.getvalue()
    assert "5.00*" not in stream.getvalue()
    assert "repeat them in quiet: run_bench.py cost --again" in stream.getvalue()
    assert "40.0$^{*}$" in latex.cost_table(frame, "tab:x")
    texts = [cell["text"] for row in model.table(frame)["rows"] for cell in row["cells"]]
    assert "40.0*" in texts


def test_old_records_are_judged_by_their_quartiles():
    assert is_unsteady({"cpu_ms_256": 10.0, "cpu_iqr_ms_256": 2.0})
    assert not is_unsteady({"cpu_ms_256": 10.0, "cpu_iqr_ms_256": 1.0})
    assert not is_unsteady({"cpu_ms_256": None, "cpu_iqr_ms_256": None})


def test_all_seeds_of_a_method_have_one_latency(store):
    (cell, _) = next(pair for pair in store.cells() if pair[0].method == "net")
    quiet.keep(store, cell, FOUND)
    records = {(cell.method, cell.seed): record for cell, record in store.cells()}
    assert [records["net", seed].cost["cpu_ms_256"] for seed in (1, 2)] == [7.0, 7.0]
    assert records["gsa", 42].cost["cpu_ms_256"] == 40.0
    assert records["net", 1].cost["parameters"] == 466252
    assert not records["broken", 42].ok


def test_again_repeats_what_is_not_steady_and_nothing_else(store, monkeypatch, capsys):
    from waldbench.bench.commands import cost

    asked = []

    def alone(work, target):
        asked.append(target.method)
        return FOUND, ""

    monkeypatch.setattr(cost, "_alone", alone)
    assert [cell.method for cell, _ in quiet.unsteady(store)] == ["gsa"]
    words = ["cost", "--again", "--results", str(store.root)]
    assert cli.main(words) == 0
    assert asked == ["gsa"]
    assert "done  gsa on wv2-simulated, seed 42: 7 ms, repeats differ by 2%" in capsys.readouterr().out
    assert cli.main(words) == 0
    assert "every latency is steady" in capsys.readouterr().out
    assert (store.root / "leaderboard.csv").is_file()


def test_a_run_measures_in_quiet(straight):
    costs = {cell.method: record.cost for cell, record in Store(straight).cells()}
    assert all(cost["quiet"] is True for cost in costs.values())
    assert all(cost["calibration_ms"] > 0 for cost in costs.values())
    assert all(cost["load"] is not None for cost in costs.values()) == hasattr(os, "getloadavg")
