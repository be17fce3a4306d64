"""The command `run`: plan, say what will run, run it, report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from waldbench.bench.commands import options as shared
from waldbench.bench.errors import DistributedError, TrainingInterruptedError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from waldbench.bench.results.record import Record
    from waldbench.bench.results.store import Store
    from waldbench.bench.run.plan import Plan
    from waldbench.bench.run.settings import Settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run."""
    _add_what(parser.add_argument_group("what runs"))
    _add_data(parser.add_argument_group("data and results"))
    shared.add_report(parser, "fast")
    _add_how(parser.add_argument_group("how it runs"))


def _add_what(group: argparse._ArgumentGroup) -> None:
    from waldbench.imaging.tracks import TASKS, TRACKS

    some = [track.key for track in TRACKS.values() if track.key != track.task]
    methods = f"keys (options: tv:variant=toolbox), or {shared.GROUPS} (with --task hs or sar: a selection)"
    group.add_argument("--methods", nargs="+", metavar="KEY", default=[], help=methods)
    group.add_argument("--dataset", nargs="+", metavar="KEY", default=[], help="keys, or scene:PATH for your own images")
    group.add_argument("--task", choices=tuple(TASKS), help="multispectral, hyperspectral or SAR-optical")
    group.add_argument("--track", choices=some, help="of SAR-optical data: cloud removal or sharpening")
    group.add_argument("--ablate", choices=("guide",), nargs="+", default=[], help="also train networks without a guide")
    group.add_argument("--protocol", default="quick", metavar="NAME", help="quick (default), full, or a YAML file")
    seeds = "seeds of the training (default: 42)"
    group.add_argument("--seeds", nargs="+", type=shared.whole(0, 2**31 - 1), default=[42], metavar="N", help=seeds)
    group.add_argument("--weights", metavar="zoo|PATH", help="evaluate with these weights instead of training")
    shared.add_plugins(group)


def _add_data(group: argparse._ArgumentGroup) -> None:
    shared.add_source(group)
    group.add_argument("--sensor", metavar="KEY", help="sensor, or spectrometer, of a scene:PATH")
    ratio = "PAN sides over MS sides of a scene (default: from the sizes; 4)"
    group.add_argument("--ratio", type=shared.whole(2), metavar="N", help=ratio)
    response = "PAN's spectral response (nm, PAN) for a cube without PAN"
    group.add_argument("--response", type=shared.existing_file, metavar="FILE", help=response)
    shared.add_results(group)


def _add_how(group: argparse._ArgumentGroup) -> None:
    from waldbench.bench.run.executors import EXECUTORS

    shared.add_device(group)
    shared.add_threads(group, "of a cell (default: 1 to train on a CPU, else cores / workers)")
    group.add_argument("--workers", type=shared.whole(1), metavar="N", help="cells at a time (default: one a core; one on a GPU)")
    kinds = ", ".join(f"{name}: {where}" for name, where in EXECUTORS.items())
    group.add_argument("--executor", choices=tuple(EXECUTORS), default="local", help=kinds)
    group.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster")
    group.add_argument("--wait-workers", type=shared.whole(0), default=60, metavar="S", help="for a Dask worker (default: 60 s)")
    group.add_argument("--compile", action="store_true", help="train with torch.compile")
    group.add_argument("--layout", choices=("auto", "channels-last", "contiguous"), default="auto", help="of images in memory")
    group.add_argument("--deterministic", action="store_true", help="refuse operations that give other bits each time (GPU)")
    group.add_argument("--force", action="store_true", help="run finished cells again")
    group.add_argument("--dry-run", action="store_true", help="say what would run, and stop")
    group.add_argument("--quiet", action="store_true", help="only failures and the final table")


def run(options: argparse.Namespace) -> int:
    """Plan, say what will run, run it, and report.

    Returns:
        0 if every cell succeeded, 1 if one failed, 130 after Ctrl-C.
    """
    _check(options)
    settings = _settings(options)
    from waldbench.bench.results.store import Store
    from waldbench.bench.run import followers
    from waldbench.bench.run.executors.local import warm_up
    from waldbench.bench.training import distributed

    distributed.start()
    if distributed.rank():
        return _follow()
    store = Store(settings.results)
    if options.executor == "local" and not options.dry_run:
        warm_up()
    try:
        code = _lead(options, settings, store)
    except DistributedError as error:  # the others wait for this process; torchrun ends them with it
        print(f"error: {error}; run the same command again to resume", file=sys.stderr)
        return 1
    except BaseException:
        followers.dismiss()
        raise
    followers.dismiss()
    return code


def _check(options: argparse.Namespace) -> None:
    if not options.dataset:
        raise UsageError("no dataset named; expected --dataset wv3, or --dataset scene:PATH (all keys: run_bench.py list)")
    if options.track and options.task not in {None, "sar"}:
        raise UsageError(f"--track {options.track} goes with --task sar, got --task {options.task}")
    if options.scheduler and options.executor != "dask":
        raise UsageError("--scheduler goes with --executor dask")


def _follow() -> int:
    """Train along with the leader until there is nothing more to train."""
    from waldbench.bench.run import followers
    from waldbench.bench.run.cell import join

    code = 0
    try:
        for job in followers.jobs():
            try:
                join(job)
            except TrainingInterruptedError:
                code = 130
    except RuntimeError as error:  # the leader, or another process, is gone
        print(f"error: training with the other processes ended: {str(error).splitlines()[0][:160]}", file=sys.stderr)
        return 1
    return code


