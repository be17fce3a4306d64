from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from waldbench import datasets, methods, metrics
from waldbench.bench import cli
from waldbench.catalogue import Catalogue, UnavailableError, UnknownNameError, read_entries

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "seaborn", "matplotlib", "plotly", "pandas", "scipy", "h5py", "lightning")


@pytest.mark.parametrize("words", [["--help"], ["list"], ["info", "exp"]])
def test_light_verbs_import_nothing_heavy(words):
    code = "import runpy, sys\n"
    code += f"sys.argv = ['run_bench.py', *{words!r}]\n"
    code += "try: runpy.run_path('run_bench.py', run_name='__main__')\n"
    code += "except SystemExit as stop: assert not stop.code\n"
    code += f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("heavy: []")


@pytest.mark.parametrize("package", [methods, metrics, datasets])
def test_every_file_of_a_package_is_sound(package):
    names = package.names()
    assert names == sorted(names)
    assert names
    assert package.catalogue.problems == []
    for key in names:
        assert package.catalogue[key].load() is not None
        assert package.card(key)


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown method 'mtf-glb'; nearest: mtf-glp"):
        methods.card("mtf-glb")


@pytest.mark.parametrize("key", methods.catalogue.unavailable)
def test_what_is_not_there_says_why(key, capsys):
    assert key not in methods.names()
    with pytest.raises(UnavailableError, match=f"'{key}' is not available: .{{40,}}"):
        methods.card(key)
    for arguments in (["--methods", "exp", key, "--dataset", "wv3"], ["info", key]):
        assert cli.main(arguments) == 2
        assert methods.catalogue.unavailable[key][:30] in capsys.readouterr().err
    assert cli.main(["list"]) == 0
    assert key in capsys.readouterr().out


def test_a_plugin_may_bring_what_is_not_there(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from waldbench.methods import register\n@register('u2net', tasks={'ms'}, year=2023, paper='P')\nclass A: ...\n"
    )
    methods.catalogue.add_file(path)
    try:
        assert methods.card("u2net").year == 2023
    finally:
        methods.catalogue.remove_file(path)


def test_names_by_task():
    assert set(methods.names(task="ms")) <= set(methods.names())
    assert methods.names(task="nothing") == []


def test_metrics_by_need():
    assert "sam" in metrics.names(needs="gt")
    assert "sam" not in metrics.names(needs="guide")


def _plugin(folder, text, name="mine.py"):
    path = folder / name
    path.write_text(text)
    return path


METHOD = """
from waldbench.methods import register
from waldbench.methods.base import Method

@register("mine", tasks={"ms"}, year=2025, paper="me")
class Mine(Method):
    '''My method.'''
    def forward(self, ms, lms, guide):
        return lms + 1
"""


def test_a_plugin_file_adds_a_method(tmp_path):
    path = _plugin(tmp_path, METHOD)
    found = Catalogue("methods")
    found.add_file(path)
    assert "mine" in found.names()
    assert found["mine"].summary == "My method."
    assert found["mine"].load().__name__ == "Mine"


def test_a_plugin_file_counts_only_for_the_package_it_registers_with(tmp_path):
    path = _plugin(tmp_path, METHOD)
    assert [entry.key for entry in read_entries("methods", "mine", path)] == ["mine"]
    assert list(read_entries("metrics", "mine", path)) == []


@pytest.mark.parametrize("text", ["def broken(:", METHOD.replace("2025", "this_year()")])
def test_a_broken_plugin_is_a_problem_not_a_crash(tmp_path, text):
    found = Catalogue("methods")
    found.add_file(_plugin(tmp_path, text))
    assert "mine" not in found.names()
    assert "skipped" in found.problems[0]


def test_an_argument_that_must_be_run_is_named(tmp_path):
    found = Catalogue("methods")
    found.add_file(_plugin(tmp_path, METHOD.replace("2025", "this_year()")))
    assert "mine" not in found.names()
    assert "year of @register must be a literal, got 'this_year()'" in found.problems[0]


def test_a_taken_key_is_reported(tmp_path):
    found = Catalogue("methods")
    found.add_file(_plugin(tmp_path, METHOD.replace('"mine"', '"exp"')))
    assert found["exp"].attribute != "Mine"
    assert "already taken" in found.problems[0]
