"""Pictures of the page: the images kept in the store on one fixed stretch a scene, and the error of every method.

A picture is a small script that holds lossless WebP as text: pages from disk may not read the pixels of image files, and the
difference of any two methods is computed from these pixels in the browser. The stretch (percentiles of the ground truth, of EXP
without one) and the colour scale of errors (the error of EXP) depend on the scene alone, never on the methods that are there.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from waldbench.bench.figures import gallery
from waldbench.bench.figures.gallery import shown_bands
from waldbench.bench.results import leaderboard, reading
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell, Store
from waldbench.imaging import tracks
from waldbench.imaging.tracks import SPLITS

Array = np.ndarray[Any, np.dtype[Any]]
# Titles of the images that are no method's.
REFERENCES = {"gt": "Ground truth", "lms": "EXP (interpolated)", "guide": "Guide"}
# Percentile of the error of EXP at which the colour scale ends; errors are kept up to twice that.
PEAK, HEADROOM = 99.5, 2.0
# Share of the stretch at which the colour scale ends where there is no ground truth.
SHARE = 0.15
CODE = hashlib.sha256(Path(__file__).read_bytes() + Path(gallery.__file__).read_bytes()).hexdigest()


class Reference:
    """Reference images of one kept test image, and the stretch and colour scale that hold for all its pictures."""

    def __init__(self, images: dict[str, Array], rgb: tuple[int, int, int]) -> None:
        self.images, self.rgb = images, rgb
        self.gt = images.get("gt")
        self.low, self.high = gallery.limits(images["lms"] if self.gt is None else self.gt, rgb)
        spread = float((self.high - self.low).mean())
        expected = self.error(images["lms"])
        self.peak = (SHARE * spread if expected is None else float(np.percentile(expected, PEAK))) or 1.0

    def error(self, image: Array) -> Array | None:
        """Absolute difference to the ground truth, mean over all bands, (H, W) in DN; None without ground truth."""
        return None if self.gt is None else np.abs(image.astype(np.float32) - self.gt).mean(0)

    def picture(self, image: Array, name: str = "") -> dict[str, Any]:
        """Colours of one image (C, H, W) and, where there is a ground truth, its error, as data URIs."""
        if name == "guide":
            return {"rgb": _encode(_bytes(gallery.guide_colours(image))), "guide": True}
        colours = (image[list(self.rgb)].transpose(1, 2, 0) - self.low) / (self.high - self.low)
        found: dict[str, Any] = {"rgb": _encode(_bytes(colours))}
        error = None if name == "gt" else self.error(image)
        if error is not None:
            found |= {"error": _encode(_bytes(error / (self.peak * HEADROOM))), "mean": float(f"{error.mean():.6g}")}
        return found


def write(
    store: Store, part: pd.DataFrame, members: dict[str, list[tuple[Cell, Record]]], folder: Path, before: Path
) -> list[dict[str, Any]]:
    """Write the pictures of one table.

    Args:
        store: the results.
        part: the table's rows of the leaderboard.
        members: cells of each method.
        folder: where the pictures go.
        before: the same folder of the page before; a picture that is already there is linked instead of made again.

    Returns:
        One entry a kept test image: key, title, size, bands, stretch, colour scale, and its pictures by name with their files.
    """
    row = part.iloc[0]
    source = store.root / row["protocol"] / row["dataset"] / "reference.npz"
    cells = {method: cell for method, pairs in members.items() if (cell := _finished(pairs)) is not None}
    files = {method: store.folder(cell) / "images.npz" for method, cell in cells.items()}
    titles = dict(zip(part["method"], part["title"], strict=True))
    shots = []
    names = REFERENCES | {"lms": tracks.shown(row["track"]).baseline_picture}
    known = store.shapes(source)
    shapes = {method: store.shapes(path) for method, path in files.items() if method not in gallery.BASELINES}
    for key in reading.scenes(known):
        shelf = _Shelf(key, folder, before, source)
        try:
            scene = Reference(shelf.references(known), shown_bands(str(row["sensor"]), known[f"{key}-lms"][0]))
            pictures = [shelf.place(name, names[name], source, scene, f"{key}-{name}") for name in scene.images]
        except reading.DamagedError as error:
            store.leave_out(source, error)
            continue
        for method in (method for method, found in shapes.items() if found.get(key) == known[f"{key}-lms"]):
            try:
                picture = shelf.place(method, titles[method], files[method], scene, key)
                pictures.append(picture | {"seed": cells[method].seed})
            except reading.DamagedError as error:
                store.leave_out(files[method], error)
        shots.append(_described(key, scene) | {"pictures": pictures})
    return shots


class _Shelf:
    """Puts the pictures of one scene into the folder."""

    def __init__(self, key: str, folder: Path, before: Path, source: Path) -> None:
        self.key, self.folder, self.before, self.source = key, folder, before, source

    def references(self, known: dict[str, tuple[int, ...]]) -> dict[str, Array]:
        names = [name for name in REFERENCES if f"{self.key}-{name}" in known]
        return {name: reading.image(self.source, f"{self.key}-{name}") for name in names}

    def place(self, name: str, title: str, path: Path, scene: Reference, array: str) -> dict[str, Any]:
        stem = leaderboard.file_name(f"{self.key}-{name}").replace(".", "-")
        file = f"{stem}.{_state(path, self.source, scene.rgb, array)}.js"
        self.folder.mkdir(parents=True, exist_ok=True)
        if not _link(self.before / file, self.folder / file):
            content = scene.picture(reading.image(path, array), name)
            address = f"{self.folder.name}/{file}"
            (self.folder / file).write_text(f"waldbench.receive({json.dumps(address)},{json.dumps(content)});\n")
        return {"name": name, "title": title, "file": file}


def _described(key: str, scene: Reference) -> dict[str, Any]:
    split, _, index = key.partition("-")
    bands, height, width = scene.images["lms"].shape
    return {
        "key": key,
        "title": f"{SPLITS.get(split, split)}, image {index}",
        "width": width,
        "height": height,
        "bands": bands,
        "rgb": [band + 1 for band in scene.rgb],
        "low": scene.low.tolist(),
        "high": scene.high.tolist(),
        "peak": scene.peak,
        "headroom": HEADROOM,
    }


def _finished(pairs: leaderboard.Cells) -> Cell | None:
    return next((cell for cell, record in pairs if record.ok), None)


def _state(path: Path, source: Path, rgb: tuple[int, int, int], array: str) -> str:
    """Hash of everything that a picture is made from."""
    stats = [(file.stat().st_size, file.stat().st_mtime_ns) for file in (path, source)]
    return hashlib.sha256(json.dumps([CODE, stats, rgb, array]).encode()).hexdigest()[:12]


def _link(old: Path, new: Path) -> bool:
    """Take over a file of the page before, by a hard link where the disk knows such."""
    if not old.is_file():
        return False
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)
    return True


def _bytes(image: Array) -> Array:
    """[0, 1] as 0 to 255; what lies outside is cut."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _encode(image: Array) -> str:
    from PIL import Image

    stream = io.BytesIO()
    # Level 0 is ten times faster than level 4 and costs a tenth of the size.
    Image.fromarray(image).convert("RGB").save(stream, "WEBP", lossless=True, method=0, quality=50)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
