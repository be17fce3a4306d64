"""The progress bar of one product."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from waldbench.bench.screen import console


class Bar:
    """Shows how far a product is, in a terminal; a context manager."""

    def __init__(self, key: str, quiet: bool) -> None:
        out = console()
        columns = (
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=out, disable=quiet or not out.is_terminal, transient=True)
        self.key = key
        self.task = self.progress.add_task(key, total=None)

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def fused(self, number: int, done: int, count: int) -> None:
        """So many of so many parts are fused, in the given pass over the image."""
        self._show(f"{self.key}: pass {number}", done, count)

    def copied(self, done: int, count: int) -> None:
        """So many of so many rows are written."""
        self._show(f"{self.key}: writing", done, count)

    def _show(self, text: str, done: int, count: int) -> None:
        if self.progress.tasks[0].description != text:
            self.progress.reset(self.task, description=text)
        self.progress.update(self.task, completed=done, total=count)
