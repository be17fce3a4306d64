import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.bench.fake_store import PROTOCOL, add, fail
from waldbench.bench import cli
from waldbench.bench.results import compare
from waldbench.bench.results.store import Store

HARD = np.random.default_rng(0).normal(5, 1, 8)


def stores(tmp_path):
    return Store(tmp_path / "a"), Store(tmp_path / "b")


def verdicts(table, method):
    rows = table[(table["method"] == method) & ~table["what"].isin(compare.TIMES)]
    return dict(zip(rows["what"], rows["verdict"], strict=True))


def test_directions_significance_and_unchanged_values(tmp_path):
    a, b = stores(tmp_path)
    noise = np.array([1, -1, 2, -2, 3, -3, 4, -4.5]) / 100
    add(a, "gsa", {"ergas": HARD, "psnr": HARD, "sam": HARD, "hqnr": [0.9] * 4})
    add(
        b,
        "gsa",
        {"ergas": HARD - 0.1 - noise / 10, "psnr": HARD - 0.1 - noise / 10, "sam": HARD, "hqnr": [0.91, 0.92, 0.93, 0.94]},
    )
    add(a, "net", {"ergas": HARD})
    add(b, "net", {"ergas": HARD + noise}, cost={"parameters": 5})
    table = compare.compare(a, b)
    found = verdicts(table, "gsa")
    assert found["reduced_ergas"] == "better"
    assert found["reduced_psnr"] == "worse"
    assert found["reduced_sam"] == "same"
    assert found["full_hqnr"] == "too few images"
    assert verdicts(table, "net")["reduced_ergas"] == "not significant"
    assert verdicts(table, "net")["parameters"] == "changed"
    row = table[(table["method"] == "gsa") & (table["what"] == "reduced_ergas")].iloc[0]
    assert row["p"] == pytest.approx(2 / 256)
    assert row["p_holm"] == pytest.approx(4 / 256)
    assert row["ci_low"] < row["change"] < row["ci_high"] < 0
    assert row["change"] == pytest.approx(row["b"] - row["a"])


def test_methods_without_a_partner_are_named(tmp_path):
    a, b = stores(tmp_path)
    add(a, "gsa")
    add(b, "net")
    fail(b, "gsa", "no memory")
    add(a, "exp")
    add(b, "exp", protocol="quick-other", protocol_content={"scoring": {"ms": {"border": 0}}, "lr": 1.0})
    add(a, "mine", {"ergas": [1.0, 2.0]})
    add(b, "mine", {"ergas": [1.0, 2.0]}, dataset_facts={"fingerprint": "e" * 64})
    table = compare.compare(a, b)
    found = table.groupby("method", sort=False)["verdict"].agg(list).to_dict()
    assert found == {
        "gsa": ["only in A"],
        "exp": ["protocols differ"] * 2,
        "mine": ["data differ"] * 2,
        "net": ["only in B"],
    }
    told = set(table.loc[table["method"] == "exp", "differs"])
    assert told == {"lr 0.001 | 1; scoring.ms.border 21 | 0"}
    shown = io.StringIO()
    Console(file=shown, width=200).print(*compare.show(table))
    assert "protocols differ: lr 0.001 | 1" in shown.getvalue()


def test_protocols_that_differ_in_training_only_are_compared_and_labelled(tmp_path):
    a, b = stores(tmp_path)
    add(a, "net", {"ergas": HARD})
    add(b, "net", {"ergas": HARD - 0.5 - HARD / 100}, protocol="long-1", protocol_content={"steps": 1600, "lr": 0.002})
    add(a, "gsa")
    add(b, "gsa")
    table = compare.compare(a, b)
    row = table[(table["method"] == "net") & (table["what"] == "reduced_ergas")].iloc[0]
    assert row["verdict"] == "better"
    assert row["protocol"] == "quick-0123abcd | long-1"
    assert row["differs"] == "lr 0.001 | 0.002; steps 400 | 1600"
    assert set(table.loc[table["method"] == "gsa", "protocol"]) == {"quick-0123abcd"}
    shown = io.StringIO()
    Console(file=shown, width=200).print(*compare.show(table))
    assert "TRAINED DIFFERENTLY: lr 0.001 | 0.002; steps 400 | 1600" in shown.getvalue()
    assert shown.getvalue().count("TRAINED DIFFERENTLY") == 1


def test_other_images_are_not_paired(tmp_path):
    a, b = stores(tmp_path)
    add(a, "gsa", {"ergas": HARD})
    add(b, "gsa", {"ergas": HARD[:6]})
    assert verdicts(compare.compare(a, b), "gsa")["reduced_ergas"] == "images differ"


def test_the_command_prints_a_table_and_writes_a_csv(tmp_path, capsys):
    a, b = stores(tmp_path)
    add(a, "gsa", {"ergas": HARD})
    add(b, "gsa", {"ergas": HARD * 0.9})
    assert cli.main(["report", "--compare", str(a.root), str(b.root)]) == 0
    printed = capsys.readouterr().out
    assert "better" in printed
    assert f"wv2-simulated, protocol {PROTOCOL}" in printed
    table = pd.read_csv(b.root / "comparison.csv")
    assert list(table.columns) == compare.COLUMNS
    assert cli.main(["report", "--compare", str(a.root), str(tmp_path / "c")]) == 2
    assert "not found" in capsys.readouterr().err
    assert cli.main(["run", "--dataset", "wv3", "--compare", str(a.root), str(b.root)]) == 2
    assert "--compare is an option of report, not of run" in capsys.readouterr().err


def test_two_empty_folders_have_nothing_to_compare(tmp_path):
    table = compare.compare(*stores(tmp_path))
    assert table.empty
    assert "nothing to compare" in str(compare.show(table)[0])
