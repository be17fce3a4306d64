"""Fusing scenes strip by strip, from arrays that need not be in memory (NumPy memory maps) to wherever the caller writes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from waldbench.imaging import strips
from waldbench.imaging.operators import AxisOperator
from waldbench.imaging.resampling import cubic_interpolator, interpolator
from waldbench.imaging.statistics import GLANCE, varies_at_a_glance
from waldbench.imaging.strips import Ledger, Strip

# Elements of the fused image in one strip: small ones stay in a CPU's cache; larger ones spend less on their margins, up to a
# share of the image, so that a handful of intermediate strips needs less memory than it.
CACHED = 2**19
LARGE = 2**24
SHARE = 16
# Elements of the low-resolution image whose columns are interpolated at once.
BLOCK = 2**22
Array = np.ndarray[Any, np.dtype[Any]]
Fuse = Callable[[Tensor, Tensor, Tensor], Tensor]
Write = Callable[[int, Tensor], None]


# How lms is made: operator along an axis, and low-resolution rows beside a strip that it needs.
INTERPOLATORS: dict[str, tuple[Callable[[int, int], AxisOperator], int]] = {
    "interp23": (interpolator, 9),
    "cubic": (cubic_interpolator, 2),
}


def fuse(
    function: Fuse,
    ms: Array,
    guide: Array,
    write: Write,
    *,
    margin: int,
    rows: int | None = None,
    interpolation: str = "interp23",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> int:
    """Fuse a scene strip by strip, with the values that fusing it whole would give, but for rounding.

    Args:
        function: `fuse(ms, lms, guide)` on batches of one, built on the operators and statistics of `imaging`.
        ms: low-resolution image (C, h, w), any real type.
        guide: (G, H, W), H and W being h and w times one integer.
        write: called with the first row and the fused rows (C, rows, W); a later call for the same rows corrects the earlier.
        margin: low-resolution rows beside a strip on which its fused rows depend.
        rows: low-resolution rows of a strip; None: chosen from the sizes of the images.
        interpolation: kernel that makes `lms`: "interp23", as everywhere else, or "cubic", which is faster.
        device: where the strips are fused.
        dtype: floating-point type in which the strips are fused.

    Returns:
        How many times the scene was passed: once, and once more for each level of statistics that build on one another.

    Raises:
        ValueError: if the images do not fit each other or hold NaN or infinite values.
        UnsettledError: if the function's statistics do not come from `imaging.statistics`.
    """
    source = _Source(ms, guide, interpolation, torch.device(device), dtype)
    known = _guide_varies(guide)
    height, ratio = ms.shape[1], source.ratio
    rows = rows or strip_rows(ms.shape[0] * guide.shape[2] * ratio, height, margin)

    def run(ledger: Ledger) -> None:
        for first, count, top, bottom in strips.cut(height, rows, margin):
            strip = Strip(height, first, count, top, bottom, ledger, known)
            images = source.load(strip)
            with strips.within(strip):
                fused = function(*images)
            # With provisional statistics there is nothing worth writing.
            if rows >= height or ledger.number <= len(ledger.known):
                write((first + top) % height * ratio, fused[0, :, top * ratio : bottom * ratio])

    if rows >= height:
        run(Ledger())
        return 1
    return strips.passes(run)


def _guide_varies(guide: Array) -> bool:
    """Whether a glance at the guide shows that it is not flat, which spares methods the statistics."""
    rows = guide[:, :: max(1, guide.shape[1] // GLANCE)].astype(np.float64)
    return varies_at_a_glance(torch.from_numpy(rows)[None], guide.shape[1] * guide.shape[2])


def strip_rows(elements: int, height: int, margin: int) -> int:
    """Low-resolution rows of a strip, if one of the `height` rows makes so many elements of the fused image."""
    budget = min(max(elements * height // SHARE, CACHED), LARGE) if margin else CACHED
    return max(budget // elements - 2 * margin, margin, 4)


def check_sizes(ms: Array, guide: Array) -> int:
    """The ratio of two images (C, h, w) and (G, H, W). Raises ValueError if they do not fit each other."""
    if ms.ndim != 3 or guide.ndim != 3:
        raise ValueError(f"expected ms (C, h, w) and guide (G, H, W), got {ms.shape} and {guide.shape}")
    (h, w), (height, width) = ms.shape[1:], guide.shape[1:]
    if min(h, w) == 0 or height % h or width % w or height // h != width // w:
        raise ValueError(f"guide {height}x{width} must be one integer multiple of ms {h}x{w}; crop both to a common area first")
    return height // h


class _Source:
    """Strips of a scene as float tensors, with `lms` made of the low-resolution image strip by strip."""

    def __init__(self, ms: Array, guide: Array, interpolation: str, device: torch.device, dtype: torch.dtype) -> None:
        self.ms, self.guide, self.ratio = ms, guide, check_sizes(ms, guide)
        self.device, self.dtype = device, dtype
        make, self.reach = INTERPOLATORS[interpolation]
        self.down, self.across = make(ms.shape[1], self.ratio), make(ms.shape[2], self.ratio)
        # Rows whose columns are interpolated at once: those around a small strip serve the next ones too. They keep their
        # memory, for fresh memory would cost more than the arithmetic.
        self.block = BLOCK // (ms.shape[0] * guide.shape[2])
        self.memory = torch.empty(0, dtype=dtype, device=device)
        self.first, self.columns = 0, self.memory.view(1, 1, 0, 1)

    def load(self, strip: Strip) -> tuple[Tensor, Tensor, Tensor]:
        """Ms (1, C, rows, w), lms (1, C, rows ratio, W) and guide (1, G, rows ratio, W)."""
        target = strip.first * self.ratio, strip.count * self.ratio
        first, count = strip.first - self.reach, strip.count + 2 * self.reach
        if count >= strip.height:
            first, count = 0, strip.height
        lms = self.down.rows_between(self._wide(first, count, strip.height + self.reach), first, target)
        return self._rows("ms", strip.first, strip.count), lms, self._rows("guide", *target)

    def _wide(self, first: int, count: int, end: int) -> Tensor:
        """Rows of ms, read circularly, with their columns interpolated, and in advance some up to the row `end`."""
        start = (first - self.first) % self.ms.shape[1]
        if start + count > self.columns.shape[-2]:
            rows = self._rows("ms", first, max(count, min(self.block, end - first)))
            shape = (*rows.shape[:-1], rows.shape[-1] * self.ratio)
            if self.memory.numel() < prod(shape):
                self.memory = self.memory.new_empty(prod(shape))
            self.columns = self.across.along_columns(rows, self.memory[: prod(shape)].view(shape))
            self.first, start = first, 0
        return self.columns[..., start : start + count, :]

    def _rows(self, name: str, first: int, count: int) -> Tensor:
        array = _rows(getattr(self, name), first, count)
        image = torch.from_numpy(array)[None].to(self.device, self.dtype)
        if not np.issubdtype(array.dtype, np.integer) and not bool(torch.isfinite(image).all()):
            raise ValueError(f"{name} has NaN or infinite values; fill or mask them before fusion")
        return image


def _rows(image: Array, first: int, count: int) -> Array:
    """Rows of an image (C, H, W), read circularly, in this machine's byte order."""
    parts = []
    while count:
        first %= image.shape[1]
        part = image[:, first : first + count]
        parts.append(part)
        first, count = first + part.shape[1], count - part.shape[1]
    array = parts[0] if len(parts) == 1 else np.concatenate(parts, 1)
    # A copy: torch wants neither read-only memory nor another machine's byte order.
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def store(out: Array, top: int, rows: Tensor) -> None:
    """Write rows (C, rows, W) into an array (C, H, W) from row `top` on; integers are rounded and saturate at their limits.

    The content of `rows` is used up.
    """
    if np.issubdtype(out.dtype, np.integer):
        limits = np.iinfo(out.dtype)
        rows = rows.round_().clamp_(limits.min, limits.max)
    torch.from_numpy(out)[:, top : top + rows.shape[1]].copy_(rows)
