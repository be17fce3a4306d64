"""What the user asks for: methods x datasets x seeds, under one protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from waldbench import methods
from waldbench.bench import spelling
from waldbench.bench.errors import UsageError
from waldbench.bench.protocol import Protocol
from waldbench.bench.training.tuning import Tuning

# What a task (SAR-optical: a track) runs where no method is named:
# its floor, fast representatives of every family, networks made for it, and CF2N, the longest training, first of them.
SELECTION = {
    "hs": ("exp", "gsa", "gfpca", "sfim", "mtf-glp", "mtf-glp-hpm-r", "cf2n", "hyperpnn", "hspenet", "fusionnet"),
    # UnCRtainTS alone takes as long as these three networks together.
    "sar-cr": ("input-copy", "mean-fill", "sar-regression", "cf2n", "dsen2-cr-lite", "unet3d-like"),
    "sar-sharp": ("exp", "bicubic", "gs", "gsa", "mtf-glp", "cf2n", "pnn", "fusionnet"),
}
# How SAR-optical data are used where no --track is given.
TRACK = "sar-cr"


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
    tuning: Tuning = field(default_factory=Tuning)
    threads: int | None = None
    plugins: tuple[str, ...] = ()
    force: bool = False
    track: str | None = None
    ablate: tuple[str, ...] = ()


def expand_methods(asked: list[str], task: str | None = None, track: str | None = None) -> tuple[str, ...]:
    """Replace all, all-classic and all-deep by keys; keep order, drop repetitions; nothing stands for `SELECTION` of the task.

    Raises:
        UnknownNameError: for an unknown key.
        UsageError: if nothing is asked and the task has no selection, or for options that a method does not take.
    """
    asked = asked or list(SELECTION.get((track or TRACK) if task == "sar" else task or "", ()))
    groups = {
        "all": methods.names(task),
        "all-classic": [key for key in methods.names(task) if methods.card(key).family != "deep"],
        "all-deep": [key for key in methods.names(task) if methods.card(key).family == "deep"],
    }
    keys = [spelling.canonical(key) for name in asked for key in groups.get(name, [name])]
    if not keys:
        tasks = "--task hs or --task sar"
        raise UsageError(
            f"no method named; expected --methods KEY ... | all | all-classic | all-deep, or {tasks} for a selection"
        )
    return tuple(dict.fromkeys(keys))
