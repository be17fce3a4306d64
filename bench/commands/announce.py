"""What a run says before it begins: data, protocol, how many cells at a time, what runs, and how long it took last time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from waldbench.bench.protocol import Protocol
    from waldbench.bench.results.store import Store
    from waldbench.bench.run.job import Job
    from waldbench.bench.run.plan import Plan
    from waldbench.bench.run.settings import Settings


def announce(
    out: Console, settings: Settings, protocols: Sequence[Protocol], planned: Plan, store: Store, workers: int | None
) -> None:
    """Print what will run, what is done, and what is skipped and why."""
    from rich.text import Text

    for name, dataset in planned.opened.items():
        simulated = dataset.source == "simulated"
        source = Text("SIMULATED data", style="bold") + " (embedded twin)" if simulated else Text(f"{dataset.source} data")
        rules = ", ".join(dict.fromkeys(rules.on(dataset.track).id for rules in protocols))
        line = Text(f"{name}: ") + source + f", {dataset.sensor.title}, ratio {dataset.sensor.ratio}, protocol {rules}"
        out.print(line, soft_wrap=True)
    for notice in planned.notices:
        out.print(f"note: {notice}", soft_wrap=True)
    out.print(f"device {settings.device}, cells {_shares(planned, settings, workers)}, results in {_short(settings.results)}/")
    for label, cells in (("run", [job.cell for job in planned.jobs]), ("done before", planned.done)):
        if cells:
            several = len(protocols) > 1
            names = (f"{cell}, {cell.protocol}" if several else str(cell) for cell in cells)
            out.print(f"{label}: " + ("; " if several else ", ").join(names), soft_wrap=True)
    for told in trainings(planned.jobs, store):
        out.print(told, soft_wrap=True)
    for told in _history(planned):
        out.print(told, soft_wrap=True)
    for told in dict.fromkeys(f"skipped: {cell}: {reason}" for cell, reason in planned.skipped):
        out.print(told, soft_wrap=True)


def _history(planned: Plan) -> list[str]:
    """What earlier results are worth now: made by other code, by unknown code, or put back."""
    lines = [f"{cell}: {reason}; running again" for cell, reason in planned.changed]
    lines += [f"{cell}: {reason}; kept, stale" for cell, reason in planned.stale]
    lines += [f"{cell}: an earlier result of the same code is put back" for cell, *_ in planned.restored]
    if planned.unknown:
        several = len(planned.unknown) > 1
        what = f"{len(planned.unknown)} results" if several else str(planned.unknown[0])
        lines.append(f"unknown code: {what}: the record does not say which code made it; --force runs again")
    return lines


def _shares(planned: Plan, settings: Settings, workers: int | None) -> str:
    from waldbench.bench.run.schedule import batches

    shares = []
    for jobs, count in batches(planned.jobs, workers, settings.threads):
        threads = " or ".join(map(str, sorted({job.threads or 1 for job in jobs})))
        shares.append(f"{count} at a time, {threads} thread(s) each")
    return ", then ".join(shares) or "all done"


def trainings(jobs: Sequence[Job], store: Store) -> list[str]:
    """One line about what will be trained and how long it took last time, nothing where nothing is."""
    training = [job for job in jobs if job.trains]
    if not training:
        return []
    before = _last_times(store)
    told = []
    for job in training:
        pace = before.get((job.cell.method, job.cell.dataset))
        steps = job.protocol.steps
        seconds = None if pace is None else pace[0] * (steps / pace[1] if steps and pace[1] else 1)
        several = len({other.protocol.id for other in training}) > 1
        told.append((f"{job.cell.method} seed {job.cell.seed}" + (f" {job.cell.protocol}" if several else ""), seconds))
    parts = ", ".join(f"{name} ({'not timed yet' if seconds is None else duration(seconds)})" for name, seconds in told)
    known = [seconds for _, seconds in told if seconds is not None]
    total = f"; about {duration(sum(known))} one after another" if len(known) > 1 else ""
    number = "1 training" if len(told) == 1 else f"{len(told)} trainings"
    return [f"{number}, as long as last time: {parts}{total}" if known else f"{number}: {parts}"]


def _last_times(store: Store) -> dict[tuple[str, str], tuple[float, int]]:
    """Seconds and steps of the newest training of each method on each dataset."""
    found: dict[tuple[str, str], tuple[str, float, int]] = {}
    for cell, record in store.cells():
        seconds, key = record.timings["train_s"], (cell.method, cell.dataset)
        if record.ok and seconds and record.date >= found.get(key, ("",))[0]:
            found[key] = (record.date, float(seconds), int(record.training["steps"] or 0))
    return {key: (seconds, steps) for key, (_, seconds, steps) in found.items()}


def duration(seconds: float) -> str:
    """Seconds as people say them: 12 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _short(folder: Path) -> Path:
    """A folder as seen from the current one, where it lies inside."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
