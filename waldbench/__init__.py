"""One benchmark for image fusion in remote sensing: methods, indices and datasets under one protocol.

The packages are links to the folders beside this one, so that a checkout, an editable installation and a wheel hold the same
names. Importing this package imports nothing else: each public name is loaded when it is first used.

Example:
    >>> from waldbench import methods, sensors
    >>> methods.card("gsa").year, sensors.get("wv3").count
    (2007, 8)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waldbench import datasets, methods, metrics
    from waldbench.imaging import Scene, interp23, sensors

__version__ = "0.2.0"
__all__ = ["Scene", "__version__", "datasets", "interp23", "methods", "metrics", "run", "sensors"]

_PACKAGES = ("datasets", "methods", "metrics")
_IMAGING = ("Scene", "interp23", "sensors")


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _PACKAGES:
        return importlib.import_module(f"waldbench.{name}")
    if name in _IMAGING:
        return getattr(importlib.import_module("waldbench.imaging"), name)
    if name == "run":
        return importlib.import_module("waldbench.bench.api").run
    raise AttributeError(f"module 'waldbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
