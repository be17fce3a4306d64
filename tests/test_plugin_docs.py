"""The examples of docs/plugins.md, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from waldbench import datasets, methods
from waldbench.bench import cli, plugins, protocol
from waldbench.bench.results.store import Store
from waldbench.bench.run import cell
from waldbench.bench.run.plan import plan
from waldbench.bench.run.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
FILES = {
    re.search(r"# (\w+\.py)$", block.splitlines()[0])[1]: block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the document, known to the registries as --plugin makes them."""
    folder = tmp_path_factory.mktemp("plugins")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    plugins.add(str(folder / name) for name in FILES)
    yield folder
    for name in FILES:
        for package in plugins.PACKAGES:
            package.catalogue.remove_file(folder / name)


def test_there_is_one_of_each():
    assert sorted(FILES) == ["detail_gain.py", "my_net.py", "two_images.py", "worst_band.py"]


@pytest.mark.parametrize("name", FILES)
def test_an_example_passes_the_check(name, folder, capsys):
    code = cli.main(["check", str(folder / name)])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "FAILED" not in said
    assert name in said.splitlines()[0]


def _run(tmp_path, key, dataset, **fields):
    content = yaml.safe_load((protocol.PRESETS / "quick.yaml").read_text()) | fields
    content["scoring"] = {"ms": content["scoring"]["ms"] | {"reduced": ["sam", "worst-band"]}}
    settings = Settings((key,), (dataset,), protocol.from_dict(content, "docs"), results=tmp_path, source="auto", threads=1)
    [job] = plan(settings, Store(tmp_path)).jobs
    record = cell.run(job, lambda event: None)
    assert record.ok, record.details
    return Store(tmp_path).scores(job.cell)


def test_the_classic_method_is_scored_on_the_dataset_by_the_index(folder, tmp_path):
    scores = _run(tmp_path, "detail-gain", "two-images")
    assert set(scores["metric"]) == {"sam", "worst-band"}
    assert sorted(set(scores["image"])) == ["image 0", "image 1"]
    assert scores["value"].notna().all()


def test_the_options_of_the_network_are_known(folder):
    assert methods.options("my-net") == {"width": 32}
    assert datasets.card("two-images")["title"] == "Two images"


def test_the_examples_are_in_the_style_of_the_project(folder):
    command = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--no-cache", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
