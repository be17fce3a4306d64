"""Access to raster files through rasterio (GDAL): pixels of windows, grid, masks and what else a file says."""

from __future__ import annotations

import importlib.util
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from waldbench.datasets.base import DatasetError
from waldbench.datasets.contents import diagnosis
from waldbench.datasets.grid import Grid
from waldbench.datasets.raster import Array, Raster

# GDAL's cache of decoded blocks in MB; its own default, a share of the machine's memory, is no bound for a stream.
CACHE = "64"
# A last band marked alpha is one if so many of its pixels are fully transparent or fully opaque.
EXTREME = 0.95
# Largest side of the reduced image from which that is told.
LOOK = 512


def available() -> bool:
    """Whether rasterio is installed."""
    return importlib.util.find_spec("rasterio") is not None


def connect(path: Path | str, warp: dict[str, Any]) -> Any:
    """A dataset of rasterio, warped where `warp` says how (arguments of WarpedVRT); the caller closes it."""
    # GDAL asks for this once, when it decodes its first block.
    os.environ.setdefault("GDAL_CACHEMAX", CACHE)
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.vrt import WarpedVRT

    with warnings.catch_warnings():
        # That a file has no georeference is an answer here.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        source = rasterio.open(path)
        return WarpedVRT(source, **warp) if warp else source


@contextmanager
def opened(path: Path | str, **warp: Any) -> Iterator[Any]:
    """A dataset of rasterio for the time of a block; `warp` as in `connect`."""
    source = connect(path, warp)
    try:
        yield source
    finally:
        source.close()


@dataclass
class Windowed:
    """An image (C, H, W), or the mask (H, W) of one, of which windows are read from its file when they are asked for.

    Attributes:
        path: the file.
        bands: numbers of the bands, from 1; 0 for the mask of the whole dataset; negative for an alpha band as mask.
        shape: (C, H, W) or (H, W).
        dtype: type of the pixels.
        warp: arguments of WarpedVRT, where it is warped.
    """

    path: Path
    bands: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    warp: dict[str, Any] = field(default_factory=dict)
    _local: threading.local = field(default_factory=threading.local, repr=False, compare=False)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def choose(self, bands: tuple[int, ...]) -> Windowed:
        """Some of the bands, numbered from 0."""
        numbers = tuple(self.bands[band] for band in bands)
        return Windowed(self.path, numbers, (len(numbers), *self.shape[1:]), self.dtype, self.warp)

    def with_band(self, place: int) -> Windowed:
        """One band of the file more, at that place (from 0)."""
        numbers = (*self.bands[:place], place + 1, *self.bands[place:])
        return Windowed(self.path, numbers, (len(numbers), *self.shape[1:]), self.dtype, self.warp)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _local=threading.local())

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def __getitem__(self, key: Any) -> Array:
        """Pixels of slices, one an axis, from the first axis on; axes without a slice are read whole."""
        keys = key if isinstance(key, tuple) else (key,)
        slices = [*keys, *[slice(None)] * (self.ndim - len(keys))]
        ranges = [range(*one.indices(size)) for one, size in zip(slices, self.shape, strict=True)]
        rows, columns = ranges[-2:]
        numbers = [self.bands[band] for band in ranges[0]] if self.ndim == 3 else list(self.bands)
        if not all(len(one) for one in ranges):
            return np.empty([len(one) for one in ranges], self.dtype)
        window = ((rows.start, rows.stop), (columns.start, columns.stop))
        pixels = self._read(numbers, window)
        return pixels[..., :: rows.step, :: columns.step]

    def _read(self, numbers: list[int], window: Any) -> Array:
        try:
            source = self._source()
            if numbers == [0]:
                return np.asarray(source.dataset_mask(window=window))
            read = source.read([abs(number) for number in numbers], window=window)
        except Exception as error:  # rasterio raises errors of several families
            raise _failed(self.path, error) from error
        return np.asarray(read[0] if self.ndim == 2 else read)

    def _source(self) -> Any:
        """The dataset, opened once in every thread of every process."""
        if getattr(self._local, "process", None) != os.getpid():
            self._local.source, self._local.process = connect(self.path, self.warp), os.getpid()
        return self._local.source


