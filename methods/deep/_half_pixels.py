"""Moves by half pixels: registration of bands with the guide, and what the sensor makes of an image so moved (lambda-PNN).

Definitions: Ciotola, Poggi, Scarpa, IEEE TGRS 61, 2023 (doi 10.1109/TGRS.2023.3299356).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from waldbench.imaging.resampling import TAPS
from waldbench.methods.deep._full_resolution import REACH, Centred, blurred, inner

# Half pixels in each direction among which a registration looks; border that it leaves out.
FARTHEST, BORDER = 4, 3


def moved(x: Tensor, rows: int, columns: int) -> Tensor:
    """The image x (B, C, H, W) moved down and to the right by half pixels; zeros enter."""
    return _along(_along(x, rows).mT, columns).mT


def _along(x: Tensor, halves: int) -> Tensor:
    """Move x (B, C, H, W) down: odd numbers of half pixels by the 23-tap filter's twelve taps, then whole pixels."""
    whole, half = divmod(halves, 2)
    if half:
        taps = torch.tensor(TAPS[::-1] + TAPS, dtype=x.dtype, device=x.device).view(1, 1, -1, 1)
        wide = functional.pad(x.flatten(0, 1)[:, None], (0, 0, len(TAPS), len(TAPS) - 1))
        x = functional.conv2d(wide, taps).view(x.shape)
    height = x.shape[2]
    return functional.pad(x, (0, 0, max(whole, 0), max(-whole, 0)))[:, :, max(-whole, 0) :][:, :, :height]


def half_pixel_offsets(lms: Tensor, guide: Tensor, kernel: Tensor, half: int) -> list[tuple[int, int]]:
    """Rows and columns in half pixels by which the blurred guide must move to resemble every band most.

    Args:
        lms: one image (1, C, H, W).
        guide: (1, 1, H, W).
        kernel: the guide's low-pass filter.
        half: half the side of the windows in which they are compared.
    """
    low = blurred(functional.pad(guide, (REACH,) * 4, mode="replicate"), kernel[None])
    bands, steps = Centred(lms, half), range(-FARTHEST, FARTHEST + 1)
    offsets = [(row, column) for row in steps for column in steps]
    fields = (bands.correlation(Centred(moved(low, *offset), half)) for offset in offsets)
    best = torch.stack([inner(field, BORDER).mean((0, 2, 3)) for field in fields]).argmax(0)
    return [offsets[int(place)] for place in best]


class Reprojection:
    """Blur by the sensor, move by half pixels and decimate, as one matrix for the rows and one for the columns of every band.

    Apart from the negative values that are clipped, 1e-10 of the peak, the kernels are products of profiles.

    Args:
        kernels: of every band, of odd side and sum 1.
        offsets: rows and columns of every band, in half pixels.
        like: an image (B, C, H, W) of the size, type and device of those to come.
        ratio: samples are taken from ratio // 2 on.
    """

    def __init__(self, kernels: list[Tensor], offsets: list[tuple[int, int]], like: Tensor, ratio: int) -> None:
        pairs = list(zip(kernels, offsets, strict=True))
        height, width = like.shape[-2:]
        self.rows = torch.stack([_matrix(kernel.sum(1), row, height, ratio) for kernel, (row, _) in pairs]).to(like)
        self.columns = torch.stack([_matrix(kernel.sum(0), column, width, ratio) for kernel, (_, column) in pairs]).to(like)

    def __call__(self, output: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, h, w)."""
        return self.rows @ output @ self.columns.mT


def _matrix(profile: Tensor, halves: int, size: int, ratio: int) -> Tensor:
    """What happens to a line of `size` pixels: filtered with replicated borders, moved, decimated."""
    line = torch.eye(size, dtype=torch.float64)
    index = torch.arange(-(len(profile) // 2), size + len(profile) // 2).clamp(0, size - 1)
    low = functional.conv2d(line[index][None, None], profile.view(1, 1, -1, 1))
    return _along(low, halves)[0, 0, ratio // 2 :: ratio]
