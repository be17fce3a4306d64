"""Which files make up a user's scene: from a path, from lists of bands, or from the folder of a satellite product."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from waldbench.datasets import formats
from waldbench.datasets.base import DatasetNotFoundError

ROLES = ("ms", "pan", "gt")
Files = dict[str, tuple[Path, ...]]


@dataclass(frozen=True)
class Asked:
    """What a user says of a scene's files beside its path.

    Attributes:
        ms: files of the bands of MS, in order; empty: as the path says.
        pan: file of PAN.
        gt: files of the ground truth.
        keys: names of the variables to be taken, by role, of a file that holds several.
        bands: numbers of the bands of MS to be taken, from 1; empty: all. What is marked alpha counts as a band then.
        align: warp MS onto the grid of PAN where their grids are not parallel, or their ratio is no integer.
    """

    ms: tuple[Path, ...] = ()
    pan: tuple[Path, ...] = ()
    gt: tuple[Path, ...] = ()
    keys: dict[str, str] = field(default_factory=dict)
    bands: tuple[int, ...] = ()
    align: bool = False

    def __str__(self) -> str:
        """What of it changes pixels; empty where nothing was asked."""
        keys = ",".join(f"{role}={name}" for role, name in sorted(self.keys.items()))
        return " ".join(word for word in (keys, ",".join(map(str, self.bands)), "align" if self.align else "") if word)


class Product(NamedTuple):
    """Names of the band files of a satellite's product: how files begin, bands of MS in order, PAN."""

    title: str
    prefix: str
    ms: tuple[str, ...]
    pan: str


PRODUCTS = (
    Product("Landsat 8 or 9", r"L[CO]0[89]_", ("B2", "B3", "B4", "B5"), "B8"),
    Product("Landsat 7", r"LE07_", ("B1", "B2", "B3", "B4"), "B8"),
    Product("Sentinel-2 (bands of 20 m, guided by the near infrared of 10 m)", r"(?:.*_)?T\d\d[A-Z]{3}_", (
        "B5", "B6", "B7", "B8A", "B11", "B12"), "B8"),
    Product("CBERS-4A", r"CBERS_4A?_", ("BAND1", "BAND2", "BAND3", "BAND4"), "BAND0"),
    # Band files without a satellite's name in front.
    Product("bands B2, B3, B4 and the panchromatic B8", r"", ("B2", "B3", "B4"), "B8"),
)  # fmt: skip
TOKEN = re.compile(r"(?:^|[_-])(B|BAND)0*(\d+A?)(?=$|[_-])", re.IGNORECASE)


def files_of(path: str, asked: Asked) -> tuple[Files, list[str]]:
    """Files by role ("ms", "pan" and perhaps "gt"; or "cube" alone), and lines that say what was found where it is a guess.

    Raises:
        DatasetNotFoundError: if no such files are found; the message says what was expected.
    """
    if asked.ms or asked.pan:
        return _listed(asked), []
    place = Path(path).expanduser()
    if is_lone(place):
        return {"cube": (place,)}, []
    if place.is_dir():
        product = _product(place)
        if product is not None:
            return product
    return {role: (file,) for role, file in named_files(path).items()}, []


def _listed(asked: Asked) -> Files:
    if not asked.ms or len(asked.pan) != 1:
        raise DatasetNotFoundError(
            f"scene: --ms takes one file or the files of the bands in order, --pan one file; got {len(asked.ms)} and "
            f"{len(asked.pan)}"
        )
    named: Files = {"ms": asked.ms, "pan": asked.pan} | ({"gt": asked.gt} if asked.gt else {})
    missing = [str(file) for files in named.values() for file in files if not file.is_file()]
    if missing:
        raise DatasetNotFoundError(f"scene: no such file: {', '.join(missing)}")
    return named


def _product(folder: Path) -> tuple[Files, list[str]] | None:
    """Files of a satellite product in a folder; None where there is none."""
    endings = formats.paired_suffixes()
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in endings]
    for product in PRODUCTS:
        found: dict[str, Path] = {}
        for path in files:
            match = TOKEN.search(path.stem)
            if match and re.match(product.prefix, path.stem, re.IGNORECASE):
                found.setdefault(match[1].upper() + match[2].upper(), path)
        if {*product.ms, product.pan} <= set(found):
            names = ", ".join(found[band].name for band in product.ms)
            line = f"{product.title}: MS is {names}, PAN is {found[product.pan].name}; --ms and --pan choose other files"
            return {"ms": tuple(found[band] for band in product.ms), "pan": (found[product.pan],)}, [line]
    return None


