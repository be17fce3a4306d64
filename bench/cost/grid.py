"""The full cost of methods: latency, throughput, peak memory and energy over sizes, threads, precisions and forms.

`run_bench.py cost --methods gsa fusionnet --sensor wv3` measures each method in a fresh process, one at a time, and stores long
rows in `<results>/costs/<sensor>/<method>.json`; `costs.csv` is derived from all of them. What was not measured is a row
without a value, whose note tells why.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from waldbench import methods
from waldbench.bench import environment
from waldbench.bench.cost import PRECISIONS, SIZES, machine, summary
from waldbench.bench.cost.latency import latency
from waldbench.bench.cost.memory import available_mib, keep_freed_memory, peak_mib
from waldbench.bench.environment import cores
from waldbench.bench.files import write_atomically
from waldbench.imaging import sensors
from waldbench.methods.base import Method

FORMS = ("eager", "compiled")
# Of the side at which megapixels a second are told: launching operations no longer decides.
LARGE = 2048
# A call that would take longer, in seconds, is not made.
PATIENCE = 60.0
KEY = ("measure", "side", "place", "device", "threads", "precision", "form", "copies")
NO_GPU = "no CUDA device"
Row = dict[str, Any]


@dataclass(frozen=True)
class Measurement:
    """What is measured of one method; plain data, so that it crosses processes."""

    method: str
    sensor: str
    sizes: tuple[int, ...] = SIZES
    precisions: tuple[str, ...] = ("fp32",)
    forms: tuple[str, ...] = ("eager",)
    plugins: tuple[str, ...] = ()


def measure(wanted: Measurement) -> list[Row]:
    """Measure one method here and now; call it in a fresh process, or CPU memory is underestimated."""
    from waldbench.bench import plugins

    plugins.add(wanted.plugins)
    method = methods.create(wanted.method, sensor=sensors.get(wanted.sensor)).eval()
    with torch.inference_mode():
        rows = [*_memory(method, wanted, summary.CPU), *_count(method, wanted)]
        keep_freed_memory()
        for threads in sorted({1, cores()}):
            rows += _times(method, wanted, summary.CPU, threads)
        if torch.cuda.is_available():
            rows += _on_gpu(method.cuda(), wanted, torch.device("cuda"))
        else:
            absent = ("latency_ms", "peak_mib", "energy_j")
            rows += [_row(name, side, "cuda", note=NO_GPU) for side in wanted.sizes for name in absent]
    shared = {"method": wanted.method, "sensor": wanted.sensor, "bands": method.sensor.count, "date": _now()}
    shared |= {"torch": torch.__version__, **environment.commit()}
    return [shared | row for row in rows]


def _on_gpu(method: Method, wanted: Measurement, device: torch.device) -> Iterator[Row]:
    yield from _memory(method, wanted, device)
    yield from _times(method, wanted, device, cores())
    for side in wanted.sizes:
        images = summary.example(method, side, device)
        joules, note = machine.energy(lambda images=images: method(*images), device)  # type: ignore[misc]
        yield _row("energy_j", side, "cuda", value=joules, note=note)


def _count(method: Method, wanted: Measurement) -> Iterator[Row]:
    for name, value in summary.parameters(method).items():
        yield _row(name, None, "", value=value)
    for side in wanted.sizes:
        if side < LARGE:
            macs, flops = summary.count(method, side)
            yield _row("macs", side, "", value=macs)
            yield _row("flops", side, "", value=flops)


def _memory(method: Method, wanted: Measurement, device: torch.device) -> Iterator[Row]:
    """Peak memory, small sizes first; a size that would not fit, by the last one's need, is left out."""
    last: tuple[int, float] | None = None
    for side in wanted.sizes:
        free, need = available_mib(), 0.0 if last is None else last[1] * (side / last[0]) ** 2
        if device.type == "cpu" and free is not None and need > 0.8 * free:
            yield _row("peak_mib", side, device.type, note=f"not measured: needs about {need:.0f} MiB, {free:.0f} MiB are free")
            continue
        images = summary.example(method, side, device)
        try:
            peak = peak_mib(lambda images=images: method(*images), device)  # type: ignore[misc]
        except (RuntimeError, MemoryError, ValueError) as error:
            yield _row("peak_mib", side, device.type, note=_reason(error))
            continue
        last = last if peak is None else (side, peak)
        yield _row("peak_mib", side, device.type, value=peak, note="" if peak is not None else "not measured: no /proc")