def _lead(options: argparse.Namespace, settings: Settings, store: Store) -> int:
    from waldbench.bench.environment import cores
    from waldbench.bench.run.plan import plan
    from waldbench.bench.run.prepare import prepare
    from waldbench.bench.screen import console
    from waldbench.datasets.base import DatasetError

    out = console()
    try:
        planned = plan(settings, store)
    except DatasetError as error:
        raise UsageError(str(error)) from error
    _check_tracks(options, planned)
    if not options.quiet or options.dry_run:
        _announce(out, settings, planned, options.workers)
    if options.dry_run:
        return 0
    _make_folder(settings.results)
    for problem in prepare(planned, settings, store, settings.threads or cores()):
        out.print(problem, soft_wrap=True, markup=False)
    records = _execute(options, planned, out)
    failed = [*planned.broken, *(record for record in records if not record.ok)]
    written = _report(options, planned, failed, store, out)
    return 1 if failed or not written else 0


def _check_tracks(options: argparse.Namespace, planned: Plan) -> None:
    for dataset in planned.opened.values():
        if options.task and dataset.task != options.task:
            raise UsageError(f"--task {options.task} does not fit {dataset.key}, which is {dataset.task}")
        if options.track and dataset.track != options.track:
            raise UsageError(f"--track {options.track} does not fit {dataset.key}, which is {dataset.task}")


def _report(options: argparse.Namespace, planned: Plan, failed: list[Record], store: Store, out: Console) -> bool:
    """Derive the reports and print the tables of this run; False if the leaderboard could not be written."""
    from waldbench.bench import reports
    from waldbench.bench.reports.choices import Choice

    wanted = {(cell.protocol, cell.dataset) for cell in planned.cells}
    wanted |= {(record.protocol["id"], record.dataset["label"]) for record in failed}
    try:
        reports.publish(store, out, wanted, Choice(options.figures, options.siunitx, tuple(options.export)))
    except OSError as error:
        out.print(
            f"leaderboard not written: {error}; free some space and run the same command again", soft_wrap=True, markup=False
        )
        return False
    return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to '{folder}': {error}; give another --results") from error


def _settings(options: argparse.Namespace) -> Settings:
    from waldbench import datasets
    from waldbench.bench import protocol
    from waldbench.bench.run.settings import Settings, expand_methods
    from waldbench.bench.training.execution import Execution
    from waldbench.imaging import sensors
    from waldbench.imaging.hyperspectral import SPECTROMETERS

    for name in options.dataset:
        if not name.startswith("scene:"):
            datasets.card(name)
    if options.sensor and options.sensor.lower() not in SPECTROMETERS:
        sensors.get(options.sensor)
    weights, collection = _weights(options.weights)
    return Settings(
        methods=expand_methods(options.methods, options.task, options.track),
        datasets=tuple(options.dataset),
        protocol=protocol.load(options.protocol),
        seeds=tuple(dict.fromkeys(options.seeds)),
        results=options.results.resolve(),
        data_root=options.data_root,
        source=options.source,
        sensor=options.sensor,
        ratio=options.ratio,
        response=None if options.response is None else str(options.response.resolve()),
        # A scene may be either, whatever its number of bands; radar it is not.
        task=options.task if options.task in {"ms", "hs"} else None,
        weights=weights,
        zoo=collection,
        device=shared.chosen_device(options.device),
        execution=Execution(options.compile, options.layout, options.deterministic),
        threads=options.threads,
        track=options.track,
        ablate=tuple(options.ablate),
        plugins=tuple(str(Path(name).resolve()) for name in options.plugin),
        force=options.force,
    )


def _execute(options: argparse.Namespace, planned: Plan, out: Console) -> list[Record]:
    if not planned.jobs:
        return []
    from waldbench.bench.run import executors
    from waldbench.bench.run.progress import Live
    from waldbench.bench.training import distributed

    execute = executors.get("together" if distributed.size() > 1 else options.executor)
    try:
        with Live(out, options.quiet) as live:
            given = executors.Resources(options.workers, options.threads, options.scheduler, options.wait_workers)
            return execute(planned.jobs, live, given)
    except executors.InterruptedRunError:
        out.print("interrupted; finished cells are kept, and the same command resumes the others")
        raise SystemExit(130) from None


def _weights(name: str | None) -> tuple[str | None, Path | None]:
    """A file of weights, or the folder of a zoo."""
    if name is None:
        return None, None
    from waldbench.bench import zoo

    folder = zoo.folder() if name == "zoo" else Path(name).resolve()
    if folder.is_dir():
        return None, folder
    if not folder.is_file():
        raise UsageError(f"weights '{name}' not found; expected zoo, a .safetensors or .pth file, or a folder that holds a zoo")
    return str(folder), None


def _announce(out: Console, settings: Settings, planned: Plan, workers: int | None) -> None:
    from waldbench.bench.run.schedule import batches

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
    out.print(f"device {settings.device}, cells {', then '.join(shares) or 'all done'}, results in {_short(settings.results)}/")
    for label, cells in (("run", [job.cell for job in planned.jobs]), ("done before", planned.done)):
        if cells:
            out.print(f"{label}: " + ", ".join(str(cell) for cell in cells), soft_wrap=True, markup=False)
    for cell, reason in planned.skipped:
        out.print(f"skipped: {cell}: {reason}", soft_wrap=True, markup=False)


def _short(folder: Path) -> Path:
    """A folder as seen from the current one, where it lies inside."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
