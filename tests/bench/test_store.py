from __future__ import annotations

import numpy as np
import pytest

from waldbench.bench.files import load_arrays, save_arrays, write_atomically
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell, Store

CELL = Cell("quick-00000000", "toy-simulated", "exp", 3)


def record(status="ok", **facts):
    return Record(status, {"key": "exp"}, {"key": "toy"}, {"id": "quick-00000000"}, 3, **facts)


SCORE = {"split": "reduced", "image": "a", "metric": "sam", "value": 1.5}


def test_commit_then_read_back(tmp_path):
    store = Store(tmp_path)
    store.scratch(CELL).mkdir(parents=True)
    (store.scratch(CELL) / "weights.safetensors").write_bytes(b"w")
    store.commit(CELL, record(), [SCORE])
    assert (store.read(CELL).status, store.read(CELL).dataset["key"]) == ("ok", "toy")
    assert [cell for cell, _ in store.cells()] == [CELL]
    assert store.scores(CELL).to_dict("records") == [SCORE]
    assert (store.folder(CELL) / "weights.safetensors").read_bytes() == b"w"
    assert not store.scratch(CELL).exists()


def test_a_second_commit_replaces_the_first(tmp_path):
    store = Store(tmp_path)
    store.commit(CELL, record(date="1"), [SCORE])
    store.commit(CELL, record(date="2"), [SCORE | {"value": 2.0}])
    assert store.read(CELL).date == "2"
    assert store.scores(CELL)["value"].tolist() == [2.0]
    assert sorted(path.name for path in store.folder(CELL).parent.iterdir()) == ["seed-3"]


def test_failure_never_replaces_success_but_success_replaces_failure(tmp_path):
    store = Store(tmp_path)
    store.fail(CELL, record("failed", reason="x"))
    assert store.read(CELL).status == "failed"
    assert store.scores(CELL).empty
    store.commit(CELL, record(), [SCORE])
    store.fail(CELL, record("failed", reason="y"))
    assert store.read(CELL).status == "ok"


def test_unreadable_and_foreign_records_are_not_cells(tmp_path):
    store = Store(tmp_path)
    folder = store.folder(CELL)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{half")
    assert store.read(CELL) is None
    (folder / "record.json").write_text('{"schema": 99}')
    assert list(store.cells()) == []
    assert store.problems == [f"cell {CELL.path}: record.json: schema: expected 1, got 99; left out"]


def test_nan_never_reaches_a_record(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        Store(tmp_path).commit(CELL, record(training={"valid": {"ergas": float("nan")}}))
    assert Store(tmp_path).read(CELL) is None


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "leaderboard.csv"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["leaderboard.csv"]


def test_arrays_round_trip(tmp_path):
    save_arrays(tmp_path / "a.npz", {"reduced-0": np.arange(6, dtype=np.uint16).reshape(1, 2, 3)})
    assert load_arrays(tmp_path / "a.npz")["reduced-0"].tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert load_arrays(tmp_path / "none.npz") == {}
