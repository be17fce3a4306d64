"""Methods, one scene in files, one fused file each; large scenes are streamed."""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from waldbench import __version__, methods
from waldbench.bench.environment import choose_device
from waldbench.bench.errors import UsageError
from waldbench.bench.products import fusing
from waldbench.bench.products.bar import Bar
from waldbench.bench.products.labels import labels_of
from waldbench.bench.products.output import Form, check_form, product
from waldbench.bench.screen import console
from waldbench.bench.weights import load_weights
from waldbench.datasets.base import DatasetError
from waldbench.datasets.memory_mapped import MappedScene, open_mapped
from waldbench.datasets.scene_files import Asked
from waldbench.methods.base import Method

SUFFIXES = (".tif", ".tiff", ".npy")


def sharpen(options: argparse.Namespace) -> int:
    """Fuse the scene with every method; returns 0.

    Raises:
        UsageError: if scene, method, weights or output cannot be used as asked.
    """
    outputs = _outputs(options)
    out = console()
    try:
        scene = open_mapped(_path(options), options.sensor, _asked(options), options.ratio)
        device = choose_device(options.device)
    except (DatasetError, ValueError, RuntimeError) as error:
        raise UsageError(str(error)) from error
    scene = _windowed(scene, options.window)
    phase, line = _phase(options.phase, scene)
    form, lines = _form(options, scene)
    created = {key: _method(key, scene, options.weights).to(device) for key in outputs}
    for notice in () if options.quiet else (*scene.notices, line, *lines):
        out.print(f"note: {notice}", soft_wrap=True)
    if options.threads:
        torch.set_num_threads(options.threads)
    for key, output in outputs.items():
        said = _write(options, scene, phase, form, created[key], key, output, device)
        if not options.quiet:
            out.print(said, soft_wrap=True)
    return 0


def _write(
    options: argparse.Namespace,
    scene: MappedScene,
    phase: str,
    form: Form,
    method: Method,
    key: str,
    output: Path,
    device: torch.device,
) -> str:
    """Fuse with one method into one file; returns a line that says what was done."""
    started = time.monotonic()
    shape = (len(scene.ms.image), scene.placed.height, scene.placed.width)
    labels, _ = labels_of(scene, _metadata(key, scene, phase, options.weights if method.trainable else None))
    check_form(form, output)
    try:
        with Bar(key, options.quiet) as bar, product(output, shape, form, labels, bar.copied) as file, torch.inference_mode():
            how = fusing.fuse(method, scene, phase, file.write, bar.fused, device)
    except (ValueError, OSError, DatasetError) as error:
        raise UsageError(f"{output} not written: {error}") from error
    seconds = time.monotonic() - started
    return f"{key}, {scene.sensor.title}, {how}: {output} ({'x'.join(map(str, shape))}), {seconds:.1f} s"


def _outputs(options: argparse.Namespace) -> dict[str, Path]:
    """Where the image of every method goes: --output, or with several methods FILE-KEY beside it."""
    given = [name.startswith("scene:") for name in options.dataset]
    if not options.methods or (given != [True] and not (options.ms and not given)):
        raise UsageError(
            "sharpen needs one method or more and one scene: --methods gsa --dataset scene:MS.tif,PAN.tif, or --ms and --pan"
        )
    output = options.output
    if output is None or output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"sharpen needs --output FILE.tif (or .tiff, .npy), got {output}")
    if not output.parent.is_dir():
        raise UsageError(f"--output: no such folder: {output.parent}")
    for key in options.methods:
        methods.card(key)
    keys = list(dict.fromkeys(options.methods))
    named = {key: output if len(keys) == 1 else output.with_name(f"{output.stem}-{key}{output.suffix}") for key in keys}
    existing = [str(path) for path in named.values() if path.exists()]
    if existing and not options.force:
        raise UsageError(f"--output: {existing[0]} exists; give --force to replace it")
    return named


def _path(options: argparse.Namespace) -> str:
    return options.dataset[0].removeprefix("scene:") if options.dataset else ""


def _asked(options: argparse.Namespace) -> Asked:
    keys = {}
    for word in options.key:
        role, separator, name = word.partition("=")
        if not separator or role not in {"ms", "pan"}:
            raise UsageError(f"--key takes ms=NAME pan=NAME, got '{word}'")
        keys[role] = name
    return Asked(tuple(options.ms), tuple(options.pan), (), keys, _numbers(options.bands), options.align)


