"""TIFF files, read with tifffile; uncompressed ones can stay on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from waldbench.datasets.base import DatasetError
from waldbench.datasets.raster import Raster

suffixes = (".tif", ".tiff")
paired = True
preference = 0


def read(path: Path, mapped: bool = False) -> Raster:
    """Read an image; with `mapped` an uncompressed one stays on disk.

    Raises:
        DatasetError: if the file is broken or compressed in a way that tifffile cannot read alone.
    """
    import tifffile

    try:
        if mapped:
            with tifffile.TiffFile(path) as file:
                uncompressed = file.series[0].dataoffset is not None
            if uncompressed:
                return Raster(tifffile.memmap(path, mode="r"), (path,))
        return Raster(np.asarray(tifffile.imread(path)), (path,))
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, EOFError) as error:
        hint = "save it uncompressed, or install imagecodecs" if "imagecodecs" in str(error) else "is it complete?"
        raise DatasetError(f"{path}: cannot be read as {path.suffix} ({error}); {hint}") from error
