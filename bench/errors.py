"""Errors of the command line that end with exit code 2."""

from __future__ import annotations


class UsageError(ValueError):
    """What the user asked for cannot be done as asked; one line says what was expected, what came and what to do."""
