from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from waldbench import datasets, methods
from waldbench.bench import protocol

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests" / "bench" / "toy_plugin.py"


@pytest.fixture(scope="session", autouse=True)
def _toys():
    """The toy plugin in this process, as `--plugin` would load it."""
    for package in (methods, datasets):
        package.catalogue.add_file(PLUGIN)
    yield
    for package in (methods, datasets):
        package.catalogue.remove_file(PLUGIN)


@pytest.fixture(scope="session")
def toy_fields():
    content = yaml.safe_load((protocol.PRESETS / "quick.yaml").read_text())
    return content | {"patch": 32, "batch": 4, "steps": 12, "validate_every": 4, "valid_images": 2, "lr": 2e-3}


@pytest.fixture
def toy_protocol(toy_fields):
    return protocol.from_dict(toy_fields, "toy")


@pytest.fixture(scope="session")
def toy_file(toy_fields, tmp_path_factory):
    path = tmp_path_factory.mktemp("protocol") / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_fields))
    return path


def build(toy_file, results, *words):
    """The command line of a run with the toy plugin, as a user would type it."""
    fixed = ["--plugin", str(PLUGIN), "--protocol", str(toy_file), "--results", str(results)]
    return [sys.executable, "run_bench.py", *words, *fixed, "--threads", "1", "--device", "cpu"]


def finish(words, **environment):
    """Run a command line to its end; returns the finished process with its text."""
    # This tree, also where a test before has called the command line, which keeps interpreters from their script's folder.
    known = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(words, cwd=ROOT, env=known, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def command(toy_file, tmp_path):
    return lambda *words, results="results": build(toy_file, tmp_path / results, *words)


@pytest.fixture
def call(command):
    return lambda *words, results="results", **environment: finish(command(*words, results=results), **environment)


@pytest.fixture(scope="session")
def straight(toy_file, tmp_path_factory):
    """Results folder of one uninterrupted run of toy-net and toy-copy; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("straight")
    done = finish(build(toy_file, folder, "--methods", "toy-net", "toy-copy", "--dataset", "toy"))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder


def pytest_terminal_summary(terminalreporter):
    """The table of speeds against peers, after a run that measured some."""
    from tests.bench import ratios

    if ratios.ROWS:
        terminalreporter.section("against peers")
        for line in ratios.table():
            terminalreporter.write_line(line)
