"""SEN12MS-CR: Sentinel-1 beside cloudy and clear Sentinel-2 patches (Ebel, Meraner, Schmitt, Zhu, IEEE TGRS 59(7), 2021).

doi 10.1109/TGRS.2020.3024744; data: mediaTUM 1554803, https://patricktum.github.io/cloud_removal/sen12mscr. Read as published:
the official tree, or three flat folders with or without a csv of splits. Optical images are limited to 0..10000, as every
published loader does; backscatter stays in dB and is limited by the networks, to the sensor's `guide_range`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from waldbench.datasets.base import Dataset, DatasetError, Split, register
from waldbench.datasets.file_checks import check_declared, require_file
from waldbench.datasets.hdf5 import fingerprint
from waldbench.datasets.hdf5_nodes import one_line
from waldbench.datasets.published import PublishedDataset, spread
from waldbench.datasets.sar_tracks import DEFAULT, assemble, sensor_of
from waldbench.datasets.sen12mscr_files import Found, Triplet, locate
from waldbench.imaging import Scene
from waldbench.imaging.clouds import cloud_and_shadow

EXPECTED = (
    "ROIs1158_spring_s1/s1_1/ROIs1158_spring_s1_1_p30.tif and so on, with _s2 and _s2_cloudy beside, "
    "or the folders s1, s2_cloudfree and s2_cloudy with files of equal names"
)
# Limits of backscatter [dB], VV and VH, that networks map to [0, 1]: those of DSen2-CR and GLF-CR, and of UnCRtainTS.
SCALINGS = {"dsen2-cr": ((-25.0, 0.0), (-32.5, 0.0)), "uncrtaints": ((-25.0, 0.0), (-25.0, 0.0))}
# What replaces NaN: the mean of the band's other pixels (GLF-CR), or zero (UnCRtainTS).
FILLS = ("mean", "zero")
# Triplets whose content is part of the fingerprint and is searched for NaN when the dataset is opened.
SAMPLED = 64


@register("sen12mscr", task="sar", sensor="sentinel2", title="SEN12MS-CR")
class Sen12MSCR(PublishedDataset):
    """Sentinel-1 and 13 bands of Sentinel-2, 256x256 patches, 10 m; tracks sar-cr (cloud removal) and sar-sharp (sharpening).

    The official split by region applies; a folder in which either its training or its test regions are missing is tested as a
    whole, and nothing is trained on it.

    Args:
        root: folder of the files; None: see `datasets.open`.
        track: "sar-cr" or "sar-sharp".
        scaling: whose limits of backscatter the networks use: "dsen2-cr" or "uncrtaints".
        fill: what replaces NaN in SAR: "mean" of the band's other pixels or "zero".

    Raises:
        DatasetError: for missing or broken files, or an unknown option.
    """

    key = "sen12mscr"
    task = "sar"
    download = "https://patricktum.github.io/cloud_removal/sen12mscr (mediaTUM 1554803)"

    def __init__(
        self, root: Path | None = None, *, track: str = DEFAULT, scaling: str = "dsen2-cr", fill: str = FILLS[0]
    ) -> None:
        for label, value, choices in (("scaling", scaling, tuple(SCALINGS)), ("fill", fill, FILLS)):
            if value not in choices:
                raise DatasetError(f"{label}: expected {' or '.join(choices)}, got '{value}'")
        self.sensor = replace(sensor_of(track), guide_range=SCALINGS[scaling])
        found = locate(root)
        if found is None or not found.triplets:
            partial = f" (here are only incomplete patches: {found.incomplete})" if found and found.incomplete else ""
            raise self.not_found(root, EXPECTED + partial)
        self._track, self.fill = track, fill
        self.notices = _count(found)
        splits = _usable(found, self.notices)
        self._splits = {name: TripletSplit(triplets, track, fill) for name, triplets in splits.items()}
        everything = found.triplets
        sample = [everything[i] for i in spread(len(everything), SAMPLED)]
        self.fingerprint = _fingerprint(everything, sample, fill)
        read_triplet(everything[0], fill)
        holes = sum(bool(~np.isfinite(read_image(triplet.s1, 2)).all()) for triplet in sample)
        if holes:
            some = "sampled " if len(sample) < len(everything) else ""
            by = "the mean of the band's other pixels" if fill == "mean" else "zero"
            self.notices.append(f"{holes} of {len(sample)} {some}SAR patches have NaN; filled with {by}")
        if track == "sar-cr":
            self.notices.append("cloud masks: found by band ratios (imaging.clouds), threshold 0.2; the files hold none")

    @classmethod
    def published(cls, root: Path | None, **options: Any) -> Sen12MSCR:
        """Open the published files; options as in the class."""
        return cls(root, **options)

    @classmethod
    def twin(cls, **options: Any) -> Dataset:
        """Open the simulated twin; options as in its class."""
        from waldbench.datasets.simulated.sentinel_twin import SentinelTwin

        return SentinelTwin(**options)

    @classmethod
    def is_present(cls, root: Path | None) -> bool:
        """Whether there is at least one complete patch."""
        found = locate(root)
        return found is not None and bool(found.triplets)

    @property
    def track(self) -> str:
        """How the images are used: "sar-cr" or "sar-sharp"."""
        return self._track

    def split(self, name: str) -> Split:
        """Return a split; `full` is empty: there is nothing to fuse beyond the published resolution."""
        self.check_split(name)
        return self._splits.get(name) or TripletSplit([], self._track, self.fill)


def _usable(found: Found, notices: list[str]) -> dict[str, list[Triplet]]:
    """Return the splits that are used; every deviation from the official ones is added to `notices`."""
    splits = {name: list(triplets) for name, triplets in found.splits.items()}
    regions = list(dict.fromkeys(triplet.name.rpartition("_p")[0] for triplet in splits["train"]))
    if splits["train"] and splits["reduced"] and (splits["valid"] or len(regions) > 1):
        if not splits["valid"]:
            last = regions[-1]
            splits["valid"] = [t for t in splits["train"] if t.name.rpartition("_p")[0] == last]
            splits["train"] = [t for t in splits["train"] if t.name.rpartition("_p")[0] != last]
            notices.append(f"no region of the validation split is there; {last} is taken from training for it")
        return splits
    notices.append(
        f"{len(splits['train'])} training, {len(splits['valid'])} validation and {len(splits['reduced'])} test patches: too few "
        "for the official split; all are tested and nothing is trained"
    )
    return {"reduced": found.triplets}


def _count(found: Found) -> list[str]:
    counts = ", ".join(f"{len(found.splits[name])} {name}" for name in ("train", "valid", "reduced"))
    lines = [f"{found.layout}: {counts} patches"]
    if found.incomplete:
        lines.append(f"{found.incomplete} patches skipped: SAR, clear or cloudy file is missing")
    if found.unlisted:
        lines.append(f"{found.unlisted} patches skipped: not in the csv")
    return lines


class TripletSplit(Split):
    """Patches of one split, read from their files."""

    def __init__(self, triplets: list[Triplet], track: str, fill: str) -> None:
        self.triplets, self.track, self.fill = triplets, track, fill

    def __len__(self) -> int:
        return len(self.triplets)

    def read(self, indices: Sequence[int]) -> Scene:
        """Read patches as one batch of the track; masks are found in the cloudy images."""
        if not self.triplets:
            raise DatasetError("this split has no images: no file of it was found")
        chosen = [self.triplets[i] for i in indices]
        images = [read_triplet(triplet, self.fill) for triplet in chosen]
        sar, clear, cloudy = (torch.cat(parts) for parts in zip(*images, strict=True))
        names = tuple(triplet.name for triplet in chosen)
        return assemble(self.track, sar, clear, cloudy, cloud_and_shadow(cloudy), names)


def read_triplet(triplet: Triplet, fill: str = FILLS[0]) -> tuple[Tensor, Tensor, Tensor]:
    """SAR (1, 2, H, W) in dB, clear and cloudy image (1, 13, H, W) in digital numbers limited to 0..10000.

    Raises:
        DatasetError: naming the file that is broken or of another size.
    """
    sar, clear, cloudy = read_image(triplet.s1, 2), read_image(triplet.clear, 13), read_image(triplet.cloudy, 13)
    for path, image in ((triplet.clear, clear), (triplet.cloudy, cloudy)):
        if image.shape[1:] != sar.shape[1:]:
            raise DatasetError(f"{path}: {image.shape[1:]} pixels beside {sar.shape[1:]} of {triplet.s1.name}; download it again")
        highest = float(np.max(image, where=np.isfinite(image), initial=-np.inf))
        if highest <= 1.5:
            raise DatasetError(f"{path}: values reach {highest:g} only; expected reflectance times 10000, as published")
    files = (triplet.s1, triplet.clear, triplet.cloudy)
    sar, clear, cloudy = (_filled(image, fill, path) for image, path in zip((sar, clear, cloudy), files, strict=True))
    clear, cloudy = np.clip(clear, 0, 10000), np.clip(cloudy, 0, 10000)
    return torch.from_numpy(sar)[None], torch.from_numpy(clear)[None], torch.from_numpy(cloudy)[None]


def read_image(path: Path, bands: int) -> NDArray[np.float32]:
    """Read a GeoTIFF as (bands, H, W) float32; its bands may be on the first or the last axis.

    Raises:
        DatasetError: if it is no regular file, cannot be read, or has another number of bands or no real numbers.
    """
    require_file(path, f"a GeoTIFF of {bands} bands")
    image = _pixels(path, bands)
    if image.dtype.kind not in "uif":
        raise DatasetError(f"{path}: holds {image.dtype}; expected real numbers: download it again")
    if image.ndim != 3 or bands not in (image.shape[-1], image.shape[0]) or 0 in image.shape:
        raise DatasetError(f"{path}: expected {bands} bands, found shape {image.shape}; is it a file of SEN12MS-CR?")
    first = image if image.shape[0] == bands and image.shape[-1] != bands else np.moveaxis(image, -1, 0)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which `_filled` finds
        return np.ascontiguousarray(first, dtype=np.float32)


def _pixels(path: Path, bands: int) -> NDArray[Any]:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            check_declared(path, math.prod(series.shape) * series.dtype.itemsize, f"shape {series.shape} of {series.dtype}")
            return np.asarray(series.asarray())
    except DatasetError:
        raise
    except Exception as error:  # broken files raise many different exceptions; compressed ones need a codec
        return _with_rasterio(path, bands, error)


def _with_rasterio(path: Path, bands: int, error: Exception) -> NDArray[Any]:
    try:
        import rasterio

        with rasterio.open(path) as file:
            shape = (file.count, file.height, file.width)
            if file.count != bands:  # thousands of bands in a damaged header take minutes
                raise DatasetError(f"{path}: expected {bands} bands, found {file.count}; is it a file of SEN12MS-CR?")
            check_declared(path, 8 * math.prod(shape), f"shape {shape}")
            return np.asarray(file.read())
    except DatasetError:
        raise
    except ImportError:
        remedy = "if it is compressed: pip install rasterio; else download it again"
        raise DatasetError(f"{path}: cannot be read ({one_line(error)}); {remedy}") from error
    except Exception as second:
        raise DatasetError(f"{path}: cannot be read ({one_line(second)}); download it again") from second


def _filled(image: NDArray[np.float32], fill: str, path: Path) -> NDArray[np.float32]:
    bad = ~np.isfinite(image)
    if not bad.any():
        return image
    if bad.all((1, 2)).any():
        band = int(bad.all((1, 2)).argmax())
        raise DatasetError(f"{path}: band {band + 1} has no finite value; there is nothing to fill it with: download it again")
    out = image.copy()
    for band, holes in enumerate(bad):
        rest = image[band][~holes]
        out[band][holes] = rest.mean() if fill == "mean" and rest.size else 0.0
    return out


def _fingerprint(triplets: list[Triplet], sample: list[Triplet], fill: str) -> str:
    """Sha256 over names and sizes of all files and the content of those of a sample; folders do not count."""
    digest = hashlib.sha256(fill.encode())
    for triplet in triplets:
        sizes = [require_file(path, "a GeoTIFF") for path in (triplet.s1, triplet.clear, triplet.cloudy)]
        digest.update(f"{triplet.name} {sizes}\n".encode())
    files = {f"{t.name} {role}": getattr(t, role) for t in sample for role in ("s1", "clear", "cloudy")}
    digest.update(fingerprint(files).encode())
    return digest.hexdigest()
