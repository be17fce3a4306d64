"""The registry of fusion methods: one file a method, the folder is its family.

Listing keys and cards reads files only; `create` imports the one file it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from waldbench.catalogue import Catalogue, Entry, Fact
from waldbench.methods import unavailable

if TYPE_CHECKING:
    from waldbench.imaging import Sensor
    from waldbench.methods.base import Method, register
    from waldbench.methods.cards import MethodCard

__all__ = ["Method", "MethodCard", "card", "catalogue", "create", "names", "options", "register", "supports"]

_SETS = ((set, frozenset, list, tuple), 'a set such as {"ms"}')
_REQUIRED: dict[str, Fact] = {"tasks": _SETS, "year": ((int,), "a year"), "paper": ((str,), "text")}
catalogue = Catalogue("methods", unavailable.REASONS, _REQUIRED)


def names(task: str | None = None) -> list[str]:
    """Sorted keys of all methods, or of those made for `task` ("ms", "hs" or "sar").

    Example:
        >>> from waldbench import methods
        >>> "dsen2-cr" in methods.names(task="sar"), "dsen2-cr" in methods.names(task="ms")
        (True, False)
    """
    return [entry.key for entry in catalogue if task is None or task in entry.facts["tasks"]]


def card(key: str) -> MethodCard:
    """The card of a method, without importing it. Raises UnknownNameError for an unknown key (UnavailableError says why).

    Example:
        >>> from waldbench import methods
        >>> methods.card("gsa").title, methods.card("gsa").year
        ('GSA', 2007)
    """
    from waldbench.methods.cards import MethodCard

    entry: Entry = catalogue[key]
    return MethodCard.from_entry(entry)


def supports(key: str, sensor: Sensor, task: str) -> str | None:
    """None if the method can run on this sensor and task, else the reason why not.

    Example:
        >>> from waldbench import methods, sensors
        >>> methods.supports("gsa", sensors.get("wv3"), "ms") is None
        True
    """
    tasks = card(key).tasks
    if task not in tasks:
        return f"{key} is defined for {', '.join(sorted(tasks))}, not for {task}"
    reason: str | None = catalogue[key].load().supports(sensor, task)
    return reason


def create(key: str, *, sensor: Sensor, guide_bands: int | None = None, **options: Any) -> Method:
    """Build a method for a sensor.

    Args:
        key: registry key, as `names()` lists them.
        sensor: sensor of the images (band count, ratio, scale, MTF).
        guide_bands: channels of the guide (1 = PAN, 2 = SAR VV and VH); None: those of the sensor.
        options: constructor arguments of that method.

    Raises:
        UnknownNameError: for an unknown key; the message names the nearest.
        TypeError: for an option that the method does not take.

    Example:
        >>> import torch
        >>> from waldbench import methods, sensors
        >>> method = methods.create("exp", sensor=sensors.get("wv3"))
        >>> method(torch.zeros(1, 8, 2, 2), torch.ones(1, 8, 8, 8), torch.zeros(1, 1, 8, 8)).unique()  # lms, unchanged
        tensor([1.])
    """
    channels = sensor.guide_bands if guide_bands is None else guide_bands
    try:
        method: Method = catalogue[key].load()(sensor=sensor, guide_bands=channels, **options)
    except TypeError as error:
        # Torch says "must be tuple of ints, but got tuple" and not which of them.
        if "tuple" in str(error):
            hint = "sensor.bands is the tuple of the bands' names; their number is sensor.count"
            raise TypeError(f"{str(error).splitlines()[0]} ({hint})") from error
        raise
    method.card = card(key)
    return method


def options(key: str) -> dict[str, Any]:
    """Constructor options of a method besides sensor and guide_bands, with their defaults; nothing is imported.

    Example:
        >>> from waldbench import methods
        >>> methods.options("hpf")
        {'match': False}
    """
    return {name: default for name, default in catalogue[key].options.items() if name not in {"sensor", "guide_bands"}}


def __getattr__(name: str) -> Any:
    """Import the torch-based contract on first use."""
    if name in {"Method", "register"}:
        from waldbench.methods import base

        return getattr(base, name)
    if name == "MethodCard":
        from waldbench.methods.cards import MethodCard

        return MethodCard
    raise AttributeError(f"module 'waldbench.methods' has no attribute '{name}'")
