"""Values in place of pixels without data, so that filters and statistics of an image hardly know of them.

Near valid pixels the nearest one is repeated, as borders do; farther off stands the mean of the band, which changes neither the
mean nor any ratio of covariances.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from waldbench.datasets.raster import Array


def fill(pixels: Array, valid: Array, mean: Array, reach: int) -> Array:
    """Pixels (C, h, w), float32, without gaps.

    Args:
        pixels: the image; what stands in pixels without data is not used.
        valid: which pixels have data (h, w).
        mean: of every band over its valid pixels (C,).
        reach: pixels up to which the nearest valid pixel is repeated.
    """
    filled = pixels.astype(np.float32)
    if valid.any():
        distance, (rows, columns) = ndimage.distance_transform_edt(~valid, return_indices=True)
        near = ~valid & (distance <= reach)
        filled[:, near] = filled[:, rows[near], columns[near]]
        far = distance > reach
    else:
        far = ~valid
    filled[:, far] = np.asarray(mean, np.float32)[:, None]
    return filled


def agreed(
    low: Array | None, high: Array | None, of_rows: Array, of_columns: Array, shape: tuple[int, int]
) -> tuple[Array, Array]:
    """Which pixels of MS (h, w) and of PAN (H, W) have data in both images.

    A PAN pixel has if the MS pixel under it has; an MS pixel has if half of the PAN pixels on it, or more, have.

    Args:
        low: which pixels of MS have data; None: all.
        high: which pixels of PAN have data; None: all.
        of_rows: for every row of PAN the row of MS under it.
        of_columns: for every column of PAN the column of MS under it.
        shape: sides of MS.
    """
    low = np.ones(shape, bool) if low is None else low
    high = np.ones((len(of_rows), len(of_columns)), bool) if high is None else high
    place = np.ix_(of_rows, of_columns)
    flat = (of_rows[:, None] * shape[1] + of_columns).ravel()
    counts = np.bincount(flat, minlength=low.size).reshape(shape)
    known = np.bincount(flat, high.ravel(), minlength=low.size).reshape(shape)
    return low & ((2 * known >= counts) | (counts == 0)), high & low[place]