def _times(method: Method, wanted: Measurement, device: torch.device, threads: int) -> Iterator[Row]:
    for form in wanted.forms:
        called = torch.compile(copy.deepcopy(method)) if form == "compiled" else method
        for precision in wanted.precisions:
            facts: Row = {"threads": threads, "precision": precision, "form": form}
            last: tuple[int, float] | None = None
            for side in wanted.sizes:
                if precision != "fp32" and not method.trainable:
                    yield _row("latency_ms", side, device.type, note="float32 only", **facts)
                    continue
                expected = 0.0 if last is None else last[1] * (side / last[0]) ** 2 / 1e3
                if expected > PATIENCE:
                    yield _row("latency_ms", side, device.type, note=f"not measured: would take about {expected:.0f} s", **facts)
                    continue
                for row in _time(method, called, side, device, facts):
                    last = (side, row["value"]) if row["value"] is not None and row["measure"] == "latency_ms" else last
                    yield row


def _time(method: Method, called: Callable[..., Any], side: int, device: torch.device, facts: Row) -> Iterator[Row]:
    """Latency without copies; on CUDA also with copies to and from the host; megapixels of the guide a second when large."""
    on_host, images = summary.example(method, side, summary.CPU), summary.example(method, side, device)
    calls = {False: lambda: called(*images)}
    if device.type == "cuda":
        calls[True] = lambda: called(*(image.to(device) for image in on_host)).cpu()
    for copies, call in calls.items():
        try:
            with _lower(device, facts["precision"]):
                found = latency(call, device, threads=facts["threads"])
        except Exception as error:  # a compiler or a kernel that is missing: the row says so
            yield _row("latency_ms", side, device.type, copies=copies, note=_reason(error), **facts)
            continue
        spread: Row = {"iqr": found.iqr_ms, "repeats": found.repeats}
        yield _row("latency_ms", side, device.type, copies=copies, value=found.median_ms, **spread, **facts)
        if side >= LARGE:
            pixels = images[2].shape[-2] * images[2].shape[-1]
            yield _row("mp_per_s", side, device.type, copies=copies, value=pixels / found.median_ms / 1e3, **facts)


def _lower(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    lower = precision != "fp32"
    return torch.autocast(device.type, getattr(torch, PRECISIONS[precision])) if lower else nullcontext()


def _row(measure: str, side: int | None, place: str, value: float | None = None, note: str = "", **facts: Any) -> Row:
    row: Row = {"measure": measure, "side": side, "place": place, "value": value, "iqr": None, "repeats": None}
    row |= {"threads": None, "precision": "fp32", "form": "eager", "copies": False, "note": note}
    return row | facts | machine.describe(place)


def _reason(error: Exception) -> str:
    return "failed: " + f"{type(error).__name__}: {error}".split("\n")[0]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def path(results: Path, wanted: Measurement) -> Path:
    """Where the rows of a method and sensor are stored."""
    return results / "costs" / wanted.sensor / f"{wanted.method}.json"


def store(results: Path, wanted: Measurement, rows: list[Row]) -> None:
    """Keep rows beside earlier ones; a row of the same measure, size, machine and form replaces the old one."""
    kept = {tuple(row.get(name) for name in KEY): row for row in [*read(path(results, wanted)), *rows]}
    found = {(row["measure"], row["place"]) for row in kept.values() if row["value"] is not None}
    current = [row for row in kept.values() if row["note"] != NO_GPU or (row["measure"], row["place"]) not in found]
    content = {"schema": 1, "rows": current}
    write_atomically(path(results, wanted), json.dumps(content, indent=1, allow_nan=False).encode())


def read(file: Path) -> list[Row]:
    """Stored rows; none where there is no such file or it cannot be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return list(content["rows"]) if content.get("schema") == 1 else []