def _numbers(words: list[str]) -> tuple[int, ...]:
    """Band numbers from words such as 1-3 5."""
    found: list[int] = []
    for word in (part for text in words for part in text.split(",") if part):
        first, _, last = word.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or int(first) < 1:
            raise UsageError(f"--bands takes numbers from 1 and ranges such as 1-3, got '{word}'")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def _windowed(scene: MappedScene, window: list[int] | None) -> MappedScene:
    """The scene cut to a window of PAN."""
    if window is None:
        return scene
    placed = scene.placed
    top, left, height, width = window
    inside = placed.top <= top and placed.left <= left
    inside &= top + height <= placed.top + placed.height and left + width <= placed.left + placed.width
    if not inside:
        raise UsageError(
            f"--window {top} {left} {height} {width}: expected rows {placed.top} to {placed.top + placed.height} and columns "
            f"{placed.left} to {placed.left + placed.width} of PAN, which MS and PAN both show"
        )
    rows, columns = placed.rows.moved(top - placed.top), placed.columns.moved(left - placed.left)
    cut = replace(placed, rows=rows, columns=columns, top=top, left=left, height=height, width=width)
    return replace(scene, placed=cut)


def _phase(asked: str | None, scene: MappedScene) -> tuple[str, str]:
    """Where the centre of an MS pixel lies, and a line that says why."""
    georeferenced, ratio = scene.placed.georeferenced, scene.sensor.ratio
    phase = asked or ("centre" if georeferenced else "wald")
    if asked:
        return phase, f"phase {phase}, as asked"
    if georeferenced:
        return phase, "phase centre: MS lies where the geotransforms say"
    place = f"the centre of MS pixel k on PAN pixel {ratio} k + {ratio // 2}, as benchmarks have it"
    return phase, f"phase wald: nothing says where MS lies on PAN; {place}; --phase centre for images whose corners coincide"


def _form(options: argparse.Namespace, scene: MappedScene) -> tuple[Form, list[str]]:
    ms, pan = scene.ms, scene.pan
    dtype = np.dtype(options.dtype) if options.dtype else _type(ms.image.dtype)
    lines = []
    found = next((value for raster in (ms, pan) for value in raster.nodata if value is not None), None)
    if found is not None and dtype.kind in "ui" and not _fits(found, dtype):
        lines.append(f"nodata {found:g} does not fit {dtype}: pixels without data are marked by a mask in the file")
        found = None
    masked = any(seen.invalid for seen in scene.surveys.values())
    if found is None and masked and dtype.kind == "f":
        found = float("nan")
    _, dropped = labels_of(scene, {})
    if ms.scaling:
        lines.append("scale and offset of MS are kept in the file and not applied: fusion works on digital numbers")
    return Form(dtype, found, options.compress, options.format, options.overviews, scene.factor), [*dropped, *lines]


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return bool(np.isfinite(value)) and value == int(value) and limits.min <= value <= limits.max


def _type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Type of the fused file: that of MS; floating-point images become float32, 64-bit integers 32-bit ones."""
    if dtype.kind == "f":
        return np.dtype(np.float32)
    return np.dtype(f"{dtype.kind}{min(dtype.itemsize, 4)}")


def _method(key: str, scene: MappedScene, weights: str | None) -> Method:
    reason = methods.supports(key, scene.sensor, "ms")
    if reason:
        raise UsageError(reason)
    method = methods.create(key, sensor=scene.sensor).eval()
    if method.trainable and weights is None:
        raise UsageError(f"{key} is a network: give --weights FILE.safetensors of a run on images of this sensor")
    if weights is not None and method.trainable:
        load_weights(method, Path(weights))
    return method


def _metadata(key: str, scene: MappedScene, phase: str, weights: str | None) -> dict[str, str]:
    """How a product was made, for its file."""
    facts = {
        "TIFFTAG_SOFTWARE": f"waldbench {__version__}",
        "FUSION_METHOD": key,
        "FUSION_SENSOR": scene.sensor.key,
        "FUSION_RATIO": str(scene.sensor.ratio),
        "FUSION_PHASE": phase,
        "FUSION_SOURCES": " ".join(file.name for file in scene.files),
    }
    if weights is not None:
        with Path(weights).open("rb") as stream:
            facts["FUSION_WEIGHTS_SHA256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    return facts
