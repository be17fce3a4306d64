"""The verb `run`: plan, say what will run, run it, report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from waldbench import datasets
from waldbench.bench import protocol, reports, zoo
from waldbench.bench.cells import join
from waldbench.bench.environment import choose_device
from waldbench.bench.errors import TrainingInterruptedError, UsageError
from waldbench.bench.executors import InterruptedRunError, run_dask, run_local, run_together, warm_up
from waldbench.bench.experiment import Settings, expand_methods
from waldbench.bench.live import Live
from waldbench.bench.planning import Plan, plan
from waldbench.bench.preparation import prepare
from waldbench.bench.schedule import batches, cores
from waldbench.bench.screen import console
from waldbench.bench.store import Record, Store
from waldbench.bench.training import distributed
from waldbench.bench.training.tuning import Tuning
from waldbench.datasets.base import DatasetError
from waldbench.imaging import sensors
from waldbench.imaging.hyperspectral import SPECTROMETERS


def run(options: argparse.Namespace) -> int:
    """Plan, say what will run, run it, and report."""
    settings = _settings(options)
    distributed.start()
    if distributed.rank():
        return _follow()
    store = Store(settings.results)
    if options.executor == "local" and not options.dry_run:
        warm_up()
    try:
        code = _lead(options, settings, store)
    except distributed.DistributedError as error:  # the others wait for this process; torchrun ends them with it
        print(f"error: {error}; run the same command again to resume", file=sys.stderr)
        return 1
    except BaseException:
        distributed.dismiss()
        raise
    distributed.dismiss()
    return code


def _follow() -> int:
    """Train along with the leader until there is nothing more to train."""
    code = 0
    for job in distributed.jobs():
        try:
            join(job)
        except TrainingInterruptedError:
            code = 130
    return code


def _lead(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    out = console()
    try:
        planned = plan(settings, store)
    except DatasetError as error:
        raise UsageError(str(error)) from error
    for dataset in planned.opened.values():
        if options.task and dataset.task != options.task:
            raise UsageError(f"--task {options.task} does not fit {dataset.key}, which is {dataset.task}")
        if options.track and dataset.track != options.track:
            raise UsageError(f"--track {options.track} does not fit {dataset.key}, which is {dataset.task}")
    if not options.quiet or options.dry_run:
        _announce(out, settings, planned, options.workers)
    if options.dry_run:
        return 0
    _make_folder(settings.results)
    for problem in prepare(planned, settings, store, settings.threads or cores()):
        out.print(problem, soft_wrap=True, markup=False)
    records = _execute(options, planned, out)
    failed = [*planned.broken, *(record for record in records if record["status"] != "ok")]
    wanted = {(cell.protocol, cell.dataset) for cell in planned.cells}
    wanted |= {(record["protocol"]["id"], record["dataset"]["label"]) for record in failed}
    try:
        reports.publish(store, out, wanted, reports.Choice(options.figures or "fast", options.siunitx, tuple(options.export)))
    except OSError as error:
        out.print(
            f"leaderboard not written: {error}; free some space and run the same command again", soft_wrap=True, markup=False
        )
        return 1
    return 1 if failed else 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to '{folder}': {error}; give another --results") from error


def _settings(options: argparse.Namespace) -> Settings:
    for name in options.dataset:
        if not name.startswith("scene:"):
            datasets.card(name)
    if options.sensor and options.sensor.lower() not in SPECTROMETERS:
        sensors.get(options.sensor)
    try:
        device = str(choose_device(options.device))
    except (ValueError, RuntimeError) as error:
        raise UsageError(str(error)) from error
    weights, collection = _weights(options.weights)
    return Settings(
        methods=expand_methods(options.methods, options.task, options.track),
        datasets=tuple(options.dataset),
        protocol=protocol.load(options.protocol),
        seeds=tuple(dict.fromkeys(options.seeds)),
        results=options.results,
        data_root=options.data_root,
        source=options.source,
        sensor=options.sensor,
        ratio=options.ratio,
        response=None if options.response is None else str(options.response.resolve()),
        # A scene may be either, whatever its number of bands; radar it is not.
        task=options.task if options.task in {"ms", "hs"} else None,
        weights=weights,
        zoo=collection,
        device=device,
        tuning=Tuning(options.compile, options.layout, options.deterministic),
        threads=options.threads,
        track=options.track,
        ablate=tuple(options.ablate),
        plugins=tuple(str(Path(name).resolve()) for name in options.plugin),
        force=options.force,
    )


def _execute(options: argparse.Namespace, planned: Plan, out: Console) -> list[Record]:
    if not planned.jobs:
        return []
    try:
        with Live(out, options.quiet) as live:
            if distributed.size() > 1:
                return [record for jobs, _ in batches(planned.jobs, 1, options.threads) for record in run_together(jobs, live)]
            dask = options.executor == "dask"
            groups = batches(planned.jobs, options.workers or 1 if dask else options.workers, options.threads)
            if dask:
                return [record for jobs, count in groups for record in run_dask(jobs, live, options.scheduler, count)]
            return [record for jobs, count in groups for record in run_local(jobs, live, count)]
    except InterruptedRunError:
        out.print("interrupted; finished cells are kept, and the same command resumes the others")
        raise SystemExit(130) from None


def _weights(name: str | None) -> tuple[str | None, Path | None]:
    """A file of weights, or the folder of a zoo."""
    if name is None:
        return None, None
    folder = zoo.FOLDER if name == "zoo" else Path(name).resolve()
    if folder.is_dir():
        return None, folder
    if name == "zoo" or not Path(name).is_file():
        raise UsageError(f"weights '{name}' not found; expected zoo, a .safetensors or .pth file, or a folder that holds a zoo")
    return str(folder), None


def _announce(out: Console, settings: Settings, planned: Plan, workers: int | None) -> None:
    for name, dataset in planned.opened.items():
        simulated = dataset.source == "simulated"
        source = "[bold]SIMULATED data[/] (embedded twin)" if simulated else f"{dataset.source} data"
        rules = settings.protocol.on(dataset.track).id
        out.print(f"{name}: {source}, {dataset.sensor.title}, ratio {dataset.sensor.ratio}, protocol {rules}")
    for notice in planned.notices:
        out.print(f"note: {notice}", soft_wrap=True, markup=False)
    groups = batches(planned.jobs, workers, settings.threads)
    shares = [
        f"{count} at a time, {' or '.join(map(str, sorted({job.threads or 1 for job in jobs})))} thread(s) each"
        for jobs, count in groups
    ]
    out.print(f"device {settings.device}, cells {', then '.join(shares) or 'all done'}, results in {settings.results}/")
    for label, cells in (("run", [job.cell for job in planned.jobs]), ("done before", planned.done)):
        if cells:
            out.print(f"{label}: " + ", ".join(str(cell) for cell in cells), soft_wrap=True, markup=False)
    for cell, reason in planned.skipped:
        out.print(f"skipped: {cell}: {reason}", soft_wrap=True, markup=False)
