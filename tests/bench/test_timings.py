from __future__ import annotations

import json

import numpy as np
import pytest

from waldbench.bench.cost import timings


def write(path, **medians):
    draw = np.random.default_rng(1)
    entries = []
    for name, median in medians.items():
        data = (median * (1 + 0.02 * draw.standard_normal(15))).tolist()
        stats = {"data": data, "median": float(np.median(data)), "iqr": float(np.ptp(data)), "rounds": len(data)}
        entries.append({"fullname": f"t.py::{name}", "group": "g", "extra_info": {"threads": 1}, "stats": stats})
    path.write_text(json.dumps({"machine_info": {"cpu": {"brand_raw": "Chip"}}, "benchmarks": entries}))
    return path


def test_a_regression_is_told_with_its_confidence(tmp_path, capsys):
    before = write(tmp_path / "a.json", gsa=0.1, exp=0.02, brovey=0.3, gone=1.0)
    after = write(tmp_path / "b.json", gsa=0.2, exp=0.02, brovey=0.15, new=1.0)
    changes = timings.compare(before, after).set_index("name")
    assert changes["verdict"].to_dict() == {"gsa": "slower", "exp": "-", "brovey": "faster"}
    assert changes.loc["gsa", "low"] < 2 < changes.loc["gsa", "high"]
    assert changes.loc["gsa", "p"] < 0.001
    assert timings.main([str(before), str(after)]) == 1
    said = capsys.readouterr().out
    assert "slower: gsa: 2.0" in said
    assert "1 of 3 benchmarks: no change" in said
    assert timings.main([str(before), str(before)]) == 0


def test_files_become_one_table(tmp_path):
    write(tmp_path / "a.json", gsa=0.1, exp=0.02)
    table = timings.table(tmp_path)
    assert table[["file", "group", "name", "threads", "processor"]].values.tolist() == [
        ["a", "g", "gsa", 1, "Chip"],
        ["a", "g", "exp", 1, "Chip"],
    ]
    assert table["median_ms"].round(-1).tolist() == [100, 20]
    assert timings.table(tmp_path / "none").empty


@pytest.mark.parametrize("content", ["[]", "{}", "no json"])
def test_another_file_is_a_wrong_request(tmp_path, capsys, content):
    (tmp_path / "a.json").write_text(content)
    assert timings.main([str(tmp_path / "a.json")] * 2) == 2
    assert "expected a file of pytest --benchmark-json" in capsys.readouterr().err
    assert timings.main([]) == 2
