"""FusionMamba: state-space layers that fuse two streams over three scales (Peng, Zhu, Deng, Deng, Lei, IEEE TGRS 62, 2024)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import convolution
from waldbench.methods.deep._mamba import PATH_NAMES, ScanPath, scan
from waldbench.methods.deep._naming import RenamedNetwork, Renames
from waldbench.methods.deep._three_levels import STEP, WIDTH, WIDTHS, Up
from waldbench.methods.recipes import Recipe

STATES = 8


def rows_and_columns(x: Tensor) -> list[Tensor]:
    """Tokens (B, H W, C) of x (B, H, W, C) row by row, from the end, column by column, from the end."""
    rows, columns = x.flatten(1, 2), x.transpose(1, 2).flatten(1, 2)
    return [rows, rows.flip(1), columns, columns.flip(1)]


def to_and_fro(x: Tensor) -> list[Tensor]:
    """Tokens (B, L, C) from the beginning and from the end."""
    return [x, x.flip(1)]


def mean_of_images(found: Tensor, like: Tensor) -> Tensor:
    """The mean (B, H, W, C) of four sequences (4, B, H W, C) in the orders of `rows_and_columns`."""
    rows, back, columns, up = found
    total = (columns + up.flip(1)).unflatten(1, (like.shape[2], -1)).transpose(1, 2)
    return ((rows + back.flip(1)).view(like.shape) + total) / 4


def mean_of_sequences(found: Tensor, like: Tensor) -> Tensor:
    """The mean (B, L, C) of two sequences (2, B, L, C), the second from its end."""
    return (found[0] + found[1].flip(1)) / 2


class ScanLayer(nn.Module):
    """Scans of the same tokens in several directions, averaged, gated and normalised.

    Args:
        width: channels.
        image: whether tokens are pixels, scanned in four directions, or a sequence, scanned in two.
        cross: whether a second input steers the scans of the first.
    """

    def __init__(self, width: int, image: bool = True, cross: bool = False) -> None:
        super().__init__()
        self.order, self.mean = (rows_and_columns, mean_of_images) if image else (to_and_fro, mean_of_sequences)
        self.enter = nn.Linear(width, 2 * width, bias=False)
        self.steer = nn.Linear(width, width, bias=False) if cross else None
        self.paths = nn.ModuleList(ScanPath(width, STATES, width) for _ in range(4 if image else 2))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Map x (B, H, W, C), or a sequence (B, L, C), and the other input of the same shape to that shape."""
        tokens, gate = self.enter(x).chunk(2, -1)
        # One gate for all directions: it is reordered with the tokens and back.
        sources = [None] * len(self.paths) if self.steer is None else self.order(self.steer(other))
        found = self.mean(scan(self.paths, self.order(tokens), sources), tokens)
        return self.leave(self.norm(found * functional.silu(gate)))


