"""Simulated twins of real sensors: seeded procedural scenes through a physical chain, in the published splits."""

from waldbench.datasets.simulated.twin import SimulatedTwin

__all__ = ["SimulatedTwin"]
