"""What the README shows must run as shown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from waldbench import methods
from waldbench.bench.cli import parse
from waldbench.catalogue import PACKAGES
from waldbench.imaging import Scene, interp23, sensors

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
METHOD = next(block for block in BLOCKS if "class MeanShift" in block)
PLACE = re.search(r"# (methods/\S+\.py)", METHOD)[1]


def _run(*words, folder=ROOT, given=None, **variables):
    words = [sys.executable, "-m", *words]
    known = os.environ | variables
    return subprocess.run(words, cwd=folder, env=known, input=given, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.parametrize("words", [("check",), ("format", "--check")])
def test_the_method_of_the_readme_has_the_style_of_the_project(words):
    done = _run("ruff", *words, "--stdin-filename", PLACE, "-", given=METHOD)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_method_of_the_readme_has_types(tmp_path):
    path = tmp_path / Path(PLACE).name
    path.write_text(METHOD)
    done = _run("mypy", "--config-file", "pyproject.toml", str(path), MYPYPATH=".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_method_of_the_readme_passes_what_holds_for_every_method(tmp_path):
    for name in ("waldbench", *PACKAGES, "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / PLACE).write_text(METHOD)
    places = ("tests/methods/test_classic.py", "tests/methods/test_classic_more.py", "tests/imaging/test_streaming.py")
    done = _run("pytest", "-p", "no:cacheprovider", *places, "-k", "mean-shift", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 10


def test_the_method_of_the_readme_works_as_a_plugin(tmp_path):
    path = tmp_path / "mean_shift.py"
    path.write_text(METHOD)
    methods.catalogue.add_file(path)
    try:
        ms = torch.rand(1, 4, 8, 8)
        scene = Scene(ms=ms, lms=interp23(ms, 4), guide=torch.rand(1, 1, 32, 32))
        method = methods.create("mean-shift", sensor=sensors.get("qb"))
        assert method(scene.ms, scene.lms, scene.guide).shape == scene.lms.shape
        assert method.card.title == "Mean shift"
    finally:
        methods.catalogue.remove_file(path)


def test_the_library_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WALDBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("WALDBENCH_DATA", str(tmp_path))
    exec(compile(next(block for block in BLOCKS if "datasets.open" in block), "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("tensor([0.")


@pytest.mark.parametrize("line", re.findall(r"^python (run_bench\.py .*?)(?:  +#.*)?$", README, flags=re.MULTILINE))
def test_every_command_line_is_accepted(line):
    words = line.split()[1:]
    options = parse(words)
    assert options.command in {"run", "data"}


def test_every_linked_file_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
