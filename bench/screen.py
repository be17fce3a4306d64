"""Where text goes: any encoding, any width, a reader that has gone away."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# What stands for characters that an output cannot show; one for one, so that columns stay where they are.
PLAIN = {"↓": "v", "↑": "^", "→": ">", "λ": "l", "±": "~", "×": "x", "–": "-", "—": "-", "−": "-", "·": ".", "…": ".", "°": "o"}
PLAIN |= {"≤": "<", "≥": ">", "²": "2", "³": "3", "µ": "u", "ρ": "r", "σ": "s", "━": "-", "╸": "-", "╺": "-", "─": "-", "│": "|"}


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("waldbench", _plain)


def console() -> Console:
    """Standard output, which takes every text as it is; wide enough in a pipe that no table is cut."""
    from rich.console import Console

    out = Console(highlight=False, markup=False, emoji=False)
    if out.is_terminal and not out.is_dumb_terminal:
        return out
    return Console(highlight=False, markup=False, emoji=False, width=max(out.width, 120))


def nowhere() -> Console:
    """A console that nobody sees."""
    from rich.console import Console

    return Console(file=io.StringIO(), quiet=True)


def shortened(text: str, width: int) -> str:
    """A text of at most `width` letters; what is too long loses its middle."""
    if len(text) <= width:
        return text
    kept = max(width - 1, 1)
    return text[: kept - kept // 2] + "…" + text[len(text) - kept // 2 :]


class Patient:
    """A text stream that goes on when nobody listens any more, and remembers why.

    What a run computes must not be lost because `| head` has seen enough or a disk is full.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lost: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            with suppress(ValueError, io.UnsupportedOperation):
                stream.reconfigure(errors="waldbench")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write what can be written."""
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        if not self.stream.closed:
            self._try(self.stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        if self.lost is not None:
            return
        try:
            action()
        except OSError as error:
            self.lost = error
            # What is still in the buffer must not fail again when the interpreter ends.
            with suppress(OSError, ValueError, io.UnsupportedOperation):
                nobody = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nobody, self.stream.fileno())
                os.close(nobody)

    @property
    def full(self) -> bool:
        """Whether text was lost for another reason than a reader that has gone away."""
        return self.lost is not None and self.lost.errno != errno.EPIPE


@contextmanager
def patient() -> Iterator[Patient]:
    """Standard output and error for the time of a command: no missing letter and no closed pipe ends it."""
    before = sys.stdout, sys.stderr
    # A program that was started with a closed output has none.
    streams = [stream or open(os.devnull, "w", encoding="utf-8") for stream in before]  # noqa: SIM115 - closed below
    out, err = map(Patient, streams)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
        for stream in streams:
            if stream not in before:
                stream.close()
