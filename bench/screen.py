"""Where text goes."""

from __future__ import annotations

from rich.console import Console


def console() -> Console:
    """Standard output; wide enough in a pipe that no table is cut."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=max(out.width, 120))
