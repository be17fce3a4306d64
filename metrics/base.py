"""The contract of a quality index, and the one function that checks what an index is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from waldbench.catalogue import Entry
from waldbench.imaging import Scene, Sensor
from waldbench.metrics import conventions, validity
from waldbench.metrics.cards import MetricCard

T = TypeVar("T")
COMMON = {"block": 32, "convention": conventions.DEFAULT}


def register(*_key: str, **_facts: Any) -> Callable[[T], T]:
    """Mark a function `f(fused, <images of the scene by name>, *, sensor, block, ...) -> (B,)` as an index.

    The arguments are literals that the registry reads without running the file: an optional key (default: the function's
    name), title, direction ("higher" or "lower"), best, convention, reference (required), unit, pixelwise.
    """
    return lambda function: function


def evaluate(entry: Entry, fused: Tensor, scene: Scene, *, sensor: Sensor, border: int, **options: Any) -> Tensor:
    """Check, crop and compute one index; see `metrics.compute`."""
    card = MetricCard.from_entry(entry)
    function = entry.load()
    images = {name: getattr(scene, name) for name in card.needs}
    _check(card, fused, images, scene)
    if border and "gt" in images:
        fused = crop_border(fused, border)
        images = {name: crop_border(image, border) for name, image in images.items()}
    accepted = {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    unknown = set(options) - accepted - set(COMMON)
    if unknown:
        raise TypeError(f"{card.key} takes {', '.join(sorted(accepted | set(COMMON)))}; got {', '.join(sorted(unknown))}")
    if "convention" not in accepted:
        conventions.choose(card.key, options.get("convention", conventions.DEFAULT))
    chosen = {name: value for name, value in (COMMON | options | {"sensor": sensor}).items() if name in accepted}
    if scene.valid is None or bool(scene.valid.all()):
        values: Tensor = function(fused, **images, **chosen)
        return values
    valid = crop_border(scene.valid, border) if border and "gt" in images else scene.valid
    return validity.score(lambda one, others: function(one, **others, **chosen), fused, images, valid, card.pixelwise)


def _check(card: MetricCard, fused: Tensor, images: dict[str, Tensor | None], scene: Scene) -> None:
    if fused.shape != scene.lms.shape:
        raise ValueError(f"fused: expected shape {tuple(scene.lms.shape)} like lms, got {tuple(fused.shape)}")
    for name, image in images.items():
        if image is None and name == "mask":
            raise ValueError(f"{card.key} needs a cloud mask, and this scene has none; give Scene(mask=...)")
        if image is None:
            raise ValueError(
                f"{card.key} needs {name}, and this scene has none (full resolution); use an index without reference"
            )
    for name, image in {"fused": fused, **images}.items():
        if image is not None and not _is_finite(image):
            raise ValueError(f"{card.key}: {name} has NaN or infinite values")


def _is_finite(image: Tensor) -> bool:
    # A sum spreads NaN and infinity and costs a fiftieth of looking at every value; a large but finite image can overflow it.
    return bool(torch.isfinite(image.sum())) or bool(torch.isfinite(image).all())


def crop_border(image: Tensor, border: int) -> Tensor:
    """Cut border - 1 pixels in front and border behind, as the toolbox's 1-based `border : end - border` does."""
    height, width = image.shape[-2:]
    if min(height, width) < 2 * border + 1:
        raise ValueError(
            f"image of {height}x{width} is too small for border {border}; needs at least {2 * border + 1} pixels a side"
        )
    return image[..., border - 1 : height - border, border - 1 : width - border]


def require_panchromatic(key: str, guide: Tensor) -> None:
    """Raise ValueError if the guide (B, G, H, W) is not of one channel."""
    if guide.shape[1] != 1:
        raise ValueError(
            f"{key} compares bands with a panchromatic guide of 1 channel, got {guide.shape[1]} channels; leave it out"
        )