def read(path: Path, mapped: bool, expected: str, warp: dict[str, Any] | None = None) -> Raster:
    """Read one image (C, H, W); with `mapped` its pixels stay on disk.

    Args:
        path: the file.
        mapped: leave the pixels on disk until they are used.
        expected: what the file should be, for errors.
        warp: arguments of WarpedVRT.

    Raises:
        DatasetError: if it cannot be read, or is a palette image.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    try:
        with opened(path, **(warp or {})) as source:
            raster = _describe(path, source, warp or {})
    except DatasetError:
        raise
    except Exception as error:  # rasterio raises errors of several families
        raise _failed(path, error, expected) from error
    if mapped:
        return raster
    from dataclasses import replace

    mask = None if raster.mask is None else np.asarray(raster.mask)
    return replace(raster, image=np.asarray(raster.image), mask=mask)


def _failed(path: Path, error: Exception, expected: str = "a raster file") -> DatasetError:
    from waldbench.datasets.contents import kind

    said = " ".join(str(error.__cause__ or error).split())
    if "driver" in said.lower() and "not" in said.lower() and kind(path) == expected:
        return DatasetError(f"{path}: this build of GDAL has no decoder for it ({said}); convert it with gdal_translate")
    return DatasetError(f"{path}: {diagnosis(path, kind(path) or expected, error.__cause__ or error)}")  # type: ignore[arg-type]


def _describe(path: Path, source: Any, warp: dict[str, Any]) -> Raster:
    interpretation = tuple(one.name for one in source.colorinterp)
    if "palette" in interpretation:
        raise DatasetError(
            f"{path}: its pixels are numbers of colours in a palette, not radiance; give the original image, or expand the "
            "palette (gdal_translate -expand rgb)"
        )
    if len(set(source.dtypes)) > 1:
        raise DatasetError(
            f"{path}: its bands have different types ({', '.join(dict.fromkeys(source.dtypes))}); save them as one"
        )
    bands, mask, notices = _mask(path, source, interpretation, warp)
    kept = [band - 1 for band in bands]
    image = Windowed(path, bands, (len(bands), *source.shape), np.dtype(source.dtypes[0]), warp)
    names, nodata = ([values[band] for band in kept] for values in (source.descriptions, source.nodatavals))
    scaling = [(source.scales[band], source.offsets[band]) for band in kept]
    grid, tags = _grid(source)
    return Raster(
        image,
        tuple(Path(name) for name in source.files if Path(name).is_file()) or (path,),
        0,
        *_spectrum(source, bands),
        tuple(notices),
        grid,
        tuple(nodata) if any(value is not None for value in nodata) else (),
        mask,
        mask.bands[0] * -1 - 1 if mask is not None and mask.bands[0] < 0 else None,
        tuple(interpretation[band] for band in kept),
        tuple(name or "" for name in names) if any(names) else (),
        tuple(scaling) if any(one != (1.0, 0.0) for one in scaling) else (),
        tags,
    )


def _grid(source: Any) -> tuple[Grid | None, dict[str, Any]]:
    """Where the pixels lie, and what else says so."""
    tags: dict[str, Any] = {}
    if source.tags(ns="RPC"):
        tags["rpc"] = source.tags(ns="RPC")
    points, system = source.gcps
    if points:
        tags["gcps"] = (points, system)
    if source.transform.is_identity:
        return None, tags
    return Grid(tuple(source.transform)[:6], crs_text(source.crs)), tags


def crs_text(crs: Any) -> str:
    """A reference system as "EPSG:n" where it has a number, else as WKT; empty for none."""
    if not crs:
        return ""
    number = crs.to_epsg()
    return f"EPSG:{number}" if number else str(crs.to_wkt())


def _spectrum(source: Any, bands: tuple[int, ...]) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Centres and widths of the bands in nm, from GDAL's metadata (in micrometres)."""
    found: list[tuple[float, ...] | None] = []
    for key in ("CENTRAL_WAVELENGTH_UM", "FWHM_UM"):
        values = [source.tags(band, ns="IMAGERY").get(key) for band in bands]
        found.append(tuple(1000 * float(value) for value in values) if all(values) else None)
    return found[0], found[1]


def _mask(
    path: Path, source: Any, interpretation: tuple[str, ...], warp: dict[str, Any]
) -> tuple[tuple[int, ...], Any, list[str]]:
    """Numbers of the bands that are bands, the mask, and a line where the file could be read in two ways."""
    from rasterio.enums import MaskFlags

    bands = tuple(range(1, source.count + 1))
    notices: list[str] = []
    if "alpha" in interpretation and source.count > 1:
        number = interpretation.index("alpha") + 1
        if not _is_alpha(source, number):
            line = f"band {number} of {path.name} is marked alpha, but its values vary as those of a band: read as a band"
            return bands, None, [f"{line} (--bands 1-{source.count} says so, --bands 1-{source.count - 1} leaves it out)"]
        # An added alpha band of a warped image says where the image ends; no one needs to be told.
        if not warp.get("add_alpha"):
            notices = [
                f"band {number} of {path.name} is alpha: taken as the mask of valid pixels, not as a band (--bands overrides)"
            ]
        flat = Windowed(path, (-number,), source.shape, np.dtype(source.dtypes[0]), warp)
        return tuple(band for band in bands if band != number), flat, notices
    flags = source.mask_flag_enums[0]
    if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
        return bands, Windowed(path, (0,), source.shape, np.dtype(np.uint8), warp), []
    return bands, None, []


def _is_alpha(source: Any, number: int) -> bool:
    step = max(1, max(source.shape) // LOOK)
    looked = source.read(number, out_shape=tuple(max(1, side // step) for side in source.shape))
    full = 255 if looked.dtype == np.uint8 else looked.max()
    return bool(((looked == 0) | (looked == full)).mean() >= EXTREME)
