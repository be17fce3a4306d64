"""What other programs read of the commands: JSON, and words for a shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.bench.conftest import ROOT
from waldbench import datasets, methods, metrics
from waldbench.bench import cli
from waldbench.bench.commands.options import print_json


def told(capsys, *words):
    code = cli.main(list(words))
    return code, json.loads(capsys.readouterr().out)


def test_list_as_json(capsys):
    code, content = told(capsys, "list", "--json", "--task", "hs")
    assert code == 0
    assert [card["key"] for card in content["methods"]] == methods.names("hs")
    assert [card["key"] for card in content["datasets"]] == datasets.names("hs")
    assert [card["key"] for card in content["indices"]] == metrics.names()


@pytest.mark.parametrize(
    ("key", "kind", "name", "value"),
    [
        ("gsa", "method", "tasks", ["hs", "ms", "sar"]),
        ("psnr", "index", "best", "inf"),
        ("wv3", "sensor", "ratio", 4),
        ("quick", "protocol", "steps", 400),
    ],
)
def test_info_as_json(capsys, key, kind, name, value):
    code, content = told(capsys, "info", key, "--json")
    assert code == 0
    assert content[kind][name] == value


def test_data_as_json(capsys, tmp_path):
    code, content = told(capsys, "data", "wv3", "--json", "--data-root", str(tmp_path))
    assert (code, content["key"], content["sound"]) == (1, "wv3", False)
    assert any("wv3" in line for line in content["lines"])


def test_json_is_plain(capsys):
    print_json({"a": frozenset({2, 1}), "b": float("nan"), "c": (1, None), 3: ROOT})
    assert json.loads(capsys.readouterr().out) == {"a": [1, 2], "b": "nan", "c": [1, None], "3": str(ROOT)}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run_bench.py inf", {"info"}),
        ("run_bench.py info mtf-glp-h", {"mtf-glp-hpm", "mtf-glp-hpm-r"}),
        ("run_bench.py --protocol qu", {"quick"}),
        ("run_bench.py run --fail", {"--fail-fast"}),
    ],
)
def test_words_for_the_shell(line, words, tmp_path):
    pytest.importorskip("argcomplete")
    found = tmp_path / "found"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": " "}
    asked |= {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    asked |= {"_ARGCOMPLETE_STDOUT_FILENAME": str(found), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    program = [sys.executable, str(ROOT / "run_bench.py")]
    done = subprocess.run(program, env=os.environ | asked, cwd=ROOT, check=False, timeout=60, capture_output=True)
    assert found.exists(), done
    assert words <= {word.strip() for word in found.read_text().split()}
