"""What a product says of its pixels: grid, bands, method; carried over from the files it was made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from waldbench.datasets.grid import Grid
from waldbench.datasets.memory_mapped import MappedScene

LINE, SAMPLE = "LINE_OFF", "SAMP_OFF"


@dataclass(frozen=True)
class Labels:
    """Labels of a product.

    Attributes:
        grid: where its pixels lie; None where it is not known.
        interpretation: colour interpretation of every band; empty where not known.
        names: description of every band; empty where not known.
        scaling: (scale, offset) of every band; empty where not known.
        rpc: GDAL's RPC metadata; empty for none.
        gcps: ground control points and their system; None for none.
        metadata: how it was made.
    """

    grid: Grid | None = None
    interpretation: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    scaling: tuple[tuple[float, float], ...] = ()
    rpc: dict[str, str] = field(default_factory=dict)
    gcps: tuple[Any, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)


def labels_of(scene: MappedScene, metadata: dict[str, str]) -> tuple[Labels, list[str]]:
    """Labels of a product on the grid of PAN, and lines that say what could not be kept."""
    ms, pan, placed = scene.ms, scene.pan, scene.placed
    notices = []
    grid = None if pan.grid is None else pan.grid.shifted(placed.top, placed.left)
    if grid is None and ms.grid is not None and not placed.georeferenced:
        scale = (1 / placed.rows.scale, 1 / placed.columns.scale)
        if scale[0] == scale[1]:
            grid = ms.grid.scaled(scale[0])
            notices.append("PAN has no georeference: that of MS is kept, with pixels smaller by the ratio")
    for name, what in (("rpc", "rational polynomial coefficients"), ("gcps", "ground control points")):
        if name in ms.tags and name not in pan.tags:
            notices.append(f"{what} of MS are dropped: the product lies on the grid of PAN, which has none")
    rpc = {key: _moved(key, text, placed.top, placed.left) for key, text in pan.tags.get("rpc", {}).items()}
    gcps = pan.tags.get("gcps")
    if gcps and (placed.top or placed.left):
        gcps = ([_shifted(point, placed.top, placed.left) for point in gcps[0]], gcps[1])
    interpretation = tuple("undefined" if word == "alpha" else word for word in ms.interpretation)
    return Labels(grid, interpretation, ms.names, ms.scaling, rpc, gcps, metadata), notices


def _moved(key: str, text: str, top: int, left: int) -> str:
    """RPC metadata of a window that begins at a row and column: lines and samples are counted from there."""
    if key not in {LINE, SAMPLE} or not (top or left):
        return text
    return repr(float(text.split()[0]) - (top if key == LINE else left))


def _shifted(point: Any, top: int, left: int) -> Any:
    from rasterio.control import GroundControlPoint

    return GroundControlPoint(point.row - top, point.col - left, point.x, point.y, point.z, point.id, point.info)
