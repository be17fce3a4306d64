"""GLF-CR: global-local fusion for cloud removal with SAR (Xu, Shi, Ebel, Yu, Xia, Yang, Zhu, ISPRS Journal 192, 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import convolution
from waldbench.methods.deep._windows import join, partition, relative_positions, shift_mask
from waldbench.methods.recipes import Recipe

WIDTH, GROWTH, STAGES, DENSE = 96, 48, 6, 5
WINDOW, HEADS, EXPANSION = 8, 8, 2
DROP, TAPS, FACTOR = 0.2, 5, 2
STREAMS = ("", "_SAR")
Pair = list[Tensor]


class JointAttention(nn.Module):
    """A dense layer of both streams: convolution, then window attention in which the SAR logits correct the optical ones."""

    positions: Tensor

    def __init__(self, inputs: int, shifted: bool, drop: float) -> None:
        super().__init__()
        self.shift, self.drop = (WINDOW // 2 if shifted else 0), drop
        self.conv = nn.ModuleList(convolution(inputs, GROWTH) for _ in STREAMS)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * WINDOW - 1) ** 2, HEADS))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("positions", relative_positions(WINDOW), persistent=False)
        self.qkv = nn.ModuleList(nn.Linear(GROWTH, 3 * GROWTH) for _ in STREAMS)
        self.mix = nn.Conv2d(HEADS, HEADS, 1)
        self.proj = nn.ModuleList(nn.Linear(GROWTH, GROWTH) for _ in STREAMS)
        self.norm = nn.ModuleList(nn.LayerNorm(GROWTH) for _ in STREAMS)
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.Linear(GROWTH, EXPANSION * GROWTH), nn.GELU(), nn.Linear(EXPANSION * GROWTH, GROWTH))
            for _ in STREAMS
        )

    def forward(self, stacks: Pair, mask: Tensor) -> Pair:
        """Map both streams' stacks (B, inputs, H, W) to (B, 48, H, W); mask as in `shift_mask`."""
        maps = [conv(stack).relu() for conv, stack in zip(self.conv, stacks, strict=True)]
        height, width = maps[0].shape[-2:]
        maps = [partition(x.roll((-self.shift, -self.shift), (2, 3)), WINDOW) for x in maps]
        attended = self._attend(maps, mask if self.shift else None)
        maps = [x + self._kept(proj(y)) for x, y, proj in zip(maps, attended, self.proj, strict=True)]
        maps = [x + self._kept(mlp(norm(x))) for x, norm, mlp in zip(maps, self.norm, self.mlp, strict=True)]
        return [join(x, height, width).roll((self.shift, self.shift), (2, 3)) for x in maps]

    def _attend(self, maps: Pair, mask: Tensor | None) -> Pair:
        batch, windows, area, _ = maps[0].shape
        bias = self.relative_position_bias_table[self.positions].permute(2, 0, 1)
        logits, values = [], []
        for x, qkv in zip(maps, self.qkv, strict=True):
            query, key, value = qkv(x).view(batch, windows, area, 3, HEADS, -1).permute(3, 0, 1, 4, 2, 5)
            score = query * query.shape[-1] ** -0.5 @ key.mT + bias
            logits.append(score if mask is None else score + mask[:, None])
            values.append(value)
        difference = logits[1] - logits[0]
        logits[0] = logits[0] + difference * self.mix(difference.flatten(0, 1)).sigmoid().view_as(difference)
        return [(a.softmax(-1) @ v).transpose(2, 3).reshape_as(x) for a, v, x in zip(logits, values, maps, strict=True)]

    def _kept(self, branch: Tensor) -> Tensor:
        """In training leave the branch out of some images and strengthen it in the others (stochastic depth)."""
        if not self.training or self.drop == 0:
            return branch
        keep = torch.rand(len(branch), 1, 1, 1, device=branch.device) >= self.drop
        return branch * keep.to(branch.dtype) / (1 - self.drop)