def is_lone(place: Path) -> bool:
    """Whether a path names one image that is no part of a pair."""
    known = formats.find(place)
    if known is None or not known.paired:
        return known is not None
    if not place.is_file():
        return False
    prefix = re.sub(r"_(ms|pan|gt)$", "", place.stem, flags=re.IGNORECASE)
    return not {"ms", "pan"} <= set(_of_prefix(place.parent, f"{prefix}_"))


def named_files(path: str) -> dict[str, Path]:
    """Files by role ("ms", "pan" and perhaps "gt") of a folder, a prefix or MS,PAN[,GT]. Raises DatasetNotFoundError."""
    place = Path(path).expanduser()
    if "," in path and not place.exists():
        return _separated(path)
    if place.is_dir():
        return _files_of_folder(place)
    prefix = re.sub(r"_(ms|pan|gt)$", "", place.stem, flags=re.IGNORECASE) if place.is_file() else place.name
    if not place.parent.is_dir():
        raise DatasetNotFoundError(f"scene: no such folder: {place.parent}")
    found = _of_prefix(place.parent, f"{prefix}_")
    if {"ms", "pan"} <= set(found):
        return found
    near = [name for name in _prefixes(place.parent) if name.startswith(prefix)] or _prefixes(place.parent)
    raise DatasetNotFoundError(
        f"scene: neither a file, a folder nor a prefix of {place}_ms.tif and {place}_pan.tif"
        + (f"; prefixes there: {', '.join(near[:8])}" if near else "")
        + ". Expected FILE.mat, FOLDER, PREFIX or MS.tif,PAN.tif[,GT.tif]"
    )


def _separated(path: str) -> dict[str, Path]:
    """MS,PAN[,GT]; a comma may also be part of a file's name."""
    words = path.split(",")
    for parts in _joined(words):
        files = [Path(part.strip()).expanduser() for part in parts]
        if len(files) in {2, 3} and all(file.is_file() for file in files):
            return dict(zip(ROLES, files, strict=False))
    files = [Path(word.strip()).expanduser() for word in words]
    if len(files) not in {2, 3}:
        raise DatasetNotFoundError(f"scene: expected MS,PAN or MS,PAN,GT, got {len(files)} paths")
    missing = [str(file) for file in files if not file.is_file()]
    raise DatasetNotFoundError(f"scene: no such file: {', '.join(missing)}")


def _joined(words: list[str]) -> Iterator[list[str]]:
    """All ways to join neighbouring words by commas to two or three paths."""
    for first in range(1, len(words)):
        start = ",".join(words[:first])
        yield [start, ",".join(words[first:])]
        for second in range(first + 1, len(words)):
            yield [start, ",".join(words[first:second]), ",".join(words[second:])]


def _files_of_folder(folder: Path) -> dict[str, Path]:
    found = _of_prefix(folder, "")
    if {"ms", "pan"} <= set(found):
        return found
    names = _prefixes(folder)
    if len(names) == 1:
        return _of_prefix(folder, f"{names[0]}_")
    mats = sorted(folder.glob("*.mat"))
    listed = f"; scenes there: {', '.join([*names, *(mat.name for mat in mats)][:12])}" if names or mats else ""
    raise DatasetNotFoundError(
        f"scene: {folder} holds {len(names) or 'no'} pairs NAME_ms.tif, NAME_pan.tif and no ms.tif, pan.tif; "
        f"expected one pair: name it, scene:{folder}/NAME{listed}"
    )


def _of_prefix(folder: Path, prefix: str) -> dict[str, Path]:
    endings = formats.paired_suffixes()
    files = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.suffix.lower() in endings}
    found = {role: [files[n] for e in endings if (n := f"{prefix}{role}{e}".lower()) in files] for role in ROLES}
    return {role: paths[0] for role, paths in found.items() if paths}


def _prefixes(folder: Path) -> list[str]:
    endings = formats.paired_suffixes()
    names = {path.stem[:-3] for path in folder.iterdir() if path.suffix.lower() in endings and path.stem.lower().endswith("_ms")}
    return sorted(name for name in names if {"ms", "pan"} <= set(_of_prefix(folder, f"{name}_")))
