"""What a run shows while it runs: one line a cell in a terminal, plain lines in a pipe."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell
from waldbench.bench.run.job import Job

PHASES = {"cost": "measuring cost", "evaluate": "evaluating"}


class Live:
    """Listens to the events of an executor and draws them; a context manager."""

    def __init__(self, console: Console, quiet: bool) -> None:
        self.console, self.quiet = console, quiet
        self.progress = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=True,
        )
        self.tasks: dict[Cell, TaskID] = {}
        self.started: dict[Cell, float] = {}
        self.valid: dict[Cell, str] = {}

    def __enter__(self) -> Live:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def __call__(self, job: Job, event: dict[str, Any]) -> None:
        """Take one event of a cell."""
        cell = job.cell
        if cell not in self.tasks:
            self.tasks[cell] = self.progress.add_task(str(cell), total=None, detail="")
            self.started[cell] = time.monotonic()
        task = self.tasks[cell]
        if "record" in event:
            self.progress.remove_task(task)
            self._finish(cell, event["record"])
        elif "phase" in event:
            self.progress.update(task, detail=PHASES[event["phase"]])
        elif "notice" in event:
            self._say(f"  {cell}: {escape(event['notice'])}")
        else:
            self._step(cell, task, event)

    def _step(self, cell: Cell, task: TaskID, event: dict[str, Any]) -> None:
        loss = f"loss {event['loss']:.4f}"
        if "ergas" in event:
            found = {name: value for name, value in event.items() if name in {"ergas", "sam", "mae"}}
            # Cloud removal is chosen by MAE; the ERGAS of bands that see next to nothing would only puzzle.
            found.pop("ergas" if "mae" in found else "", None)
            self.valid[cell] = "valid " + ", ".join(f"{name.upper()} {value:.3f}" for name, value in found.items())
            if not self.console.is_terminal:
                self._say(f"  {cell}: step {event['step']}/{event['steps']}, {loss}, {self.valid[cell]}")
        speed = self.progress.tasks[self.progress.task_ids.index(task)].speed
        pace = f"{speed:.1f} it/s" if speed else ""
        parts = (f"epoch {event['epoch']}/{event['epochs']}", pace, loss, self.valid.get(cell, ""))
        detail = "  ".join(part for part in parts if part)
        self.progress.update(task, completed=event["step"], total=event["steps"], detail=detail)

    def _finish(self, cell: Cell, record: Record) -> None:
        seconds = time.monotonic() - self.started[cell]
        if record.ok:
            self._say(f"  [green]done[/]    {cell} ({seconds:.1f} s)")
        else:
            self.console.print(f"  [red]failed[/]  {cell}: {escape(record.reason)}", soft_wrap=True, highlight=False)

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, soft_wrap=True, highlight=False)
