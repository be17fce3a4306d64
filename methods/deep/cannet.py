"""CANNet: convolution kernels that adapt to clusters of similar pixels, CANConv (Duan, Wu, Deng, Deng, CVPR 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._kmeans import cluster, members
from waldbench.methods.deep._naming import Renames
from waldbench.methods.deep._parts import in_parts, rows_per_part
from waldbench.methods.deep._three_levels import WIDTHS, ThreeLevelNetwork
from waldbench.methods.recipes import Recipe

CLUSTERS, HIDDEN, TAPS = 32, 16, 9
# Clusters of no more than this share of the pixels are dissolved; their pixels share one further kernel.
SMALL = 0.005


class ClusterAdaptiveConvolution(nn.Module):
    """A 3x3 convolution whose kernel and bias are made for every cluster of pixels from the mean patch of that cluster."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, TAPS, channels))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.code = nn.Sequential(nn.Linear(TAPS * channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        self.taps = nn.Linear(HIDDEN, TAPS)
        self.inputs = nn.Linear(HIDDEN, channels)
        self.outputs = nn.Linear(HIDDEN, channels)
        squeeze = (nn.Linear(TAPS * channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        self.bias = nn.Sequential(*squeeze, nn.Linear(HIDDEN, channels))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Convolve x (B, C, H, W), each pixel with the kernel of its label (B, H W) in 0...32, into the same shape."""
        wide = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        centroids = self._centroids(wide, labels)
        code = self.code(centroids)
        factors = torch.cat([layer(code).sigmoid() for layer in (self.taps, self.inputs, self.outputs)], -1)
        table = torch.cat([factors, self.bias(centroids)], -1)
        height, width = x.shape[-2:]
        rows = rows_per_part(TAPS * x.shape[1] * width, x.device)
        parts = [
            (image[top : top + rows + 2], numbers[top : top + rows], entries)
            for image, numbers, entries in zip(wide, labels.view(-1, height, width), table, strict=True)
            for top in range(0, height, rows)
        ]
        return torch.cat(in_parts(self._convolve, parts)).view(len(x), height, width, -1).permute(0, 3, 1, 2)

    def padding_macs(self, x: Tensor, labels: Tensor) -> int:
        """Products with zeros and ones: sums over the pixels of a cluster are computed as a matrix product."""
        return (CLUSTERS + 1) * TAPS * x.numel()

    def _centroids(self, wide: Tensor, labels: Tensor) -> Tensor:
        """Mean patches (B, 33, 9 C) of the clusters, channels outside, taps inside; the last one is that of all pixels."""
        member = members(labels, CLUSTERS + 1, wide)
        member[:, CLUSTERS] = 1
        sums = torch.stack([member @ tap.flatten(1, 2) for tap in _taps(wide)], 3)
        return (sums / member.sum(2)[..., None, None].clamp(min=1)).flatten(2)

    def _convolve(self, wide: Tensor, labels: Tensor, table: Tensor) -> Tensor:
        """Rows (h, W, C) of one image with a border of one pixel (h + 2, W + 2, C), from the table of factors (33, 9 + 3 C)."""
        channels = wide.shape[-1]
        entries = functional.embedding(labels, table)
        taps, inputs, outputs, bias = entries.split((TAPS, channels, channels, channels), -1)
        patches = torch.stack(_taps(wide[None]), 3)[0] * taps[..., None] * inputs[:, :, None]
        return patches.flatten(2) @ self.weight.transpose(0, 1).flatten(0, 1) * outputs + bias


def _taps(wide: Tensor) -> list[Tensor]:
    """The nine shifted images (B, H, W, C), row by row, of images with a border of one pixel."""
    height, width = wide.shape[1] - 2, wide.shape[2] - 2
    return [wide[:, row : row + height, column : column + width] for row in range(3) for column in range(3)]


def pixel_labels(x: Tensor, start: float) -> Tensor:
    """Cluster the pixels of x (B, C, H, W) by their means over 3x3 windows into labels (B, H W); dissolved clusters get 32."""
    means = functional.avg_pool2d(x.detach(), 3, stride=1, padding=1)
    labels = cluster(means.flatten(2).mT, CLUSTERS, start)
    small = members(labels, CLUSTERS, x).sum(2) <= int(SMALL * labels.shape[1])
    return torch.where(small.gather(1, labels), CLUSTERS, labels)


class ClusterResidualBlock(nn.Module):
    """x + layer(LReLU(layer(x))), both layers with the same labels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ClusterAdaptiveConvolution(channels)
        self.second = ClusterAdaptiveConvolution(channels)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Map x (B, C, H, W) with labels (B, H W) to the same shape."""
        return x + self.second(functional.leaky_relu(self.first(x, labels)), labels)


@register(
    tasks={"ms", "hs"},
    title="CANNet",
    year=2024,
    paper="Duan, Wu, Deng, Deng, CVPR 2024; arXiv:2404.07543",
    licence="GPL-3.0 (Duanyll/CANConv); written from a fact sheet, not from that code",
    faithful="layers and parameters as released: for given cluster labels equal to it on shared weights given by a formula",
    inferred=(
        "the released k-means depends on a CUDA library's random numbers; here seeding and rounds are deterministic (`start`),"
        " so labels differ from any released run: with its weights other starts move ERGAS by 1 to 3 % on one image",
        "clusters are made anew for every image and step in training too, without the released cache of labels",
        "published multiplications do not count the k-means, whose rounds depend on the image",
        "sides that are no multiple of 4: replicated at the lower and right border, then cropped",
        "guide of several bands: all are stacked with lms",
    ),
)
class CANNet(ThreeLevelNetwork):
    """lms plus details from five residual blocks whose kernels are made for each of up to 33 clusters of pixels.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        start: in [0, 1), where the seeding of the clusters starts; other values give other clusters, like a random seed.
    """

    recipe = Recipe(
        "l1",
        1e-3,
        32,
        500,
        schedule="milestones",
        milestones=(250,),
        gamma=0.1,
        notes=(
            "published for WV3; QB and GF2 start from 5e-4 without a step",
            "the released training keeps the labels of every image and renews them every epoch at first, every 50th at the end",
        ),
    )
    renames: ClassVar[Renames] = (
        *ThreeLevelNetwork.renames,
        (r"\.first\.", ".conv1."),
        (r"\.second\.", ".conv2."),
        (r"(rb\d\.conv\d)\.weight$", r"\1.kernels"),
        (r"\.code\.", ".kernel_head."),
        (r"\.taps\.", ".to_area."),
        (r"\.inputs\.", ".to_cin."),
        (r"\.outputs\.", ".to_cout."),
        (r"(rb\d\.conv\d)\.bias\.", r"\1.centroid_to_bias."),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, start: float = 0.5) -> None:
        if not 0 <= start < 1:
            raise ValueError(f"start: expected a number in [0, 1), got {start}; 0.5 is the default")
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.start = start
        self.blocks = nn.ModuleList(ClusterResidualBlock(channels) for channels in WIDTHS)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor, labels: Sequence[Tensor] = ()) -> Tensor:
        """Add the details to lms.

        `labels` are those (B, H W) of the pixels at full, half and quarter size, 0 to 32, of sides rounded up to a multiple of 4;
        without them the pixels are clustered here.
        """
        found = list(labels)

        def run(number: int, x: Tensor) -> Tensor:
            # The blocks on the way up take the labels of the way down.
            level = min(number, 4 - number)
            if level == len(found):
                found.append(pixel_labels(x, self.start))
            return self.blocks[number](x, found[level])

        return lms + self.details(lms, guide, run)
