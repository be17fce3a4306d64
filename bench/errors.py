"""Errors that the harness tells apart."""

from __future__ import annotations


class UsageError(ValueError):
    """What the user asked for cannot be done as asked; one line says what was expected, what came and what to do."""


class TrainingDivergedError(RuntimeError):
    """The loss or the image became NaN or infinite."""


class TrainingInterruptedError(RuntimeError):
    """The user asked to stop; a checkpoint is on disk and the same command resumes."""


class DistributedError(RuntimeError):
    """A process failed alone, so that the others can no longer train with it."""
