"""What the reader of a file format returns: one image with what the file says of it, or the variables of a whole scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Raster:
    """One image of a file.

    Attributes:
        image: pixels as they are stored: (H, W), (H, W, C) or (C, H, W); on disk where it was opened mapped.
        files: the files it consists of, for the fingerprint.
        band_axis: the axis of the bands; None where the file does not say.
        wavelengths: centres of the bands in nm; None where the file does not say.
        widths: full widths at half maximum of the bands in nm; None where the file does not say.
        notices: warnings that a user must see.
    """

    image: Array
    files: tuple[Path, ...]
    band_axis: int | None = None
    wavelengths: tuple[float, ...] | None = None
    widths: tuple[float, ...] | None = None
    notices: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """What the file says about its bands, without what it leaves open."""
        found = {"wavelengths": self.wavelengths, "widths": self.widths}
        return {name: values for name, values in found.items() if values}


@dataclass(frozen=True)
class Variables:
    """Named arrays and texts of one file that holds a whole scene.

    Attributes:
        values: arrays and texts by their names in the file.
        files: the file, for the fingerprint.
    """

    values: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
