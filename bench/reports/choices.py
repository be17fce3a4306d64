"""What a user may choose about the reports; imported by the command line, so nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

# "fast": one test image a split, accuracy against time, box plots.
FIGURES = ("all", "fast", "none")
# Formats for other tools and the functions of `reports.exports` that write them.
EXPORTS = {"benchopt": "write_benchopt"}


@dataclass(frozen=True)
class Choice:
    """What is derived besides the CSV files.

    Attributes:
        figures: one of `FIGURES`.
        siunitx: whether LaTeX tables align their numbers with the package siunitx.
        exports: formats for other tools, of `EXPORTS`.
    """

    figures: str = "all"
    siunitx: bool = False
    exports: tuple[str, ...] = ()
