from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from waldbench.bench.protocol import load
from waldbench.bench.results import cloud_coverage
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell, Store
from waldbench.bench.run.evaluation import score
from waldbench.datasets.simulated.sentinel_twin import SentinelTwin
from waldbench.imaging import Scene


def rows(shares: dict[str, float], value: float) -> list[dict[str, object]]:
    return [
        {"split": "reduced", "image": name, "metric": "mae", "value": value + share, "coverage": share}
        for name, share in shares.items()
    ]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    record = Record("ok", {}, {"fingerprint": "f"}, {}, 1)
    shares = {"a": 0.0, "b": 0.1, "c": 0.2, "d": 0.95}
    for seed, value in ((1, 1.0), (2, 3.0)):
        store.commit(Cell("p", "d", "net", seed), record, rows(shares, value))
    store.commit(Cell("p", "other", "net", 1), record, [{"split": "reduced", "image": "a", "metric": "sam", "value": 1.0}])
    return store


def test_means_over_the_images_of_each_bin(store):
    table = cloud_coverage.build(store)
    assert table["coverage"].tolist() == ["0-0.1", "0.1-0.3", "0.8-1"]
    assert table["images"].tolist() == [2, 1, 1]
    assert table["mean"].tolist() == pytest.approx([2.05, 2.2, 2.95])
    assert set(table["dataset"]) == {"d"}


def test_the_file_is_written_where_there_are_masks_only(store, tmp_path):
    (path,) = cloud_coverage.write(store)
    assert list(pd.read_csv(path).columns) == cloud_coverage.COLUMNS
    assert cloud_coverage.write(Store(tmp_path / "empty")) == []


def test_a_region_without_pixels_has_no_row_and_every_row_its_coverage():
    gt = torch.full((2, 13, 32, 32), 1000.0)
    mask = torch.zeros(2, 1, 32, 32)
    mask[1, :, :8] = 1.0
    scene = Scene(ms=gt, lms=gt, guide=torch.full((2, 2, 32, 32), -9.0), gt=gt, name=("clear", "cloudy"), mask=mask)
    found = score(gt + 10, scene, SentinelTwin(), load("quick").on("sar-cr"), "reduced")
    clear = {row["metric"]: row["value"] for row in found if row["image"] == "clear"}
    cloudy = {row["metric"]: row["value"] for row in found if row["image"] == "cloudy"}
    assert set(cloudy) - set(clear) == {"mae_cloudy"}
    assert clear["mae_clear"] == clear["mae"] == pytest.approx(0.001)
    assert {row["image"]: row["coverage"] for row in found} == {"clear": 0.0, "cloudy": 0.25}


def test_the_checkpoint_is_chosen_by_what_the_track_prints():
    rules = load("quick")
    assert rules.on("ms").selector("ms") == "ergas"
    assert rules.on("sar-cr").selector("sar-cr") == "mae"
    assert replace(rules, select="sam").selector("sar-cr") == "sam"
