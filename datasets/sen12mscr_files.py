"""Finds the files of SEN12MS-CR, combines those of one patch, and assigns them to splits."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from waldbench.datasets.base import DatasetError
from waldbench.datasets.data_roots import roots
from waldbench.datasets.file_checks import require_file
from waldbench.datasets.hdf5_nodes import one_line

ROIS = Path(__file__).with_name("sen12mscr_rois.csv")
INSIDE = ("", "sen12mscr", "SEN12MSCR", "SEN12MS-CR")
FLAT = ("s1", "s2_cloudfree", "s2_cloudy")
SEASON = re.compile(r"ROIs\d{4}_(spring|summer|fall|winter)_s1$")
NAME = re.compile(r"ROIs\d{4}_(spring|summer|fall|winter)_(?:s1_|s2_|s2_cloudy_)?(\d+)_p\d+$")
# A line for each of the 122,218 patches is some MB.
TABLE_BYTES = 64 << 20
# Codes of the splits in the csv beside flat folders.
CODES = {"1": "train", "2": "valid", "3": "reduced"}


@dataclass(frozen=True)
class Triplet:
    """One patch: its name, and the files of SAR, clear and cloudy image."""

    name: str
    s1: Path
    clear: Path
    cloudy: Path


@dataclass
class Found:
    """Triplets by split ("train", "valid", "reduced"), and how many patches were left out because a file is missing."""

    splits: dict[str, list[Triplet]] = field(default_factory=lambda: {"train": [], "valid": [], "reduced": []})
    incomplete: int = 0
    unlisted: int = 0
    layout: str = ""

    @property
    def triplets(self) -> list[Triplet]:
        """The triplets of all splits."""
        return [triplet for split in self.splits.values() for triplet in split]


def locate(root: Path | None) -> Found | None:
    """The triplets below a folder in either published layout, sorted by name; None where there is neither layout.

    Raises:
        DatasetError: for a csv that is not what the flat layout has, or a file name without a region.
    """
    for base in roots(root):
        for inner in INSIDE:
            folder = base / inner
            if not folder.is_dir():
                continue
            entries = {path.name.lower(): path for path in folder.iterdir()}
            if set(FLAT) <= set(entries):
                return _flat(folder, *(entries[name] for name in FLAT))
            seasons = sorted(path for path in entries.values() if SEASON.match(path.name))
            if seasons:
                return _tree(seasons)
    return None


def _tree(seasons: list[Path]) -> Found:
    found = Found(layout="official tree")
    for season in seasons:
        for folder in _regions(season):
            paths = [Path(str(folder).replace("_s1/s1_", f"_{kind}/{kind}_")) for kind in ("s1", "s2", "s2_cloudy")]
            files = [_patches(path, kind) for path, kind in zip(paths, ("_s1_", "_s2_", "_s2_cloudy_"), strict=True)]
            _pair(found, files, official=True)
    return found


def _regions(season: Path) -> list[Path]:
    """Folders s1_ROI of a season; a region of which only the optical folders are there counts as well."""
    stem = season.name.removesuffix("s1")
    names = {
        path.name.replace(f"{kind}_", "", 1)
        for kind in ("s1", "s2", "s2_cloudy")
        for path in (season.parent / f"{stem}{kind}").glob(f"{kind}_*")
    }
    return [season / f"s1_{roi}" for roi in sorted(names)]


def _patches(folder: Path, kind: str) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    return {path.stem.replace(kind, "_", 1): path for path in folder.iterdir() if path.suffix.lower() in {".tif", ".tiff"}}


def _flat(folder: Path, *places: Path) -> Found:
    files = [_patches(place, "//") for place in places]
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        found = Found(layout="flat folders, split by region")
        _pair(found, files, official=True)
        return found
    found = Found(layout=f"flat folders, split by {tables[0].name}")
    listed = dict(_read_table(tables[0]))
    files = [{name: path for name, path in images.items() if name in listed} for images in files]
    everything = set().union(*(_patches(place, "//") for place in places))
    found.unlisted = len(everything - set(listed))
    complete = _pair(found, files, official=False, listed=listed)
    found.incomplete = len(set(listed) - complete)
    return found


def _pair(found: Found, files: list[dict[str, Path]], official: bool, listed: dict[str, str] | None = None) -> set[str]:
    complete = set(files[0]) & set(files[1]) & set(files[2])
    found.incomplete += len(set().union(*files) - complete)
    for name in sorted(complete):
        split = _split_of(name, files[0][name]) if official else (listed or {})[name]
        found.splits[split].append(Triplet(name, *(images[name] for images in files)))
    return complete


def _read_table(path: Path) -> Iterator[tuple[str, str]]:
    """Stem and split of every line `split,folder,folder,folder,file`."""
    if require_file(path, "a table of splits") > TABLE_BYTES:
        raise DatasetError(f"{path}: larger than {TABLE_BYTES >> 20} MiB; expected a table of splits")
    try:
        # One list keeps the errors of reading apart from those of whoever uses the lines.
        rows = list(enumerate(csv.reader(path.read_text(encoding="utf-8").splitlines()), 1))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read as a table of splits ({one_line(error)})") from error
    for number, row in rows:
        if not row:
            continue
        if len(row) != 5 or row[0].strip() not in CODES:
            got = ascii(",".join(row))
            raise DatasetError(
                f"{path}, line {number}: expected split,folder,folder,folder,file with split 1, 2 or 3, got "
                f"{got if len(got) <= 80 else got[:77] + '...'}"
            )
        yield Path(row[4].strip()).stem, CODES[row[0].strip()]


def _split_of(name: str, path: Path) -> str:
    known = NAME.match(name)
    if known is None:
        raise DatasetError(
            f"{path}: expected a name such as ROIs1970_fall_139_p839.tif, which tells season and region; without one, "
            "put a csv of lines split,folder,folder,folder,file beside the folders"
        )
    return official_splits().get((known[1], known[2]), "train")


def official_splits() -> dict[tuple[str, str], str]:
    """Split ("valid" or "reduced") of the regions that are not for training, by season and number."""
    lines = [line for line in ROIS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {(row["season"], row["roi"]): row["split"] for row in csv.DictReader(lines)}
