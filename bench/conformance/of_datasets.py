"""Checks of a dataset: the contract, the first image of every split, the same pixels each time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch

from waldbench import datasets
from waldbench.bench.conformance.common import CheckError
from waldbench.datasets.base import SPLITS, Dataset, check_contract


class DatasetSubject:
    """A dataset under test, from where `auto` finds it."""

    def __init__(self, key: str) -> None:
        self.key = key

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, opened once."""
        return check_contract(datasets.open(self.key), self.key)


def check_contract_of(subject: DatasetSubject) -> str:
    """Attributes and splits."""
    found = subject.dataset
    sizes = ", ".join(f"{name} {len(found.split(name))}" for name in SPLITS)
    return f"{found.label}: {sizes}"


def check_images(subject: DatasetSubject) -> str:
    """The first image of every split: bands, ground truth, finite values."""
    found, shown = subject.dataset, []
    for name in SPLITS:
        if not len(found.split(name)):
            continue
        scene = found.split(name)[0]
        scene.check_finite()
        if scene.ms.shape[1] != found.sensor.count:
            raise CheckError(f"{name}: ms has {scene.ms.shape[1]} bands, {found.sensor.title} has {found.sensor.count}")
        if scene.ratio != found.sensor.ratio:
            raise CheckError(f"{name}: guide is {scene.ratio} times ms, of {found.sensor.title} {found.sensor.ratio}")
        if (scene.gt is None) != (name == "full"):
            raise CheckError(f"{name}: expected {'no' if name == 'full' else 'a'} ground truth (gt)")
        shown.append(f"{name} {'x'.join(map(str, scene.guide.shape[-2:]))}")
    if not shown:
        raise CheckError("every split is empty")
    return ", ".join(shown)


def check_repetition(subject: DatasetSubject) -> str:
    """Reading twice gives the same pixels, alone or in a batch; names tell images apart."""
    for name in SPLITS:
        split = subject.dataset.split(name)
        count = min(len(split), 2)
        if not count:
            continue
        batch, first = split[:count], split[0]
        pairs = zip(batch.images().values(), first.images().values(), strict=True)
        if not all(torch.equal(together[:1], alone) for together, alone in pairs):
            raise CheckError(f"{name}: image 0 read twice differs; read the same pixels each time")
        if len(set(batch.name)) < count:
            raise CheckError(f"{name}: images 0 and 1 are both called '{batch.name[0]}'; scores are kept by name")
    return "the same pixels each time"


CHECKS: tuple[Callable[[DatasetSubject], str | None], ...] = (check_contract_of, check_images, check_repetition)
