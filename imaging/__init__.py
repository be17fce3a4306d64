"""The physics everyone shares: scenes, sensors, MTF filters, resampling, Wald's protocol, image statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from waldbench.imaging import sensors
from waldbench.imaging.sensors import Sensor

if TYPE_CHECKING:
    from waldbench.imaging.resampling import interp23
    from waldbench.imaging.scene import Scene

__all__ = ["Scene", "Sensor", "interp23", "sensors"]


def __getattr__(name: str) -> Any:
    """Import torch-based names on first use, so that `list` and `--help` stay light."""
    if name == "Scene":
        from waldbench.imaging.scene import Scene

        return Scene
    if name == "interp23":
        from waldbench.imaging.resampling import interp23

        return interp23
    raise AttributeError(f"module 'waldbench.imaging' has no attribute '{name}'")
