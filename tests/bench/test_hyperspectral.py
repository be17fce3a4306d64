"""The hyperspectral task through the harness: what runs where nothing is named, scenes' options, patches of any ratio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from waldbench import methods
from waldbench.bench import protocol
from waldbench.bench.cli import main
from waldbench.bench.errors import UsageError
from waldbench.bench.run.plan import dataset_options
from waldbench.bench.run.settings import Settings, expand_methods
from waldbench.bench.training.batches import Batches
from waldbench.datasets.base import DatasetError, Split
from waldbench.imaging import Scene, sensors
from waldbench.imaging.tracks import TRACKS


class Patches(Split):
    """Three patches of 36 pixels at ratio 6, each of one value."""

    def __len__(self) -> int:
        return 3

    def read(self, indices):
        large, small = (torch.tensor(indices).float().view(-1, 1, 1, 1).expand(-1, 2, n, n).contiguous() for n in (36, 6))
        return Scene(small, large, large[:, :1], large, tuple(map(str, indices)))


def test_the_selection_of_the_task_runs_on_it():
    chosen = expand_methods([], "hs")
    assert chosen == TRACKS["hs"].methods
    assert {"exp", "cf2n"} <= set(chosen)
    assert all(methods.supports(key, sensors.get("wdc"), "hs") is None for key in chosen)


def test_without_task_or_methods_the_error_names_both():
    with pytest.raises(UsageError, match=r"--methods KEY .*--task hs"):
        expand_methods([])


def test_a_scene_gets_its_options():
    rules = protocol.load("quick")
    settings = Settings(("exp",), ("scene:a.mat",), rules, ratio=5, response="ikonos.mat", task="hs")
    options = dataset_options(settings, "scene:a.mat")
    assert (options["ratio"], options["response"], options["task"]) == (5, "ikonos.mat", "hs")
    assert "sensor" not in options
    assert "ratio" not in dataset_options(settings, "wdc")


@pytest.mark.parametrize(
    ("arguments", "message"), [(("--ratio", "1"), "at least 2"), (("--response", "none.csv"), "no such file")]
)
def test_wrong_options_of_a_scene_are_refused(arguments, message, capsys):
    assert main(["--methods", "exp", "--dataset", "scene:a.mat", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_patches_of_a_ratio_that_does_not_divide_them_are_cut_smaller():
    rules = replace(protocol.load("quick"), patch=32)
    ms, lms, guide, gt = Batches(Patches(), rules, seed=1, ratio=6).batch(0)
    assert (tuple(ms.shape[-2:]), tuple(gt.shape[-2:])) == ((5, 5), (30, 30))
    assert lms.shape == gt.shape
    assert guide.shape[-1] == 30
    with pytest.raises(DatasetError, match="stored"):
        Batches(Patches(), replace(rules, patch=48), seed=1, ratio=6)


def test_the_hyperspectral_track_tells_the_bands_beyond_pan_apart():
    for name in protocol.presets():
        assert {"ergas_pan", "ergas_beyond"} <= set(protocol.load(name).scoring["hs"].reduced)
    assert Path("docs/metrics.md").read_text(encoding="utf-8").count("ergas_beyond") >= 1
