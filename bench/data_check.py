"""What the command `data` checks: which published files are expected where, what was found, and whether it is what was published.

The last is decided without any trained network: interpolation alone (EXP, the `lms` of the files) has published scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

import torch
from tabulate import tabulate

from waldbench import datasets, metrics
from waldbench.datasets.base import SPLITS, Dataset, DatasetError, Split
from waldbench.datasets.data_roots import VARIABLE, roots
from waldbench.datasets.published import PublishedDataset, PublishedScores
from waldbench.imaging import Sensor, interp23
from waldbench.imaging.filters import mtf

# Pixels that the published scores at reduced resolution leave out at the border.
BORDER = 21
# Allowed relative deviation of SAM and ERGAS, and absolute deviation of the indices between 0 and 1.
RELATIVE, ABSOLUTE = 0.01, 0.004
# Low-resolution pixels at the border that know more of the scene than the file: the reach of the filter.
REACH = 5


def check_data(key: str, root: Path | None = None) -> tuple[list[str], bool]:
    """Check what is there of a dataset.

    Args:
        key: dataset key, or `scene:PATH`.
        root: folder of the published files; None: $WALDBENCH_DATA, then `data`.

    Returns:
        Lines to print, and whether everything expected is there and sound.

    Raises:
        UnknownNameError: for an unknown key.
    """
    if key.startswith("scene:"):
        return _check_opening(key, root)
    published = datasets.catalogue[key].load()
    if not _is_published(published) or not published.files:
        return _check_opening(key, root)
    found = published.find_files(root)
    lines = _files(published, found, root)
    if published.interpolation_indices:
        more, sound = _check_files(published, found, root)
    else:
        opened, sound = _check_opening(key, root)
        more = ["", *opened]
    return [*lines, *more], sound


def _is_published(dataset: Any) -> TypeGuard[type[PublishedDataset]]:
    return isinstance(dataset, type) and issubclass(dataset, PublishedDataset)


def _check_opening(key: str, root: Path | None) -> tuple[list[str], bool]:
    """Check by opening the dataset alone."""
    try:
        options: dict[str, Any] = {} if key.startswith("scene:") else {"root": root, "source": "published"}
        return _describe(datasets.open(key, **options)), True
    except DatasetError as error:
        return [str(error)], False


def _files(published: type[PublishedDataset], found: dict[str, Path], root: Path | None) -> list[str]:
    """The table of the published files, with their numbers of images where the dataset knows any."""
    columns: dict[str, list[object]] = {
        "split" if all(file.role in SPLITS for file in published.files) else "role": [file.role for file in published.files],
        "file": [" or ".join(file.names) for file in published.files],
    }
    if any(file.images for file in published.files):
        columns["images"] = [file.images or "?" for file in published.files]
    absent = {True: "optional, not found", False: "MISSING"}
    columns["found"] = [str(found.get(file.role, absent[file.optional])) for file in published.files]
    title = datasets.card(published.key)["title"]
    lines = [f"{title}: files expected in {' or '.join(str(folder) for folder in roots(root))}"]
    return lines + tabulate(columns, headers="keys").splitlines()


def _describe(dataset: Dataset) -> list[str]:
    sensor = dataset.sensor
    lines = [
        f"{dataset.key}: {sensor.title}, {sensor.count} bands, ratio {sensor.ratio}, {sensor.bits} bits, source {dataset.source}"
    ]
    rows = []
    for name in SPLITS:
        split = dataset.split(name)
        shapes = {label: "x".join(map(str, image.shape[1:])) for label, image in split[0].images().items()} if len(split) else {}
        rows.append({"split": name, "images": len(split), **{label: shapes.get(label, "-") for label in ("ms", "guide", "gt")}})
    lines += tabulate(rows, headers="keys").splitlines()
    return lines + [f"note: {notice}" for notice in dataset.notices]


def _check_files(published: type[PublishedDataset], found: dict[str, Path], root: Path | None) -> tuple[list[str], bool]:
    """Check every file, and measure on the test images whether they are the published ones."""
    missing = [file.role for file in published.files if file.role not in found and not file.optional]
    lines = ["", *_remedy(published, missing)] if missing else []
    errors = _broken(published, found)
    lines += [f"BROKEN: {error}" for error in errors]
    if errors or published.test_role not in found:
        return lines, False
    dataset = published(root)
    # Warnings that point to this command are replaced by what it measures.
    told = (notice for notice in dataset.notices if f"data {dataset.key}" not in notice and "not found" not in notice)
    lines += ["", *(f"note: {notice}" for notice in told)]
    measured, sound = _measure(dataset)
    return [*lines, *measured], sound and not missing


def _remedy(published: type[PublishedDataset], missing: list[str]) -> list[str]:
    key = published.key
    twin = f"`--dataset {key}` uses the embedded SIMULATED twin"
    effect = twin if published.test_role in missing else f"{', '.join(missing)} stay empty"
    return [
        f"missing: {', '.join(missing)}. Until they are there, {effect}.",
        f"download by hand, in a browser, from {published.download}",
        *(f"or from the mirror {mirror}" for mirror in published.mirrors),
        f"and put them into one of the folders above, or into a subfolder {key}, training_data or test_data;",
        f"another folder: --data-root DIR, or the environment variable {VARIABLE}",
    ]


def _broken(published: type[PublishedDataset], found: dict[str, Path]) -> list[str]:
    errors = []
    for role, path in found.items():
        try:
            published.check_file(role, path)
        except DatasetError as error:
            errors.append(str(error))
    return errors


def _measure(dataset: PublishedDataset) -> tuple[list[str], bool]:
    lines, sound = [], True
    for name, keys in dataset.interpolation_indices.items():
        split = dataset.split(name)
        if len(split):
            lines.append(f"{name}: {_consistency(split, dataset.sensor)}")
            values = exp_scores(split, dataset.sensor, keys, BORDER if name == "reduced" else 0)
            text, fits = _verdict(keys, values, dataset.interpolation_scores.get(name, ()))
            lines.append(f"{name}: EXP {text}")
            sound &= fits
    return lines, sound


def exp_scores(split: Split, sensor: Sensor, keys: tuple[str, ...], border: int) -> torch.Tensor:
    """Scores of plain interpolation, (images, indices) float64."""
    with torch.inference_mode():
        rows = [[float(metrics.compute(key, scene.lms, scene, sensor=sensor, border=border)) for key in keys] for scene in split]
    return torch.tensor(rows, dtype=torch.float64)


def _verdict(keys: tuple[str, ...], values: torch.Tensor, published: tuple[PublishedScores, ...]) -> tuple[str, bool]:
    count = len(values)
    # The published deviations are those of a sample (n - 1).
    mean, deviation = values.mean(0).tolist(), (values.std(0) if count > 1 else torch.zeros(len(keys))).tolist()
    parts = [f"{metrics.card(k).title} {m:.4f} ± {d:.4f}" for k, m, d in zip(keys, mean, deviation, strict=True)]
    text = f"over {count} images: {', '.join(parts)}"
    if not published:
        return f"{text}; no published values to compare with", True
    compared = [scores for scores in published if scores.images == count]
    if not compared:
        sizes = " or ".join(map(str, dict.fromkeys(scores.images for scores in published)))
        return f"{text}; not compared: published values are means over {sizes} images", True
    measured = dict(zip(keys, mean, strict=True))
    for scores in compared:
        if all(_near(measured[key], value, key) for key, value in scores.means.items()):
            return f"{text}; these are {scores.meaning}", True
    expected = "; or ".join(", ".join(map(str, scores.means.values())) for scores in compared)
    return (
        f"{text}; DIFFERS from the published {expected}: other images (some were replaced in 2022 and 2023), or changed ones",
        False,
    )


def _near(value: float, published: float, key: str) -> bool:
    return abs(value - published) <= (RELATIVE * published if key in {"sam", "ergas"} else ABSOLUTE)


def _consistency(split: Split, sensor: Sensor) -> str:
    """Do lms and ms of a test file follow from ms and gt as documented?"""
    interpolation, degradation = 0.0, 0.0
    for scene in split:
        interpolation = max(interpolation, float((interp23(scene.ms.double(), sensor.ratio) - scene.lms).abs().max()))
        if scene.gt is not None:
            again = mtf(scene.gt.double(), sensor, step=sensor.ratio) - scene.ms
            degradation = max(degradation, float(again[..., REACH:-REACH, REACH:-REACH].abs().max()))
    parts = [f"lms differs from the 23-tap interpolation of ms by at most {interpolation:.2g} DN ({_grade(interpolation)})"]
    if len(split) and split[0].gt is not None:
        parts.append(f"ms from the blurred, decimated gt by at most {degradation:.2g} DN ({_grade(degradation)})")
    return ", ".join(parts)


def _grade(deviation: float) -> str:
    return "equal" if deviation < 0.02 else "equal but for rounding" if deviation <= 0.51 else "NOT as documented"