class DualDenseBlock(nn.Module):
    """Five dense layers of both streams and a convolution of all their outputs, added to the input."""

    def __init__(self, drops: list[float]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(JointAttention(WIDTH + GROWTH * i, bool(i % 2), drop) for i, drop in enumerate(drops))
        self.join = nn.ModuleList(convolution(WIDTH + GROWTH * DENSE, WIDTH) for _ in STREAMS)

    def forward(self, maps: Pair, mask: Tensor) -> Pair:
        """Map both streams (B, 96, H, W) to the same shape."""
        stacks = maps
        for layer in self.layers:
            stacks = [torch.cat(pair, 1) for pair in zip(stacks, layer(stacks, mask), strict=True)]
        return [x + conv(stack) for x, conv, stack in zip(maps, self.join, stacks, strict=True)]


class LeakyResidual(nn.Module):
    """The sum x + conv(LReLU(conv(x))), 3x3."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(WIDTH, WIDTH), nn.LeakyReLU(0.1), convolution(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 96, H, W) to the same shape."""
        return x + self.stem(x)


class DynamicFusion(nn.Module):
    """Filter SAR features by kernels per pixel and channel, let them correct the optical ones, and these the SAR ones."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Sequential(
            convolution(2 * WIDTH, WIDTH),
            nn.LeakyReLU(0.1),
            LeakyResidual(),
            LeakyResidual(),
            nn.Conv2d(WIDTH, TAPS**2 * WIDTH, 1),
            nn.LeakyReLU(0.1),
        )
        self.to_optical = nn.Conv2d(WIDTH, WIDTH, 1)
        self.to_sar = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, maps: Pair) -> Pair:
        """Map both streams (B, 96, H, W) to the same shape."""
        optical, sar = maps
        filtered = dynamic_filter(sar, self.kernel(torch.cat(maps, 1)))
        optical = optical + (filtered - optical) * self.to_optical(filtered - optical).sigmoid()
        difference = optical - filtered
        return [optical, sar + difference * self.to_sar(difference).sigmoid()]


def dynamic_filter(x: Tensor, kernel: Tensor) -> Tensor:
    """Correlate every pixel of x (B, C, H, W) with its own 5x5 kernels (B, 25 C, H, W), taps of a channel adjacent."""
    height, width = x.shape[-2:]
    taps = kernel.unflatten(1, (x.shape[1], -1)).unbind(2)
    wide = functional.pad(x, (TAPS // 2,) * 4, mode="replicate")
    total = torch.zeros_like(x)
    for tap, weight in enumerate(taps):
        row, column = divmod(tap, TAPS)
        total = torch.addcmul(total, wide[..., row : row + height, column : column + width], weight)
    return total


def _official() -> dict[str, str]:
    names = {"gather.0": "GFF.0", "gather.1": "GFF.1", "restore.0": "UPNet.0", "restore.2": "UPNet.2"}
    for s, suffix in enumerate(STREAMS):
        names |= {f"first.{s}": f"SFENet1{suffix}", f"second.{s}": f"SFENet2{suffix}"}
        names |= {f"stages.{k}.join.{s}": f"RDBs.{k}.LFF{suffix}" for k in range(STAGES)}
    for k in range(STAGES):
        inner = {"0": "0.0", "2.stem.0": "1.stem.0", "2.stem.2": "1.stem.2", "3.stem.0": "2.stem.0", "3.stem.2": "2.stem.2"}
        names |= {f"fusions.{k}.kernel.{own}": f"DF.{k}.fac_warp.{theirs}" for own, theirs in (inner | {"4": "3.0"}).items()}
        names |= {f"fusions.{k}.to_optical": f"sar_fuse_1x1conv.{k}", f"fusions.{k}.to_sar": f"opt_distribute_1x1conv.{k}"}
        for c in range(DENSE):
            names |= _official_layer(f"stages.{k}.layers.{c}", f"RDBs.{k}.convs.{c}")
    return names


def _official_layer(own: str, theirs: str) -> dict[str, str]:
    names = {own: f"{theirs}.attn", f"{own}.mix": f"{theirs}.attn.attn_fuse_1x1conv"}
    for s, suffix in enumerate(STREAMS):
        names |= {f"{own}.conv.{s}": f"{theirs}.conv{suffix}.0", f"{own}.norm.{s}": f"{theirs}.norm2{suffix}"}
        names |= {f"{own}.{name}.{s}": f"{theirs}.attn.{name}{suffix}" for name in ("qkv", "proj")}
        names |= {f"{own}.mlp.{s}.{2 * i}": f"{theirs}.mlp{suffix}.fc{i + 1}" for i in range(2)}
    return names


@register(
    tasks={"sar"},
    title="GLF-CR",
    year=2022,
    paper="Xu, Shi, Ebel, Yu, Xia, Yang, Zhu, ISPRS Journal of Photogrammetry and Remote Sensing 192, 2022",
    doi="10.1016/j.isprsjprs.2022.08.002",
    licence="none stated (xufangchn/GLF-CR); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula",
    inferred=(
        "the mask of shifted windows is built for every image size, not for the training crop",
        "sizes that are no multiple of 16: replicated at the lower and right border, then cropped",
        "sensors other than Sentinel-2: as many input and output bands as the sensor has",
    ),
)
class GLFCR(OfficialNetwork):
    """Two streams at half scale that exchange attention globally and filter kernels locally, six times over.

    Published training: mean absolute error, Adam at 1e-4, halved every 5 epochs, 30 epochs, random crops of 128 pixels.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = _official()

    idle = ("fusions.5.to_sar.",)
    recipe = Recipe("l1", 1e-4, 1, 30, schedule="every", every=5, gamma=0.5)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 2) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        cells = FACTOR**2
        inputs = (sensor.count, guide_bands)
        self.first = nn.ModuleList(convolution(cells * bands, WIDTH, 5) for bands in inputs)
        self.second = nn.ModuleList(convolution(WIDTH, WIDTH) for _ in inputs)
        drops: list[list[float]] = torch.linspace(0, DROP, STAGES * DENSE).view(STAGES, DENSE).tolist()
        self.stages = nn.ModuleList(DualDenseBlock(rates) for rates in drops)
        self.fusions = nn.ModuleList(DynamicFusion() for _ in range(STAGES))
        self.gather = nn.Sequential(nn.Conv2d(STAGES * WIDTH, WIDTH, 1), convolution(WIDTH, WIDTH))
        self.restore = nn.Sequential(convolution(WIDTH, 64 * cells), nn.PixelShuffle(FACTOR), convolution(64, sensor.count))

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Load a released state dictionary, less the indices and masks that are built here for every size."""
        built = ("relative_position_index", "attn_mask")
        super().load_official({name: value for name, value in state.items() if not name.endswith(built)})

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to the cloudy image lms what both streams restore."""
        height, width = lms.shape[-2:]
        step = FACTOR * WINDOW
        padded = [functional.pad(x, (0, -width % step, 0, -height % step), mode="replicate") for x in (lms, guide)]
        return lms + self._restore(padded)[..., :height, :width]

    def _restore(self, images: Pair) -> Tensor:
        shallow = [conv(functional.pixel_unshuffle(x, FACTOR)) for conv, x in zip(self.first, images, strict=True)]
        maps = [conv(x) for conv, x in zip(self.second, shallow, strict=True)]
        height, width = maps[0].shape[-2:]
        mask = shift_mask(height, width, WINDOW, WINDOW // 2, like=maps[0])
        kept = []
        for stage, fusion in zip(self.stages, self.fusions, strict=True):
            maps = fusion(stage(maps, mask))
            kept.append(maps[0])
        return self.restore(shallow[0] + self.gather(torch.cat(kept, 1)))
