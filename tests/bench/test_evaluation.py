"""The evaluation: what is scored, on which images, and what a broken method costs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from waldbench import datasets, methods, metrics
from waldbench.bench.run.evaluation import (
    KEPT_SIDE,
    MethodOutputError,
    compact,
    evaluate,
    reference_images,
    score,
)
from waldbench.methods.base import Method

CPU = torch.device("cpu")


def test_every_index_of_every_image_is_scored(toy_protocol):
    dataset = datasets.open("toy")
    found = evaluate(methods.create("toy-copy", sensor=dataset.sensor), dataset, toy_protocol, CPU)
    keys = {(row["split"], row["image"], row["metric"]) for row in found.scores}
    reduced = {("reduced", f"toy-{i}", key) for i in (200, 201) for key in toy_protocol.scoring["ms"].reduced}
    assert keys == reduced | {("full", "toy-300", key) for key in toy_protocol.scoring["ms"].full}
    assert found.counts == {"reduced": 2, "full": 1}
    assert set(found.images) == {"reduced-0", "reduced-1", "full-0"}


def test_scores_are_those_of_the_public_function(toy_protocol):
    dataset = datasets.open("toy")
    for split, border in (("reduced", 21), ("full", 0)):
        scene = dataset.split(split)[0]
        fused = scene.lms + 0.5 * (scene.guide - scene.guide.mean())
        for row in score(fused, scene, dataset, toy_protocol, split):
            expected = metrics.compute(row["metric"], fused, scene, sensor=dataset.sensor, border=border)
            assert row["value"] == expected.item()


class _Wrong(Method):
    def forward(self, ms, lms, guide):
        return ms


def test_a_wrong_shape_is_named(toy_protocol):
    dataset = datasets.open("toy")
    with pytest.raises(MethodOutputError, match="has shape \\(1, 4, 24, 24\\); expected \\(1, 4, 96, 96\\)"):
        evaluate(_Wrong(sensor=dataset.sensor), dataset, toy_protocol, CPU)


def test_kept_images_are_small_and_lossless_for_fractions():
    large = torch.full((1, 2, KEPT_SIDE + 50, 60), 700.4)
    assert compact(large).shape == (2, KEPT_SIDE, 60)
    assert compact(large).dtype == "uint16"
    decibel = torch.full((1, 2, 8, 8), -12.25)
    assert compact(decibel).min() == -12.25


def test_references_hold_what_the_scene_has(toy_protocol):
    kept = reference_images(datasets.open("toy"), toy_protocol)
    assert {key.rpartition("-")[2] for key in kept if key.startswith("full")} == {"lms", "guide"}
    assert "reduced-1-gt" in kept


def test_an_infinite_value_is_left_empty(toy_protocol):
    rules = replace(toy_protocol, scoring={"ms": replace(toy_protocol.scoring["ms"], reduced=("psnr",))})
    dataset = datasets.open("toy")
    scene = dataset.split("reduced")[0]
    (row,) = score(scene.gt, scene, dataset, rules, "reduced")
    assert row["value"] is None
    assert math.isinf(metrics.compute("psnr", scene.gt, scene, sensor=dataset.sensor).item())
