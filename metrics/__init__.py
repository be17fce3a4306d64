"""The registry of quality indices: pure functions, one value per image, with a card each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from waldbench.catalogue import Catalogue, Fact

if TYPE_CHECKING:
    from torch import Tensor

    from waldbench.imaging import Scene, Sensor
    from waldbench.metrics.base import register
    from waldbench.metrics.cards import MetricCard

__all__ = ["MetricCard", "card", "catalogue", "compute", "names", "register"]

_TEXT = ((str,), "text")
_REQUIRED: dict[str, Fact] = {"title": _TEXT, "direction": _TEXT, "best": ((int, float), "a number")}
_REQUIRED |= {"convention": _TEXT, "reference": _TEXT}
catalogue = Catalogue("metrics", required=_REQUIRED)


def names(needs: str | None = None) -> list[str]:
    """Sorted keys of all indices, or of those that need "gt" (with reference) or "guide" (without).

    Example:
        >>> from waldbench import metrics
        >>> "sam" in metrics.names(needs="gt"), "sam" in metrics.names(needs="guide")
        (True, False)
    """
    return [entry.key for entry in catalogue if needs is None or ("gt" in entry.arguments) == (needs == "gt")]


def card(key: str) -> MetricCard:
    """The card of an index, without importing it. Raises UnknownNameError for an unknown key.

    Example:
        >>> from waldbench import metrics
        >>> metrics.card("sam").direction, metrics.card("sam").unit
        ('lower', '°')
    """
    from waldbench.metrics.cards import MetricCard

    return MetricCard.from_entry(catalogue[key])


def compute(key: str, fused: Tensor, scene: Scene, *, sensor: Sensor, border: int = 0, **options: Any) -> Tensor:
    """Evaluate one index on a batch.

    Args:
        key: registry key, as `names()` lists them.
        fused: fused images (B, C, H, W) in digital numbers.
        scene: the images it was made from (and gt for indices with reference).
        sensor: sensor of the scene (scale, ratio, MTF).
        border: PAN pixels to leave out, the toolbox's way: border - 1 in front, border behind (0: none).
        options: block=32, convention="dlpan", and others that the index takes.

    Returns:
        (B,) values in float64 or the dtype of `fused`.

    Raises:
        UnknownNameError: for an unknown key.
        ValueError: for a missing ground truth, NaN, wrong shapes or an image too small for border and block.
        TypeError: for an option that the index does not take.

    Example:
        >>> import torch
        >>> from waldbench import Scene, metrics, sensors
        >>> gt = torch.ones(1, 8, 8, 8)
        >>> scene = Scene(ms=gt[..., :2, :2], lms=gt, guide=gt[:, :1], gt=gt)
        >>> round(metrics.compute("rmse", scene.lms + 3, scene, sensor=sensors.get("wv3")).item(), 4)
        3.0
    """
    from waldbench.metrics.base import evaluate

    return evaluate(catalogue[key], fused, scene, sensor=sensor, border=border, **options)


def __getattr__(name: str) -> Any:
    """Import the contract on first use."""
    if name == "register":
        from waldbench.metrics.base import register

        return register
    if name == "MetricCard":
        from waldbench.metrics.cards import MetricCard

        return MetricCard
    raise AttributeError(f"module 'waldbench.metrics' has no attribute '{name}'")
