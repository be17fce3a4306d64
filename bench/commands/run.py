"""The command `run`: plan, say what will run, run it, report; from words, a file, or `waldbench.run`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waldbench.bench.commands import configuration
from waldbench.bench.commands import options as shared
from waldbench.bench.errors import DistributedError, TrainingInterruptedError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from waldbench.bench.protocol import Protocol
    from waldbench.bench.results.record import Record
    from waldbench.bench.results.store import Store
    from waldbench.bench.run.job import Job
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
    changes = "fields of the protocol in other words, such as lr=1e-3 steps=800; name and id follow"
    group.add_argument("--set", dest="changes", nargs="+", default=[], metavar="FIELD=VALUE", help=changes)
    sweep = "one row for each value, such as lr=1e-4,3e-4,1e-3, all in one table"
    group.add_argument("--sweep", nargs="+", default=[], metavar="FIELD=A,B", help=sweep)
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
    group.add_argument("--config", type=shared.existing_file, metavar="FILE", help="options from a YAML file; words win over it")
    kept = "write the run as a file for --config (one is kept in the results folder, too)"
    group.add_argument("--save-config", type=Path, metavar="FILE", help=kept)


def _add_how(group: argparse._ArgumentGroup) -> None:
    from waldbench.bench.run.executors import EXECUTORS

    shared.add_device(group)
    shared.add_threads(group, "of a cell (default: 1 to train on a CPU, else cores / workers)")
    group.add_argument("--workers", type=shared.whole(1), metavar="N", help="cells at a time (default: one a core; one on a GPU)")
    kinds = ", ".join(f"{name}: {where}" for name, where in EXECUTORS.items())
    group.add_argument("--executor", choices=tuple(EXECUTORS), default="local", help=kinds)
    group.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster")
    group.add_argument("--timeout", type=shared.whole(1), metavar="S", help="seconds after which a cell is stopped (local)")
    memory = "MiB of memory above which a cell is stopped (local, Linux)"
    group.add_argument("--max-memory", type=shared.whole(1), metavar="MIB", help=memory)
    group.add_argument("--fail-fast", action="store_true", help="stop at the first failed cell")
    group.add_argument("--wait-workers", type=shared.whole(0), default=60, metavar="S", help="for a Dask worker (default: 60 s)")
    group.add_argument("--compile", action="store_true", help="train with torch.compile")
    group.add_argument("--layout", choices=("auto", "channels-last", "contiguous"), default="auto", help="of images in memory")
    group.add_argument("--deterministic", action="store_true", help="refuse operations that give other bits each time (GPU)")
    group.add_argument("--force", action="store_true", help="run finished cells again")
    group.add_argument("--keep-stale", action="store_true", help="show results of other code, marked, instead of running again")
    group.add_argument("--dry-run", action="store_true", help="say what would run, and stop")
    group.add_argument("--quiet", action="store_true", help="only failures and the final table")


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the exit code, and protocol id and dataset label of the tables it is about."""

    code: int
    wanted: frozenset[tuple[str, str]] = frozenset()


def run(options: argparse.Namespace) -> int:
    """Plan, say what will run, run it, and report.

    Returns:
        0 if every cell succeeded, 1 if one failed, 130 after Ctrl-C.
    """
    return outcome(options).code


def outcome(options: argparse.Namespace, silent: bool = False) -> Outcome:
    """Run as `run` does; `silent` prints nothing at all, for callers that show the results themselves."""
    _check(options)
    settings = _settings(options)
    from waldbench.bench.results.store import Store
    from waldbench.bench.run import followers
    from waldbench.bench.run.executors.local import warm_up
    from waldbench.bench.training import distributed

    distributed.start()
    if distributed.rank():
        return Outcome(_follow())
    store = Store(settings.results)
    if options.executor == "local" and not options.dry_run:
        warm_up()
    try:
        found = _lead(options, settings, store, silent)
    except DistributedError as error:  # the others wait for this process; torchrun ends them with it
        print(f"error: {error}; run the same command again to resume", file=sys.stderr)
        return Outcome(1)
    except BaseException:
        followers.dismiss()
        raise
    followers.dismiss()
    return found


