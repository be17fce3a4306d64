from __future__ import annotations

import pandas as pd
import pytest
import torch

from tests.bench.conftest import PLUGIN
from waldbench.bench.cli import main
from waldbench.bench.cost import grid, machine, tables
from waldbench.bench.results.store import Store

TASK = grid.Measurement("toy-net", "qb", (16, 32), ("fp32", "bf16"))


@pytest.fixture(scope="module")
def rows():
    return pd.DataFrame(grid.measure(TASK))


def test_every_number_names_its_conditions(rows):
    times = rows[(rows["measure"] == "latency_ms") & (rows["place"] == "cpu")]
    assert set(times["side"]) == {16, 32}
    assert set(times["precision"]) == {"fp32", "bf16"}
    assert (times["value"] > 0).all()
    assert (times["repeats"] >= 3).all()
    assert times["device"].ne("").all()
    assert 1 in set(times["threads"])
    assert rows["torch"].eq(torch.__version__).all()


def test_operations_and_parameters_stand_beside_the_times(rows):
    found = rows.set_index(["measure", "side"])["value"]
    assert found["macs", 32] == 5 * 4 * 9 * 32 * 32
    assert found["parameters"].iloc[0] == 4 * 5 * 9 + 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_without_a_gpu_its_rows_say_so_and_hold_no_number(rows):
    gpu = rows[rows["place"] == "cuda"]
    assert set(gpu["measure"]) == {"latency_ms", "peak_mib", "energy_j"}
    assert gpu["value"].isna().all()
    assert set(gpu["note"]) == {grid.NO_GPU}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_is_timed_with_and_without_copies(rows):
    times = rows[(rows["place"] == "cuda") & (rows["measure"] == "latency_ms")]
    assert set(times["copies"]) == {False, True}
    assert (times["value"] > 0).all()
    assert set(times["device"]) == {torch.cuda.get_device_name()}


def test_energy_without_nvml_is_not_measured(monkeypatch):
    monkeypatch.setattr(machine, "_nvml", lambda: (None, None))
    value, note = machine.energy(lambda: None, torch.device("cuda"))
    assert value is None
    assert note.startswith("not measured")


def test_a_size_that_would_take_too_long_is_left_out(monkeypatch):
    monkeypatch.setattr(grid, "PATIENCE", 0.0)
    found = pd.DataFrame(grid.measure(grid.Measurement("toy-net", "qb", (16, 32))))
    second = found[(found["measure"] == "latency_ms") & (found["place"] == "cpu") & (found["side"] == 32)]
    assert second["value"].isna().all()
    assert second["note"].str.startswith("not measured: would take about").all()


def test_classic_methods_run_in_single_precision_only():
    found = pd.DataFrame(grid.measure(grid.Measurement("toy-copy", "qb", (16,), ("bf16",))))
    notes = found.loc[(found["measure"] == "latency_ms") & (found["place"] == "cpu"), "note"]
    assert set(notes) == {"float32 only"}


def test_new_rows_replace_old_ones_and_reports_read_them(tmp_path):
    row = {"measure": "latency_ms", "side": 64, "place": "cpu", "value": 2.0, "note": ""}
    grid.store(tmp_path, TASK, [row, row | {"side": 32}, row | {"place": "cuda", "value": None, "note": grid.NO_GPU}])
    grid.store(tmp_path, TASK, [row | {"value": 3.0}, row | {"place": "cuda", "device": "card", "value": 1.0}])
    (path,) = tables.write(Store(tmp_path))
    table = pd.read_csv(path)
    assert sorted(table["value"]) == [1.0, 2.0, 3.0]
    assert tables.write(Store(tmp_path / "empty")) == []


def test_the_verb_measures_in_a_process_of_its_own(tmp_path, capsys):
    words = ["cost", "--methods", "toy-net", "toy-dies", "--sensor", "qb", "--sizes", "16", "--results", str(tmp_path)]
    assert main([*words, "--plugin", str(PLUGIN)]) == 1
    said = capsys.readouterr().out
    assert "failed  toy-dies the process was killed" in said
    assert "done  toy-net" in said
    assert (tmp_path / "costs" / "qb" / "toy-net.json").is_file()
    assert (tmp_path / "costs.csv").is_file()


def test_what_does_not_fit_is_told(tmp_path, capsys):
    assert main(["cost", "--methods", "toy-net", "--sizes", "4", "--results", str(tmp_path)]) == 2
    assert "argument --sizes: expected a whole number, at least 16" in capsys.readouterr().err
    assert main(["cost", "--methods", "tdnet", "--sensor", "fr1", "--sizes", "16", "--results", str(tmp_path)]) == 0
    assert "skipped: tdnet:" in capsys.readouterr().out
