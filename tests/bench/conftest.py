from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import datasets
import methods
from bench import protocol

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


@pytest.fixture
def toy_fields():
    content = yaml.safe_load((protocol.PRESETS / "quick.yaml").read_text())
    return content | {"patch": 32, "batch": 4, "steps": 12, "validate_every": 4, "valid_images": 2}


@pytest.fixture
def toy_protocol(toy_fields):
    return protocol.from_dict(toy_fields, "toy")


@pytest.fixture
def toy_file(toy_fields, tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_fields))
    return path


@pytest.fixture
def command(toy_file, tmp_path):
    """Build the command line of a run with the toy plugin, as a user would type it."""

    def build(*words, results="results"):
        fixed = ["--plugin", str(PLUGIN), "--protocol", str(toy_file), "--results", str(tmp_path / results)]
        return [sys.executable, "run_bench.py", *words, *fixed, "--threads", "1", "--device", "cpu"]

    return build


@pytest.fixture
def call(command):
    """Run a command line to its end; returns the finished process with its text."""

    def start(*words, results="results", **environment):
        return subprocess.run(
            command(*words, results=results),
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return start