def _check(options: argparse.Namespace) -> None:
    if not options.dataset:
        raise UsageError("no dataset named; expected --dataset wv3, or --dataset scene:PATH (all keys: run_bench.py list)")
    if options.track and options.task not in {None, "sar"}:
        raise UsageError(f"--track {options.track} goes with --task sar, got --task {options.task}")
    if options.scheduler and options.executor != "dask":
        raise UsageError("--scheduler goes with --executor dask")
    for name in ("timeout", "max_memory"):
        if getattr(options, name) and options.executor != "local":
            raise UsageError(f"--{name.replace('_', '-')} goes with --executor local; a cluster has limits of its own")
    if options.max_memory and not Path("/proc/self/status").is_file():
        raise UsageError("--max-memory needs /proc, which this system does not have")


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


def _lead(options: argparse.Namespace, settings: Settings, store: Store, silent: bool) -> Outcome:
    from waldbench.bench.commands.announce import announce
    from waldbench.bench.environment import cores
    from waldbench.bench.run.prepare import prepare
    from waldbench.bench.screen import console, nowhere

    out = nowhere() if silent else console()
    text = configuration.resolved(options, parser(), settings)
    if options.save_config:
        _save(text, options.save_config)
    protocols = _protocols(options, settings)
    plans = _plans(protocols, settings, store)
    planned = _joined(plans)
    _check_tracks(options, planned)
    if not options.quiet or options.dry_run:
        announce(out, settings, protocols, planned, store, options.workers)
    if options.dry_run:
        return Outcome(0)
    _make_folder(settings.results)
    configuration.keep(text, settings.results)
    _settle(planned, store)
    _try_out(planned, store, out, options.quiet)
    for one, rules in zip(plans, protocols, strict=True):
        for problem in prepare(one, replace(settings, protocol=rules), store, settings.threads or cores()):
            out.print(problem, soft_wrap=True)
    records = _execute(options, planned, out)
    failed = [*planned.broken, *(record for record in records if not record.ok)]
    wanted = _wanted(planned, failed) if len(protocols) == 1 else _remember(settings, protocols, planned, store)
    written = _report(options, wanted, store, out)
    code = 1 if failed or not written or len(records) < len(planned.jobs) else 0
    return Outcome(code, frozenset(wanted))


def parser() -> argparse.ArgumentParser:
    """The options of a run with their defaults."""
    empty = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_options(empty)
    return empty


def _protocols(options: argparse.Namespace, settings: Settings) -> list[Protocol]:
    from waldbench.bench.protocol import layers, sweep

    found = sweep(settings.protocol, options.sweep)
    names = [name for rules in found for name in layers.differing(settings.protocol.to_dict(), rules.to_dict())]
    if not layers.only_training(names):
        raise UsageError("--sweep goes over fields of the training; other images or indices would not compare in one table")
    return found


def _plans(protocols: Sequence[Protocol], settings: Settings, store: Store) -> list[Plan]:
    """One plan a protocol of a sweep; what is not trained runs under the first of them only."""
    from waldbench.bench.run.plan import plan
    from waldbench.datasets.base import DatasetError

    try:
        plans = [plan(replace(settings, protocol=rules), store) for rules in protocols]
    except DatasetError as error:
        raise UsageError(str(error)) from error
    for one in plans[1:]:
        one.jobs = [job for job in one.jobs if job.trains]
    return plans


def _joined(plans: Sequence[Plan]) -> Plan:
    """One plan of several: lists are put one behind the other, each entry once."""
    parts = {item.name: [getattr(one, item.name) for one in plans] for item in fields(plans[0])}
    lists: dict[str, Any] = {name: _once(values) for name, values in parts.items() if isinstance(values[0], list)}
    return replace(plans[0], **lists)


def _once(lists: Sequence[list[Any]]) -> list[Any]:
    found: list[Any] = []
    for entry in (entry for entries in lists for entry in entries):
        found += [] if entry in found else [entry]
    return found


def _save(text: str, path: Path) -> None:
    from waldbench.bench.files import write_atomically

    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UsageError(f"cannot write '{path}': {error}; give another --save-config") from error


def _wanted(planned: Plan, failed: list[Record]) -> set[tuple[str, str]]:
    """Protocol id and dataset label of the tables that a run prints."""
    wanted = {(cell.protocol, cell.dataset) for cell in planned.cells}
    return wanted | {(record.protocol["id"], record.dataset["label"]) for record in failed}