class OwnScan(nn.Module):
    """x + layer(norm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layer = ScanLayer(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        return x + self.layer(self.norm(x))


class CrossScan(nn.Module):
    """x + layer(norm(x), steered by norm(other))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_own, self.norm_other = nn.LayerNorm(width), nn.LayerNorm(width)
        self.layer = ScanLayer(width, cross=True)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Map two inputs (B, H, W, C) to one."""
        return x + self.layer(self.norm_own(x), self.norm_other(other))


class FusionBlock(nn.Module):
    """Scan guide and image features each by itself, then each steered by the other; both move half-way to the common result."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.ModuleList([OwnScan(width), OwnScan(width)])
        self.cross = nn.ModuleList([CrossScan(width), CrossScan(width)])
        self.join = nn.Linear(width, width)

    def forward(self, guide: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map guide and image features (B, H, W, C) to the same shapes, and to the common result."""
        guide, image = self.own[0](guide), self.own[1](image)
        common = self.join((self.cross[0](guide, image) + self.cross[1](image, guide)) / 2)
        return (guide + common) / 2, (image + common) / 2, common


class SpectralGate(nn.Module):
    """A factor in (0, 1) for every band, from a scan along the bands of their largest low-resolution values."""

    def __init__(self) -> None:
        super().__init__()
        layers = nn.Linear(1, WIDTH), nn.LayerNorm(WIDTH), ScanLayer(WIDTH, image=False), nn.Linear(WIDTH, 1)
        self.block = nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, ms: Tensor) -> Tensor:
        """Factors (B, C, 1, 1) for ms (B, C, h, w)."""
        return self.block(ms.amax((2, 3))[..., None])[..., None]


def last(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C)."""
    return x.permute(0, 2, 3, 1)


def first(x: Tensor) -> Tensor:
    """(B, H, W, C) as (B, C, H, W)."""
    return x.permute(0, 3, 1, 2)


@register(
    tasks={"ms", "hs"},
    title="FusionMamba",
    year=2024,
    paper="Peng, Zhu, Deng, Deng, Lei, IEEE TGRS 62, 2024; arXiv:2404.07932",
    doi="10.1109/TGRS.2024.3496073",
    licence="none seen (PSRben/FusionMamba); written from a fact sheet, not from that code",
    faithful="equal to the released network, its CUDA scan replaced by the published definition, on shared weights given by a "
    "formula",
    inferred=(
        "images are fused in one piece; the authors cut them into tiles of 64 pixels, the length of the scans in training",
        "published multiplications leave out the scans: about 3 for every pixel, channel and state of a direction",
        "hyperspectral cubes: as many bands as the cube has; the release is about pansharpening",
        "ratios other than 4: the pixel shuffle enlarges by the ratio; sides that are no multiple of 4: replicated, then cropped",
        "guide of two bands: the first convolution of the guide takes both",
    ),
)
class FusionMamba(RenamedNetwork):
    """Guide and enlarged image, fused by scans in four directions over three scales; details times a gate per band, added."""

    recipe = Recipe(
        "l1",
        5e-4,
        32,
        500,
        schedule="every",
        every=200,
        gamma=0.5,
        notes=(
            "the paper's weights are those of epochs 400 to 420, with 1e-4 ERGAS in the loss as an option",
            "the release divides by 2047 for every sensor, GF2 too, and clamps test images to [0, 1]",
        ),
    )
    renames: ClassVar[Renames] = (
        *PATH_NAMES,
        (r"^enlarge\.", "upsample.upsamle.0."),
        (r"^head_guide\.", "raise_pan_dim.0."),
        (r"^head_image\.", "raise_ms_dim.0."),
        (r"^tail\.", "to_hrms."),
        (r"^gate\.", "spe_attn."),
        *((rf"^blocks\.{i}\.", f"stage{i}.fm.") for i in range(4)),
        (r"^blocks\.4\.", "stage4."),
        *((rf"^down\.{i}\.", f"stage{i}.sample.down.0.") for i in range(2)),
        *(
            (rf"^up\.{i}\.{ours}\.", f"stage{i + 2}.sample.{theirs}.")
            for i in range(2)
            for ours, theirs in (("enlarge", "up.0"), ("smooth", "conv.0"), ("mix", "conv.1"))
        ),
        *(
            (rf"\.{ours}\.{i}\.", f".{stream}{theirs}.")
            for i, stream in enumerate(("spa", "spe"))
            for ours, theirs in (("own", "_mamba_layers.0"), ("cross", "_cross_mamba"))
        ),
        (r"\.norm_own\.", ".norm0."),
        (r"\.norm_other\.", ".norm1."),
        (r"\.layer\.", ".block."),
        (r"\.join\.", ".out_proj."),
        (r"\.enter\.", ".in_proj."),
        (r"\.steer\.", ".in_proj_b."),
        (r"\.leave\.", ".out_proj."),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        self.enlarge = convolution(bands, self.ratio**2 * bands, bias=False)
        self.head_guide, self.head_image = convolution(guide_bands, WIDTH), convolution(bands, WIDTH)
        self.blocks = nn.ModuleList(FusionBlock(width) for width in WIDTHS)
        self.down = nn.ModuleList(nn.Conv2d(width, 2 * width, 2, stride=2) for width in WIDTHS[:2])
        self.up = nn.ModuleList(Up(width, bias=True) for width in WIDTHS[2:4])
        self.tail = nn.Sequential(convolution(WIDTH, WIDTH), nn.LeakyReLU(), convolution(WIDTH, bands))
        self.gate = SpectralGate()

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the gated details to the image that the network enlarges itself; lms is not used."""
        image = functional.pixel_shuffle(self.enlarge(ms), self.ratio)
        height, width = image.shape[-2:]
        padded = [functional.pad(x, (0, -width % STEP, 0, -height % STEP), mode="replicate") for x in (guide, image)]
        streams = [functional.leaky_relu(head(x)) for head, x in zip((self.head_guide, self.head_image), padded, strict=True)]
        details = self.tail(self._common(streams))[..., :height, :width]
        return details * self.gate(ms) + image

    def _common(self, streams: list[Tensor]) -> Tensor:
        """The common features (B, 32, H, W) of guide and image features of that shape."""
        skips = []
        for block, down in zip(self.blocks[:2], self.down, strict=True):
            streams = [first(x) for x in block(*map(last, streams))[:2]]
            skips.append(streams)
            streams = [functional.leaky_relu(down(x)) for x in streams]
        for block, up in zip(self.blocks[2:4], self.up, strict=True):
            found = block(*map(last, streams))[:2]
            streams = [up(first(x), skip) for x, skip in zip(found, skips.pop(), strict=True)]
        return first(self.blocks[4](*map(last, streams))[2])
