"""SR-D: sparse representation of injected details (Vicinanza, Restaino, Vivone, Dalla Mura, Chanussot, IEEE GRSL 12(1), 2015)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from waldbench.imaging.filters import mtf
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.resampling import decimate, imresize
from waldbench.imaging.statistics import flat_guide, gram, match_moments
from waldbench.methods.base import Method, register
from waldbench.methods.variational._pursuit import BLOCK, Dictionary, pursue

# Principal bands weaker than this share of the strongest one are rounding noise.
NEGLIGIBLE = 1e-6


@register(
    tasks={"ms", "hs"},
    year=2015,
    paper="Vicinanza, Restaino, Vivone, Dalla Mura, Chanussot, IEEE GRSL 12(1):180-184",
    doi="10.1109/LGRS.2014.2331291",
    faithful="as in the reference toolbox: patches of 7 pixels overlapping by 4, 10 atoms, the first from the patch's own place",
    inferred=(
        "an atom that adds nothing to those chosen before gets no coefficient",
        "a flat guide has nothing to inject: the interpolated image is returned",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class SRD(Method):
    """Details that the bands lost to blurring, rebuilt from patches of the guide's own details at both resolutions.

    Args:
        patch: patch side in low-resolution pixels.
        overlap: pixels that neighbouring patches share, below `patch`.
        atoms: atoms in every patch.
        options: sensor and guide_bands, as in `Method`.
    """

    needs_whole = "its dictionary holds patches from everywhere"

    def __init__(self, *, patch: int = 7, overlap: int = 4, atoms: int = 10, **options: Any) -> None:
        super().__init__(**options)
        self.patch, self.overlap, self.count = patch, overlap, atoms

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        matched = match_moments(guide, like=lms)
        sharp = matched - imresize(mtf(matched, self.sensor, self.ratio, step=self.ratio), self.ratio)
        dull = mtf(sharp, self.sensor, self.ratio, step=self.ratio)
        lost = decimate(lms, self.ratio) - mtf(lms, self.sensor, self.ratio, step=self.ratio)
        details = [self._details(*images) for images in zip(sharp, dull, lost, strict=True)]
        return unless(flat_guide(guide), limited(lms + torch.stack(details), ms, guide), lms)

    def _details(self, sharp: Tensor, dull: Tensor, lost: Tensor) -> Tensor:
        """Details of one image (C, H, W) from those of the guide at both resolutions."""
        side = min(self.patch, *lost.shape[-2:])
        grid = _Grid(lost.shape[-2], lost.shape[-1], side, max(1, side - self.overlap))
        dictionary = Dictionary(grid.patches(dull), _principal(dull))
        own = torch.arange(len(grid.rows), device=sharp.device)
        pieces = [
            pursue(targets, first, dictionary, min(self.count, len(own)))
            for targets, first in zip(grid.patches(lost).split(BLOCK), own.split(BLOCK), strict=True)
        ]
        chosen, coefficients = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        return grid.assemble(sharp, chosen, coefficients, self.ratio)


def _principal(image: Tensor) -> Tensor:
    """Orthonormal mixtures (C, K) of the bands of an image (C, H, W) that span all of them."""
    values, vectors = torch.linalg.eigh(gram(image[None], image[None])[0])
    return vectors[:, values >= NEGLIGIBLE**2 * values[-1]].to(image.dtype)


class _Grid:
    """Overlapping square patches that cover an image; the last ones are moved back to the border."""

    def __init__(self, height: int, width: int, side: int, step: int) -> None:
        self.side, self.step, self.size = side, step, (height, width)
        self.tops, self.lefts = _starts(height, side, step), _starts(width, side, step)
        self.rows = torch.tensor(self.tops).repeat_interleave(len(self.lefts))
        self.columns = torch.tensor(self.lefts).repeat(len(self.tops))

    def patches(self, image: Tensor) -> Tensor:
        """All patches of an image (C, h, w), row by row: (N, C, side * side)."""
        windows = image.unfold(1, self.side, 1).unfold(2, self.side, 1)
        return windows[:, self.rows, self.columns].movedim(1, 0).flatten(2)

    def assemble(self, image: Tensor, chosen: Tensor, coefficients: Tensor, ratio: int) -> Tensor:
        """Average of all patches, each the sum of its chosen patches of `image`, `ratio` times as fine as the grid."""
        axes = _principal(image)
        bands, high = len(image), self.side * ratio
        windows = torch.einsum("chw,ck->khw", image, axes).unfold(1, high, 1).unfold(2, high, 1)
        rows, columns = self.rows.to(chosen.device) * ratio, self.columns.to(chosen.device) * ratio
        total = torch.zeros_like(image)
        for number, top in enumerate(self.tops):
            here = slice(number * len(self.lefts), (number + 1) * len(self.lefts))
            atoms = windows[:, rows[chosen[here]], columns[chosen[here]]].flatten(3).permute(1, 2, 0, 3).flatten(1, 2)
            mixed = (coefficients[here][..., None] * axes[:, None]).flatten(2)
            total[:, top * ratio : top * ratio + high] += self._row(mixed @ atoms, bands, ratio)
        return total / (
            _cover(self.tops, self.size[0], self.side, ratio, image)[:, None]
            * _cover(self.lefts, self.size[1], self.side, ratio, image)
        )

    def _row(self, patches: Tensor, bands: int, ratio: int) -> Tensor:
        """Sum of one row of patches (N, C, P * P), each at its place: (C, P, W)."""
        high, width = self.side * ratio, self.size[1] * ratio
        regular = [left for number, left in enumerate(self.lefts) if left == number * self.step]
        covered = regular[-1] * ratio + high
        columns = patches[: len(regular)].flatten(1).T[None]
        row = functional.fold(columns, (high, covered), high, stride=(high, self.step * ratio))[0]
        row = functional.pad(row, (0, width - covered))
        if len(regular) < len(self.lefts):
            row[..., width - high :] += patches[-1].view(bands, high, high)
        return row


def _starts(size: int, side: int, step: int) -> list[int]:
    starts = list(range(0, size - side + 1, step))
    return starts if starts[-1] == size - side else [*starts, size - side]


def _cover(starts: list[int], size: int, side: int, ratio: int, like: Tensor) -> Tensor:
    """How many patches cover every high-resolution pixel along one axis."""
    counts = like.new_zeros(size)
    for start in starts:
        counts[start : start + side] += 1
    return counts.repeat_interleave(ratio)
