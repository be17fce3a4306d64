"""Sweeps: one table, one row a value, marked by what differs."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from tests.bench.fake_store import add
from waldbench.bench import reports
from waldbench.bench.commands.report import run as report
from waldbench.bench.results import leaderboard, sweeps
from waldbench.bench.results.scores import samples
from waldbench.bench.results.store import Store

IDS = ("quick-lr0.0001-1", "quick-lr0.001-2")


def swept(root, change=None):
    store = Store(root)
    for name, lr, offset in zip(IDS, (1e-4, 1e-3), (1.0, 0.0), strict=True):
        content = {"lr": lr} | (change or {} if lr == 1e-3 else {})
        facts = {"protocol": name, "protocol_content": content}
        add(store, "net", {"ergas": [3.0 + offset, 4.0 + offset]}, recipe="unified", **facts)
        add(store, "gsa", {"ergas": [3.5, 4.5]}, **facts)
    return store, sweeps.remember(store, "quick", IDS)


def built(store):
    found = samples(store)
    return sweeps.build(store, leaderboard.build(store, found), found)


def test_one_table_with_one_row_a_value(tmp_path):
    store, joint = swept(tmp_path)
    table = built(store)
    assert set(table["protocol"]) == {joint}
    assert list(table["title"]) == ["NET (lr 0.001)", "GSA", "NET (lr 0.0001)"]
    assert list(table["method"]) == ["net~lr=0.001", "gsa", "net~lr=0.0001"]
    assert list(table["rank"]) == [1, 2, 3]
    # The tables of each protocol stay what they were.
    assert set(leaderboard.build(store)["protocol"]) == set(IDS)


def test_terminal_latex_and_csv_have_it(tmp_path):
    store, joint = swept(tmp_path)
    stream = io.StringIO()
    reports.publish(store, Console(file=stream), {(joint, "wv2-simulated")}, reports.Choice(figures="none"))
    text = stream.getvalue()
    assert "NET (lr 0.0001)" in text
    assert text.count("protocol quick-") == 1
    assert "NET (lr 0.001)" in (tmp_path / "tables" / f"{joint}_wv2-simulated.tex").read_text()
    assert len(pd.read_csv(tmp_path / "sweeps.csv")) == 3


@pytest.mark.parametrize("change", [{"reduced_images": 4}, {"scoring": {"ms": {"border": 0}}}])
def test_other_images_or_indices_are_no_sweep(tmp_path, change):
    store, _ = swept(tmp_path, change)
    assert built(store).empty


@pytest.mark.parametrize("text", ["protocols: 3", "[1", "protocols: [[a]]", "!!binary x", "protocols: [nothing, else]"])
def test_a_damaged_note_is_left_out(tmp_path, text):
    store, joint = swept(tmp_path)
    (tmp_path / "sweeps" / f"{joint}.yaml").write_text(text)
    assert built(store).empty


def test_report_shows_sweeps(tmp_path, capsys):
    from waldbench.bench.cli import parse

    _, joint = swept(tmp_path)
    assert report(parse(["report", "--results", str(tmp_path), "--figures", "none"])) == 0
    assert joint in capsys.readouterr().out
