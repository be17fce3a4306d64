"""The verb `data`: which published files are expected where, what was found, and whether it is what its authors published.

The last is decided without any trained network: interpolation alone (EXP, the `lms` of the files) has published scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from tabulate import tabulate

from waldbench import datasets, metrics
from waldbench.datasets.base import SPLITS, Dataset, DatasetError, Split
from waldbench.datasets.data_roots import VARIABLE, roots
from waldbench.datasets.pancollection import COUNTS, PanCollection, expected_files, locate, open_split
from waldbench.imaging import Sensor, interp23
from waldbench.imaging.filters import mtf

BORDER = 21
IMAGES = 20
REDUCED = ("sam", "ergas", "q2n")
FULL = ("d_lambda_k", "d_s", "hqnr")
# Allowed relative deviation of SAM and ERGAS, and absolute deviation of the indices between 0 and 1.
RELATIVE, ABSOLUTE = 0.01, 0.004
# Low-resolution pixels at the border that know more of the scene than the file: the reach of the filter.
REACH = 5


class Anchor(NamedTuple):
    """Published means of EXP over 20 test images, and what a match says about the file."""

    values: tuple[float, float, float]
    meaning: str


PUBLISHED = "the published test images"
ANCHORS: dict[tuple[str, str], list[Anchor]] = {
    ("wv3", "reduced"): [Anchor((5.800, 7.155, 0.627), PUBLISHED)],
    ("gf2", "reduced"): [Anchor((1.820, 2.366, 0.812), PUBLISHED)],
    ("qb", "reduced"): [Anchor((8.435, 11.819, 0.584), PUBLISHED)],
    ("wv3", "full"): [
        Anchor((0.0232, 0.0813, 0.8975), "the .mat scenes: the ones of the published HQNR tables"),
        Anchor((0.0456, 0.1201, 0.840), "the .h5 scenes: harder than the .mat ones; do NOT compare with published HQNR tables"),
    ],
    ("gf2", "full"): [Anchor((0.0180, 0.0957, 0.888), PUBLISHED)],
}
SOURCES = (
    "download by hand, in a browser, from the links on https://github.com/liangjiandeng/PanCollection",
    "or from the mirror elsting/PanCollection on Hugging Face (folders training_data and test_data)",
)


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
    if key in COUNTS:
        return _check_pancollection(key, root)
    try:
        if key.startswith("scene:"):
            return _describe(datasets.open(key)), True
        return [*_files(key, root), *_describe(datasets.open(key, root=root, source="published"))], True
    except DatasetError as error:
        return [*_files(key, root), str(error)], False


def _files(key: str, root: Path | None) -> list[str]:
    """The table of a dataset that knows its published files, else nothing."""
    known = None if key.startswith("scene:") else getattr(datasets.catalogue[key].load(), "files", None)
    if known is None:
        return []
    title = f"{datasets.card(key)['title']}: files expected in {' or '.join(str(folder) for folder in roots(root))}"
    return [title, *tabulate(known(root), headers=("role", "file", "found")).splitlines(), ""]


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


def _check_pancollection(key: str, root: Path | None) -> tuple[list[str], bool]:
    found = locate(key, root)
    files = expected_files(key)
    lines = [f"{datasets.card(key)['title']}: files expected in {' or '.join(str(folder) for folder in roots(root))}"]
    rows = []
    for file in files:
        place = str(found.get(file.split, "optional, not found" if file.optional else "MISSING"))
        rows.append((file.split, " or ".join(file.names), file.images or "?", place))
    lines += tabulate(rows, headers=("split", "file", "images", "found")).splitlines()
    missing = [file.split for file in files if file.split not in found and not file.optional]
    if missing:
        lines += ["", *_remedy(key, missing)]
    errors = _broken(key, found)
    lines += [f"BROKEN: {error}" for error in errors]
    if errors or "reduced" not in found:
        return lines, False
    dataset = datasets.open(key, root=root, source="published")
    assert isinstance(dataset, PanCollection)
    # The static hint about the two scene sets is replaced by the measurement below.
    lines += ["", *(f"note: {notice}" for notice in dataset.notices if "data wv3" not in notice and "not found" not in notice)]
    measured, sound = _measure(dataset)
    return [*lines, *measured], sound and not missing


def _remedy(key: str, missing: list[str]) -> list[str]:
    effect = f"`--dataset {key}` uses the embedded SIMULATED twin" if "reduced" in missing else f"{', '.join(missing)} stay empty"
    return [
        f"missing: {', '.join(missing)}. Until they are there, {effect}.",
        *SOURCES,
        f"and put them into one of the folders above, or into a subfolder {key}, training_data or test_data;",
        f"another folder: --data-root DIR, or the environment variable {VARIABLE}",
    ]


def _broken(key: str, found: dict[str, Path]) -> list[str]:
    errors = []
    for split, path in found.items():
        try:
            images = open_split(key, split, path)
            _ = images[0], images[-1]
        except DatasetError as error:
            errors.append(str(error))
    return errors


def _measure(dataset: PanCollection) -> tuple[list[str], bool]:
    lines, sound = [], True
    for name, keys in (("reduced", REDUCED), ("full", FULL)):
        split = dataset.split(name)
        if len(split):
            lines.append(f"{name}: {_consistency(split, dataset.sensor)}")
            values = exp_scores(split, dataset.sensor, keys, BORDER if name == "reduced" else 0)
            text, fits = _verdict(dataset.key, name, keys, values)
            lines.append(f"{name}: EXP {text}")
            sound &= fits
    return lines, sound


def exp_scores(split: Split, sensor: Sensor, keys: tuple[str, ...], border: int) -> torch.Tensor:
    """Scores of plain interpolation, (images, indices) float64."""
    with torch.inference_mode():
        rows = [[float(metrics.compute(key, scene.lms, scene, sensor=sensor, border=border)) for key in keys] for scene in split]
    return torch.tensor(rows, dtype=torch.float64)


def _verdict(key: str, split: str, keys: tuple[str, ...], values: torch.Tensor) -> tuple[str, bool]:
    count = len(values)
    # The published deviations are those of a sample (n - 1).
    mean, deviation = values.mean(0).tolist(), (values.std(0) if count > 1 else torch.zeros(len(keys))).tolist()
    parts = [f"{metrics.card(k).title} {m:.4f} ± {d:.4f}" for k, m, d in zip(keys, mean, deviation, strict=True)]
    text = f"over {count} images: {', '.join(parts)}"
    anchors = ANCHORS.get((key, split), [])
    if not anchors:
        return f"{text}; no published values to compare with", True
    if count != IMAGES:
        return f"{text}; not compared: published values are means over {IMAGES} images", True
    for anchor in anchors:
        if all(_near(m, a, k) for k, m, a in zip(keys, mean, anchor.values, strict=True)):
            return f"{text}; these are {anchor.meaning}", True
    expected = "; or ".join(", ".join(map(str, anchor.values)) for anchor in anchors)
    return (
        f"{text}; DIFFERS from the published {expected}: other images (some were replaced in 2022 and 2023), or changed ones",
        False,
    )


def _near(value: float, anchor: float, key: str) -> bool:
    return abs(value - anchor) <= (RELATIVE * anchor if key in {"sam", "ergas"} else ABSOLUTE)


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
