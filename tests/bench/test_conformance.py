"""The suite of `run_bench.py check`: what is in this project passes it, and each fault is found by its check."""

from __future__ import annotations

import re

import pytest
import torch

from waldbench import methods, metrics
from waldbench.bench import cli, conformance, plugins
from waldbench.methods.deep._large import LargeNetwork

PLUGIN = """
import torch
from waldbench.methods import register
from waldbench.methods.base import Network

@register("odd", tasks={"ms"}, year=2026, paper="me", title="Odd", family="deep")
class Odd(Network):
    def __init__(self, *, sensor, guide_bands=1):
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.conv = torch.nn.Conv2d(sensor.count + guide_bands, sensor.count, 3, padding=1)
        self.spare = None

    def fuse(self, ms, lms, guide):
        return lms + 0.1 * self.conv(torch.cat([lms, guide], 1))
"""
SINGLE = "    def forward(self, ms, lms, guide):\n        return super().forward(ms, lms, guide).float()\n\n"
FAULTS = {
    "band counts": ("sensor.count, 3, padding=1)", "4, 3, padding=1)", "8 bands: RuntimeError"),
    "sizes": ("return lms +", "lms.view(len(lms), -1, 32, 32); return lms +", "RuntimeError"),
    "types": ("    def fuse(", f"{SINGLE}    def fuse(", "images of torch.float64 gave torch.float32"),
    "batches": ("return lms +", "return lms - lms.mean() +", "differs when it is fused beside another"),
    "determinism": ("return lms +", "return lms + 0.1 * torch.rand(()) +", "draw no random numbers in eval mode"),
    "gradients": ("self.spare = None", "self.spare = torch.nn.Parameter(torch.ones(1))", "no gradient reaches spare"),
    "saved weights": ("self.spare = None", "self.conv.weight = None; self.w = torch.rand(4, 5, 3, 3)", ""),
    "device": ("return lms +", "return lms + torch.ones(1, 1, *lms.shape[2:]) +", "device"),
}


@pytest.fixture
def add(tmp_path):
    added = []

    def write(text, name="odd.py"):
        path = tmp_path / name
        path.write_text(text)
        plugins.add([str(path)])
        added.append(path)
        return path

    yield write
    for path in added:
        for package in plugins.PACKAGES:
            if path.resolve() in package.catalogue.files:
                package.catalogue.remove_file(path)


def _failed(entry):
    return {result.name: result.text for result in conformance.check(entry) if result.passed is False}


@pytest.mark.parametrize("key", metrics.names())
def test_every_index_passes(key):
    assert _failed(metrics.catalogue[key]) == {}


@pytest.mark.parametrize("key", methods.names())
def test_every_method_passes(key):
    if issubclass(methods.catalogue[key].load(), LargeNetwork) and not torch.cuda.is_available():
        pytest.skip("too large for a CPU; its own tests hold it to its definition on small patches")
    assert _failed(methods.catalogue[key]) == {}


def test_a_sound_plugin_passes_and_prints_a_table(add, capsys):
    assert cli.main(["check", str(add(PLUGIN))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "odd (method, odd.py)"
    names = [re.split(r"\s{2,}", line.strip())[1] for line in lines[1:]]
    expected = ["card", "band counts", "sizes", "types", "batches", "determinism", "gradients", "saved weights", "device"]
    assert names == [*expected, "parameters"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_check(add, name, capsys):
    old, new, message = FAULTS[name]
    assert old in PLUGIN
    path = add(PLUGIN.replace(old, new))
    failed = _failed(methods.catalogue["odd"])
    assert message in failed[name]
    assert cli.main(["check", str(path), "odd"]) == 1
    assert f"FAILED  {name}" in capsys.readouterr().out


def test_a_wrong_index_is_found(add):
    head = 'from waldbench.metrics import register\n@register("wrong", title="W", direction="lower", best=0.0, convention="c", '
    add(head + 'reference="r")\ndef wrong(fused, gt):\n    return (fused - gt).abs().mean() + 1\n')
    failed = _failed(metrics.catalogue["wrong"])
    assert "expected one value for each of 2 images, shape (2,)" in failed["values"]
    assert "@register says best=0.0" in failed["best"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.py"], "plugin 'none.py' not found"),
        (["gsb"], "unknown key 'gsb'; nearest: gs, gsa"),
    ],
)
def test_what_is_not_there_is_one_line(words, message, capsys):
    assert cli.main(["check", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_broken_plugin_is_one_line(add, tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text("from waldbench.methods import register\n@register('x', year=1)\nclass A: ...\n")
    assert cli.main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    for package in plugins.PACKAGES:
        package.catalogue.remove_file(path)
    assert "lacks tasks, paper" in said
    assert said.count("\n") == 1
