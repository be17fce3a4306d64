"""What the user asks for: methods x datasets x seeds, under one protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from waldbench.bench.errors import UsageError
from waldbench.bench.protocol import Protocol
from waldbench.bench.run import names
from waldbench.bench.training.execution import Execution
from waldbench.imaging import tracks
from waldbench.methods import groups


@dataclass(frozen=True)
class Settings:
    """What the user asked for; everything that a command line can say about a run."""

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    protocol: Protocol
    seeds: tuple[int, ...] = (42,)
    results: Path = Path("results")
    data_root: Path | None = None
    source: str = "auto"
    sensor: str | None = None
    ratio: int | None = None
    response: str | None = None
    task: str | None = None
    weights: str | None = None
    zoo: Path | None = None
    device: str = "cpu"
    execution: Execution = field(default_factory=Execution)
    threads: int | None = None
    plugins: tuple[str, ...] = ()
    force: bool = False
    keep_stale: bool = False
    track: str | None = None
    ablate: tuple[str, ...] = ()


def expand_methods(asked: list[str], task: str | None = None, track: str | None = None) -> tuple[str, ...]:
    """Replace all, all-classic and all-deep by keys; keep order, drop repetitions; nothing stands for the track's selection.

    Args:
        asked: keys, keys with options, or names of groups.
        task: "ms", "hs", "sar" or None; groups hold its methods only.
        track: of the task; None: its default track.

    Raises:
        UnknownNameError: for an unknown key.
        UsageError: if nothing is asked and the task has no selection, or for options that a method does not take.
    """
    chosen = [tracks.get(track)] if track else tracks.of_task(task)[:1]
    asked = asked or [key for found in chosen for key in found.methods]
    keys = [names.canonical(key) for name in asked for key in (groups.members(name, task) if name in groups.NAMES else [name])]
    if not keys:
        expected = f"--methods KEY ... | {' | '.join(groups.NAMES)}"
        raise UsageError(f"no method named; expected {expected}, or --task hs or --task sar for a selection")
    return tuple(dict.fromkeys(keys))
