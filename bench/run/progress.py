"""What a run shows while it runs: one line a cell in a terminal, plain lines in a pipe."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell
from waldbench.bench.run.job import Job
from waldbench.bench.screen import shortened

PHASES = {"cost": "measuring cost", "evaluate": "evaluating", "latency": "measuring latency"}
# Letters of a cell's name and of its bar, and from which width on of the terminal.
WIDE = (34, 24, 110)
NARROW = (26, 12, 76)
# A name and a bar of a terminal that has room for nothing else.
TINY = (12, 6)


class Live:
    """Listens to the events of an executor and draws them; a context manager.

    Args:
        console: where to.
        quiet: only failures.
        several: whether cells of several protocols run; their names tell which.
    """

    def __init__(self, console: Console, quiet: bool, several: bool = False) -> None:
        self.console, self.quiet, self.several = console, quiet, several
        self.animated = console.is_terminal and not console.is_dumb_terminal
        width = console.width
        self.name, bar = WIDE[:2] if width >= WIDE[2] else NARROW[:2] if width >= NARROW[2] else TINY
        fixed = Column(no_wrap=True)
        name = Column(no_wrap=True, min_width=self.name)
        columns = [
            TextColumn(f"{{task.description:<{self.name}}}", markup=False, table_column=name),
            BarColumn(bar_width=bar, table_column=Column(no_wrap=True, min_width=bar)),
            MofNCompleteColumn(table_column=fixed),
        ]
        if width >= NARROW[2]:
            columns += [TimeElapsedColumn(table_column=fixed), TextColumn("ETA", table_column=fixed)]
            columns += [TimeRemainingColumn(table_column=fixed)]
        detail = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        columns.append(TextColumn("{task.fields[detail]}", markup=False, table_column=detail))
        off = quiet or not self.animated
        self.progress = Progress(*columns, console=console, disable=off, transient=True, expand=True)
        self.tasks: dict[Cell, TaskID] = {}
        self.started: dict[Cell, float] = {}
        self.valid: dict[Cell, str] = {}

    def __enter__(self) -> Live:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def label(self, cell: Cell) -> str:
        """Name of a cell."""
        return f"{cell}, {cell.protocol}" if self.several else str(cell)

    def __call__(self, job: Job, event: dict[str, Any]) -> None:
        """Take one event of a cell."""
        cell = job.cell
        if cell not in self.tasks:
            self.tasks[cell] = self.progress.add_task(shortened(self.label(cell), self.name), total=None, detail="")
            self.started[cell] = time.monotonic()
        task = self.tasks[cell]
        if "record" in event:
            self.progress.remove_task(task)
            del self.tasks[cell]
            self._finish(cell, event["record"])
        elif "phase" in event:
            self.progress.update(task, detail=PHASES.get(event["phase"], event["phase"]))
        elif "notice" in event:
            self._say(f"  {self.label(cell)}: {event['notice']}")
        else:
            self._step(cell, task, event)

    def _step(self, cell: Cell, task: TaskID, event: dict[str, Any]) -> None:
        loss = f"loss {event['loss']:.4f}"
        if "ergas" in event:
            found = {name: value for name, value in event.items() if name in {"ergas", "sam", "mae"}}
            # Cloud removal is chosen by MAE; the ERGAS of bands that see next to nothing would only puzzle.
            found.pop("ergas" if "mae" in found else "", None)
            self.valid[cell] = "valid " + ", ".join(f"{name.upper()} {value:.3f}" for name, value in found.items())
            if not self.animated:
                self._say(f"  {self.label(cell)}: step {event['step']}/{event['steps']}, {loss}, {self.valid[cell]}")
        speed = self.progress.tasks[self.progress.task_ids.index(task)].speed
        pace = f"{speed:.1f} it/s" if speed else ""
        parts = (f"epoch {event['epoch']}/{event['epochs']}", pace, loss, self.valid.get(cell, ""))
        detail = "  ".join(part for part in parts if part)
        self.progress.update(task, completed=event["step"], total=event["steps"], detail=detail)

    def _finish(self, cell: Cell, record: Record) -> None:
        seconds = time.monotonic() - self.started[cell]
        if record.ok:
            self._say(Text("  done", style="green").append(f"    {self.label(cell)} ({seconds:.1f} s)", style="default"))
        else:
            line = Text("  failed", style="red").append(f"  {self.label(cell)}: {record.reason}", style="default")
            self.console.print(line, soft_wrap=True, highlight=False)

    def _say(self, text: str | Text) -> None:
        if not self.quiet:
            self.console.print(text, soft_wrap=True, highlight=False, markup=False)
