"""Adaptive dual-level weighting, ADWM (Huang, Chen, Ren, Peng, Deng, CVPR 2025): a wrapper around a chain of feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.deep._blocks import bicubic
from waldbench.methods.deep._layers import fast_layout
from waldbench.methods.deep._naming import RenamedNetwork, Renames
from waldbench.methods.recipes import Recipe


class CorrelationWeights(nn.Module):
    """A weight for each of several variables from how they correlate: three layers on the rows of their cosine matrix.

    Args:
        size: number of variables.
        hidden: width of the second layer.
        drop: share of numbers dropped in training.
        norm: whether the rows are normalised first.
    """

    def __init__(self, size: int, hidden: int, drop: float = 0, norm: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size) if norm else nn.Identity()
        first = nn.Linear(size, size), nn.LeakyReLU(), nn.Dropout(drop)
        self.layers = nn.Sequential(*first, nn.Linear(size, hidden), nn.LeakyReLU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Unbounded weights (B, size) from observations (B, N, size), each centred on its own mean."""
        x = x - x.mean(2, keepdim=True)
        products = x.mT @ x
        length = products.diagonal(dim1=1, dim2=2).clamp(min=torch.finfo(products.dtype).tiny).sqrt()
        return self.layers(self.norm(products / length[:, :, None] / length[:, None]))[..., 0]


class DualWeighting(nn.Module):
    """Weigh the channels of every map of a chain, then the maps, and add them up.

    Args:
        width: channels of a map.
        depth: maps.
        hidden: width of the channel weights' second layer.
        drop, norm: as in `CorrelationWeights`; `drop` for the channels only.
    """

    def __init__(self, width: int, depth: int, hidden: int, drop: float = 0, norm: bool = False) -> None:
        super().__init__()
        self.channels = nn.ModuleList(CorrelationWeights(width, hidden, drop, norm) for _ in range(depth))
        self.maps = CorrelationWeights(depth, depth, norm=norm)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map several maps (B, C, H, W) to one."""
        means = torch.stack([x.mean((2, 3)) for x in maps], 2)
        shares = self.maps(means).softmax(1)
        total = torch.zeros_like(maps[0])
        for number, (x, layer) in enumerate(zip(maps, self.channels, strict=True)):
            weights = shares[:, number, None] * layer(x.flatten(2).mT)
            total = total + weights[..., None, None] * x
        return total


class DualWeightedNetwork(RenamedNetwork):
    """Details added to the image enlarged by bicubic interpolation; subclasses register head, chain, weighting and tail."""

    recipe = Recipe("l1", 2e-3, 64, 500, schedule="every", every=150, gamma=0.5)
    renames: ClassVar[Renames] = (
        (r"^head\.", "raise_dim."),
        (r"^chain\.", "layers."),
        (r"^weighting\.channels\.", "bw_output.CovBlockList."),
        (r"^weighting\.maps\.", "bw_output.global_covblock."),
        (r"^(bw_output.*)\.layers\.", r"\1.cov_mlp."),
        (r"^(bw_output.*)\.norm\.", r"\1.ln."),
        (r"^tail\.", "to_output."),
    )
    head: nn.Module
    chain: nn.ModuleList
    weighting: DualWeighting
    tail: nn.Module

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)

    def entrance(self, image: Tensor, guide: Tensor) -> Tensor:
        """What the first layer sees of the enlarged image (B, C, H, W) and the guide (B, G, H, W)."""
        return torch.cat([guide, image], 1)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the details; lms is not used."""
        image = bicubic(ms, guide.shape[-2:])
        x = functional.leaky_relu(self.head(fast_layout(self.entrance(image, guide))))
        maps = []
        for layer in self.chain:
            x = layer(x)
            maps.append(x)
        return image + self.tail(self.weighting(maps))
