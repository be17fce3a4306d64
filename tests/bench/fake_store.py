"""A store with invented numbers, for the tests of everything that is derived from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from waldbench.bench import protocol as protocols
from waldbench.bench.files import save_arrays
from waldbench.bench.protocol import layers
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell, Store

PROTOCOL = "quick-0123abcd"
METRICS = {"reduced": ("sam", "ergas", "psnr"), "full": ("d_lambda_k", "d_s", "hqnr")}
QUICK = protocols.load("quick").on("ms")
RULES = replace(QUICK, scoring={"ms": replace(QUICK.scoring["ms"], **METRICS)})
SCORES = {
    "exp": {"sam": [5.0, 6.0], "ergas": [6.0, 8.0], "psnr": [30.0, 31.0], "d_lambda_k": [0.02], "d_s": [0.2], "hqnr": [0.784]},
    "gsa": {"sam": [4.0, 5.0], "ergas": [4.0, 5.0], "psnr": [34.0, 35.0], "d_lambda_k": [0.05], "d_s": [0.05], "hqnr": [0.9025]},
    "net": {"sam": [3.0, 4.0], "ergas": [3.0, 5.0], "psnr": [36.0, 35.0], "d_lambda_k": [0.03], "d_s": [0.04], "hqnr": [0.9312]},
}
FAMILIES = {"exp": "interpolation", "gsa": "component_substitution"}


def add(store: Store, method: str, scores: dict | None = None, /, dataset="wv2-simulated", protocol=PROTOCOL, seed=42, **facts):
    """Add one finished cell; `scores` holds values per image for each index, `facts` replace parts of the record."""
    # In another order than the protocol's, so that only the protocol can put the columns in order.
    scores = dict(reversed((SCORES[method] if scores is None else scores).items()))
    cell = Cell(protocol, dataset, method, seed)
    rows = [
        {"split": split, "image": f"{split} {number}", "metric": key, "value": value}
        for key, values in scores.items()
        for split in ("reduced", "full")
        if key in METRICS[split] or (split == "reduced" and key not in METRICS["full"])
        for number, value in enumerate(values)
    ]
    record = _record(cell, **facts)
    if record.ok:
        if record.weights == "trained":
            store.scratch(cell).mkdir(parents=True, exist_ok=True)
            (store.scratch(cell) / "weights.safetensors").write_bytes(b"invented")
        store.commit(cell, record, rows)
    else:
        store.fail(cell, record)
    return cell


def fail(store: Store, method: str, reason: str, /, **facts):
    """Add one failed cell."""
    blank = {"environment": {}, "cost": {}, "timings": {}, "training": {}, "counts": {}}
    return add(store, method, {}, status="failed", reason=reason, **blank | facts)


def add_images(store: Store, methods=("exp", "gsa", "net"), dataset="wv2-simulated", bands=8, guide_bands=1, size=(64, 48)):
    """Keep images for figures: reduced-0 with ground truth, full-0 without; fused images of later methods are nearer to gt."""
    draw = np.random.default_rng(0)
    shape = (bands, *size)
    gt = draw.integers(100, 2000, shape)
    lms = np.clip(gt + draw.integers(-90, 90, shape), 0, 65535)
    guide = draw.integers(100, 2000, (guide_bands, *size))
    reference = {"reduced-0-gt": gt, "reduced-0-lms": lms, "reduced-0-guide": guide, "full-0-lms": lms, "full-0-guide": guide}
    folder = store.root / PROTOCOL / dataset
    save_arrays(folder / "reference.npz", {key: image.astype(np.uint16) for key, image in reference.items()})
    for number, method in enumerate(methods):
        fused = (gt + (lms - gt) * 0.5**number).astype(np.uint16)
        save_arrays(folder / method / "seed-42" / "images.npz", {"reduced-0": fused, "full-0": fused})


def _record(cell: Cell, **facts):
    key, _, source = cell.dataset.partition("-")
    record = {
        "status": "ok",
        "reason": "",
        "date": f"2026-01-01T00:00:{cell.seed % 60:02d}+00:00",
        "method": {"key": cell.method, "title": cell.method.upper(), "family": FAMILIES.get(cell.method, "deep")},
        "dataset": {"key": key, "task": "ms", "sensor": key, "source": source, "fingerprint": "f" * 64},
        "protocol": {"id": cell.protocol, "content": RULES.to_dict()},
        "environment": {"torch": "2.13.0", "processor": "Test 1 CPU", "device": "cpu", "commit": "abc1234", "dirty": True},
        "cost": {
            "parameters": 466252 if cell.method == "net" else 0,
            "macs_256": 28_000_000_000 if cell.method == "net" else 0,
            "flops_256": 57_000_000_000 if cell.method == "net" else 3_000_000,
            "cpu_ms_256": 612.0 if cell.method == "net" else 5.5,
            "cpu_threads": 2,
            "cuda_ms_256": None,
            "cuda_device": None,
            "peak_mib_512": 310.0,
        },
        "timings": {"train_s": 101.0 if cell.method == "net" else None},
        "counts": {"reduced": 2, "full": 1},
        "seed": cell.seed,
        "recipe": None,
        "weights": None,
        "code": {"method": "0123456789ab", "evaluator": "ab0123456789"},
    }
    change = facts.pop("protocol_content", {})
    record["protocol"]["content"] = layers.merge(record["protocol"]["content"], change)
    record["dataset"] |= facts.pop("dataset_facts", {})
    for name, value in facts.items():
        record[name] = record.get(name, {}) | value if isinstance(value, dict) and value else value
    return Record(**record)
