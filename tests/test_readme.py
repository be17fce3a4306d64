"""What the README shows must run as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from waldbench import methods
from waldbench.bench.cli import parse
from waldbench.imaging import Scene, interp23, sensors

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_method_of_the_readme_works_as_a_plugin(tmp_path):
    path = tmp_path / "mean_shift.py"
    path.write_text(next(block for block in BLOCKS if "class MeanShift" in block))
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
    root = Path(__file__).parents[1]
    assert [link for link in links if not link.startswith("http") and not (root / link).exists()] == []
