"""The harness from Python."""

from __future__ import annotations

import subprocess
import sys

import pytest
from matplotlib.figure import Figure

import waldbench
from tests.bench.conftest import PLUGIN, ROOT
from tests.bench.fake_store import SCORES, add, add_images, fail
from waldbench.bench.errors import UsageError
from waldbench.bench.reports import result
from waldbench.bench.results import sweeps
from waldbench.bench.results.store import Store


@pytest.fixture
def found(tmp_path):
    store = Store(tmp_path)
    for method in SCORES:
        add(store, method)
    fail(store, "broken", "<script>alert(1)</script>")
    add(store, "gsa", dataset="qb-simulated")
    add_images(store)
    return result.of(tmp_path)


def test_tables_are_those_of_the_files(found):
    assert list(found.leaderboard["method"]) == ["gsa", "net", "gsa", "exp", "broken"]
    assert set(found.scores.columns) >= {"protocol", "dataset", "method", "seed", "split", "image", "metric", "value"}
    assert found.failed == {"broken": "<script>alert(1)</script>"}
    assert not found.ok


def test_latex_figures_and_displays(found):
    assert r"\begin{tabular}" in found.to_latex()
    assert "NET" in repr(found)
    page = found._repr_html_()
    assert "<b>4.0000</b>" in page
    assert "<script>" not in page
    assert isinstance(found.figure("boxes", "wv2-simulated"), Figure)
    assert isinstance(found.figure("reduced-0", "wv2-simulated"), Figure)
    with pytest.raises(ValueError, match=r"no figure 'pie'; expected one of .*boxes"):
        found.figure("pie")
    with pytest.raises(ValueError, match="no table of 'nowhere'"):
        found.figure("boxes", "nowhere")
    with pytest.raises(ValueError, match="'ranks' has nothing to show"):
        found.figure("ranks")


def test_a_run_shows_its_own_rows_only(tmp_path):
    store = Store(tmp_path)
    add(store, "gsa")
    add(store, "net", dataset="qb-simulated")
    mine = result.Result(store, {("quick-0123abcd", "wv2-simulated")}, True)
    assert list(mine.leaderboard["method"]) == ["gsa"]
    assert set(mine.scores["method"]) == {"gsa"}


def test_scores_of_a_sweep_are_those_of_its_protocols(tmp_path):
    store = Store(tmp_path)
    for name, lr in {"a-1": 1e-4, "b-2": 1e-3}.items():
        add(store, "net", protocol=name, protocol_content={"lr": lr}, recipe="unified")
    joint = sweeps.remember(store, "quick", ["a-1", "b-2"])
    mine = result.Result(store, {(joint, "wv2-simulated")}, True)
    assert len(mine.leaderboard) == 2
    assert set(mine.scores["protocol"]) == {"a-1", "b-2"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sourc": "auto"}, "unknown option 'sourc'; nearest: source"),
        ({"seeds": "a"}, "expected a whole number"),
        ({"protocol": {"extends": "quick", "steps": 1.5}}, "steps: expected a whole number"),
        ({"dataset": []}, "no dataset named"),
        ({"force": "yes"}, "expected true or false"),
        ({"plugin": ["nowhere.py"]}, "not found"),
    ],
)
def test_a_wrong_request_is_one_line(tmp_path, options, message):
    given = {"methods": "gsa", "dataset": "toy", "results": tmp_path} | options
    with pytest.raises(UsageError, match=message):
        waldbench.run(**given)


def test_a_script_without_a_guard_runs_once(tmp_path, toy_file):
    script = tmp_path / "script.py"
    script.write_text(
        "import waldbench\n"
        f"found = waldbench.run('gsa', 'toy', plugin=[{str(PLUGIN)!r}], protocol={str(toy_file)!r},\n"
        f"                      results={str(tmp_path / 'results')!r}, device='cpu')\n"
        "print('METHODS', list(found.leaderboard['method']), found.ok)\n"
    )
    words = [sys.executable, str(script)]
    done = subprocess.run(
        words, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout == "METHODS ['gsa'] True\n", done.stdout + done.stderr
    assert len(list((tmp_path / "results" / "runs").iterdir())) == 1
