"""Simulated twins of real sensors: seeded procedural scenes, imaged by a physical sensor model, in the published splits."""

from waldbench.datasets.simulated.twin import SimulatedTwin

__all__ = ["SimulatedTwin"]