def _remember(settings: Settings, protocols: Sequence[Protocol], planned: Plan, store: Store) -> set[tuple[str, str]]:
    """Note the sweep beside the results; its tables are what the run prints."""
    from waldbench.bench.results import sweeps

    wanted = set()
    for dataset in planned.opened.values():
        ids = [rules.on(dataset.track).id for rules in protocols]
        wanted.add((sweeps.remember(store, settings.protocol.name, ids), dataset.label))
    return wanted


def _settle(planned: Plan, store: Store) -> None:
    """Clear what killed runs left, write what cannot run, put earlier results back, and mark which of the kept ones are stale."""
    from waldbench.bench.results import leftovers

    leftovers.clear(store.root)
    for cell in planned.outdated:
        store.forget(cell)
    for cell, record in planned.failed:
        store.fail(cell, record)
    for cell, folder, record in planned.restored:
        store.restore(cell, folder, record)
    stale = dict(planned.stale)
    for cell in planned.done:
        store.mark(cell, stale.get(cell, ""))


def _try_out(planned: Plan, store: Store, out: Console, quiet: bool) -> None:
    """Before a training, find the cells that cannot work; they become failed rows at once."""
    from waldbench.bench.run import dry
    from waldbench.bench.run.cell import record_failure
    from waldbench.bench.training import distributed

    if distributed.size() > 1 or not any(job.trains for job in planned.jobs):
        return
    started = time.monotonic()
    found = dry.failures(planned.jobs)
    for failure in found:
        record = record_failure(failure.job, store, failure.reason, failure.details)
        planned.jobs.remove(failure.job)
        planned.failed.append((failure.job.cell, record))
        out.print(f"  failed  {failure.job.cell}: {failure.reason}", soft_wrap=True)
    if not quiet:
        tried = f"tried on one small image in {time.monotonic() - started:.1f} s: {len(found)} of the cells cannot work"
        out.print(tried if found else tried.partition(":")[0])


def _check_tracks(options: argparse.Namespace, planned: Plan) -> None:
    for dataset in planned.opened.values():
        if options.task and dataset.task != options.task:
            raise UsageError(f"--task {options.task} does not fit {dataset.key}, which is {dataset.task}")
        if options.track and dataset.track != options.track:
            raise UsageError(f"--track {options.track} does not fit {dataset.key}, which is {dataset.task}")


def _report(options: argparse.Namespace, wanted: set[tuple[str, str]], store: Store, out: Console) -> bool:
    """Derive the reports and print the tables of this run; False if the leaderboard could not be written."""
    from waldbench.bench import reports
    from waldbench.bench.reports.choices import Choice

    try:
        reports.publish(store, out, wanted, Choice(options.figures, options.siunitx, tuple(options.export)))
    except OSError as error:
        out.print(f"leaderboard not written: {error}; free some space and run the same command again", soft_wrap=True)
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
        protocol=protocol.change(protocol.load(options.protocol), options.changes),
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
        keep_stale=options.keep_stale,
    )


def _execute(options: argparse.Namespace, planned: Plan, out: Console) -> list[Record]:
    if not planned.jobs:
        return []
    from waldbench.bench.run import executors
    from waldbench.bench.run.progress import Live
    from waldbench.bench.training import distributed

    execute = executors.get("together" if distributed.size() > 1 else options.executor)
    try:
        with Live(out, options.quiet, len({job.protocol.id for job in planned.jobs if job.trains}) > 1) as live:
            limits = {"timeout": options.timeout, "max_memory": options.max_memory, "fail_fast": options.fail_fast}
            limits["wait_workers"] = options.wait_workers
            given = executors.Resources(options.workers, options.threads, options.scheduler, **limits)
            records = execute(planned.jobs, live, given)
        if options.executor == "local" and distributed.size() == 1:
            _measure_in_quiet(planned, records, out, options.quiet)
        return records
    except executors.InterruptedRunError:
        out.print("interrupted; finished cells are kept, and the same command resumes the others")
        raise SystemExit(130) from None


def _measure_in_quiet(planned: Plan, records: list[Record], out: Console, silent: bool) -> None:
    """Measure latencies again now that nothing else runs."""
    from waldbench.bench.run import quiet

    def listen(job: Job, event: dict[str, Any]) -> None:
        if not silent and "notice" in event:
            out.print(f"  {job.cell}: {event['notice']}", soft_wrap=True)

    if not silent and any(record.ok for record in records):
        out.print("measuring latencies, one method at a time")
    quiet.phase(planned.jobs, records, listen)


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
