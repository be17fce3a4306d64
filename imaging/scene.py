"""Scene: the one type that datasets, methods, metrics and the harness share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LABELS = ("ms", "lms", "guide", "gt", "mask", "valid")


@dataclass(frozen=True)
class Scene:
    """A batch of aligned images in sensor digital numbers (SAR guides in dB).

    Attributes:
        ms: low-resolution multi- or hyperspectral image, (B, C, h, w).
        lms: `ms` interpolated to the guide's grid, (B, C, H, W); may overshoot the sensor's scale.
        guide: high-resolution guide, (B, G, H, W): panchromatic (G = 1) or SAR (G = 2: VV, VH).
        gt: ground truth (B, C, H, W), or None at full resolution.
        name: one name per image, under which its scores are kept; or empty: a split of a dataset calls them by their places.
        mask: where clouds and their shadows lie in `ms`, (B, 1, H, W) from 0 (clear) to 1 (hidden), or None if unknown.
        valid: which pixels of the guide's grid have data in all images, (B, 1, H, W) bool, or None where all have. The others
            hold values that disturb as little as possible; no statistic and no index counts them.

    Raises:
        ValueError: if shapes, types or devices do not fit together.

    Example:
        >>> import torch
        >>> from waldbench import Scene, interp23
        >>> ms = torch.rand(2, 8, 4, 4)
        >>> scene = Scene(ms=ms, lms=interp23(ms, ratio=4), guide=torch.rand(2, 1, 16, 16))
        >>> len(scene), scene.ratio, scene.gt is None
        (2, 4, True)
    """

    ms: Tensor
    lms: Tensor
    guide: Tensor
    gt: Tensor | None = None
    name: tuple[str, ...] = ()
    mask: Tensor | None = None
    valid: Tensor | None = None

    def __post_init__(self) -> None:
        for label in LABELS:
            image = getattr(self, label)
            if image is None:
                continue
            kind, fits = ("bool", image.dtype == torch.bool) if label == "valid" else ("float", image.is_floating_point())
            if image.ndim != 4 or not fits:
                raise ValueError(f"{label}: expected a {kind} tensor (B, C, H, W), got {image.dtype} {tuple(image.shape)}")
        b, c, h, w = self.ms.shape
        size = tuple(self.guide.shape[-2:])
        expected = {"lms": (b, c, *size), "guide": (b, self.guide.shape[1], *size), "gt": (b, c, *size)}
        expected |= {"mask": (b, 1, *size), "valid": (b, 1, *size)}
        for label, shape in expected.items():
            image = getattr(self, label)
            if image is not None and tuple(image.shape) != shape:
                raise ValueError(f"{label}: expected shape {shape} beside ms {tuple(self.ms.shape)}, got {tuple(image.shape)}")
        if h == 0 or w == 0 or size[0] % h or size[1] % w or size[0] // h != size[1] // w:
            raise ValueError(f"guide {size} must be one integer multiple of ms {(h, w)}; crop both to a common area first")
        if self.name and len(self.name) != b:
            raise ValueError(f"name: expected {b} names, got {len(self.name)}")

    def __len__(self) -> int:
        return self.ms.shape[0]

    @property
    def ratio(self) -> int:
        """Resolution ratio between guide and ms."""
        return self.guide.shape[-1] // self.ms.shape[-1]

    def images(self) -> dict[str, Tensor]:
        """The tensors that are present, by name."""
        present = {label: getattr(self, label) for label in LABELS}
        return {label: image for label, image in present.items() if image is not None}

    def map(self, function: Callable[[Tensor], Tensor]) -> Scene:
        """Apply `function` to every tensor."""
        new = {label: function(image) for label, image in self.images().items()}
        return Scene(**new, name=self.name)

    def to(self, target: torch.device | torch.dtype | str) -> Scene:
        """Move or convert every tensor; `valid` stays boolean."""
        if isinstance(target, torch.dtype):
            return self.map(lambda image: image if image.dtype == torch.bool else image.to(target))
        return self.map(lambda image: image.to(target))

    def crop(self, top: int, left: int, height: int, width: int) -> Scene:
        """Cut a window given in pixels of `ms`; the other images are cut at the same place."""
        r = self.ratio

        def cut(image: Tensor) -> Tensor:
            s = 1 if image is self.ms else r
            return image[..., top * s : (top + height) * s, left * s : (left + width) * s]

        return self.map(cut)

    def check_finite(self) -> None:
        """Raise ValueError, naming image and count, if any pixel is NaN or infinite."""
        for label, image in self.images().items():
            bad = int((~torch.isfinite(image)).sum())
            if bad:
                where = f" of '{', '.join(self.name)}'" if self.name else ""
                raise ValueError(f"{label}{where} has {bad} NaN or infinite values; fill or mask them before fusion")
