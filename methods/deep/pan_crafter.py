"""PAN-Crafter: local cross-modal attention that learns to restore either image (Do, Kim, Youk, Lee, Kim, ICCV 2025)."""

from __future__ import annotations

from itertools import chain
from math import gcd
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import bicubic
from waldbench.methods.deep._layers import convolution
from waldbench.methods.deep._naming import RenamedNetwork, Renames
from waldbench.methods.deep._parts import in_parts, rows_per_part
from waldbench.methods.recipes import Recipe

WIDTH, GROUPS, HEADS, TAPS, LEVELS = 128, 32, 8, 9, 3
HEAD = WIDTH // HEADS
DROP = 0.2
READINGS = ("released", "repaired")
# Standard deviation in pixels and taps of the low-pass filter before the guide is decimated by 4.
DEVIATION, SUPPORT = 1.98, 41


def decimated(guide: Tensor, ratio: int) -> Tensor:
    """The guide (B, G, H, W) at the size of ms: Gaussian low-pass with replicated border, then every ratio-th pixel."""
    half = SUPPORT // 2
    place = torch.arange(-half, half + 1, device=guide.device, dtype=guide.dtype)
    kernel = torch.exp(-((place / (DEVIATION * ratio / 4)) ** 2) / 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    x = functional.pad(guide.flatten(0, 1)[:, None], (half,) * 4, mode="replicate")
    x = functional.conv2d(functional.conv2d(x, kernel), kernel.mT)
    return x.view_as(guide)[..., ratio // 2 :: ratio, ratio // 2 :: ratio]


class ModulatedBlock(nn.Module):
    """A residual block whose second normalisation is scaled and shifted by a code."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.GroupNorm(GROUPS, inputs), nn.SiLU(), convolution(inputs, WIDTH))
        self.code = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 2 * WIDTH))
        last = convolution(WIDTH, WIDTH)
        self.leave = nn.Sequential(nn.GroupNorm(GROUPS, WIDTH), nn.SiLU(), nn.Dropout(DROP), last)
        self.shortcut = nn.Identity() if inputs == WIDTH else nn.Conv2d(inputs, WIDTH, 1)
        zero_(self.code[1], last)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) and the code (128,) to (B, 128, H, W)."""
        gain, offset = self.code(code).view(2, WIDTH, 1, 1)
        y = self.leave[0](self.enter(x)) * (1 + gain) + offset
        return self.shortcut(x) + self.leave[1:](y)


def zero_(*layers: nn.Module) -> None:
    """Start layers at zero."""
    for parameter in chain.from_iterable(layer.parameters() for layer in layers):
        nn.init.zeros_(parameter)


class LocalAttention(nn.Module):
    """Attention of every pixel to nine candidates in the guide and nine in the image, 3x3 windows seen by one shared convolution.

    Args:
        bands: of the image.
        guide_bands: channels of the guide.
        size: of the convolutions that make queries, keys and values.
        repaired: whether keys are what they are named after; if not, as in the released code, the guide is asked with the image's
            keys, and the image with its own keys read in a wrong order.
    """

    def __init__(self, bands: int, guide_bands: int, size: int, repaired: bool) -> None:
        super().__init__()
        self.repaired = repaired
        self.window = convolution(HEAD, TAPS * HEAD, groups=HEAD)
        self.query = convolution(WIDTH + bands, WIDTH, size)
        self.key_guide = convolution(WIDTH + guide_bands, WIDTH, size)
        self.value_guide = convolution(WIDTH + 3 * guide_bands, WIDTH, size)
        self.image = convolution(WIDTH + bands, 2 * WIDTH, size)
        self.leave_guide, self.leave_image = nn.Conv2d(WIDTH, WIDTH, 1), nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x: Tensor, ms: Tensor, low: Tensor, guide: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """What image and guide have to say to x (B, 128, H, W): two maps of that shape.

        `ms`, the low-resolution guide `low`, `guide`, and the image that is `wanted` are resized to H x W.
        """
        query = self.query(torch.cat([x, wanted], 1)) * HEAD**-0.5
        value_guide = self.value_guide(torch.cat([x, low, guide, guide - low], 1))
        key, value = self.image(torch.cat([x, ms], 1)).chunk(2, 1)
        if self.repaired:
            key_guide = self.key_guide(torch.cat([x, low], 1))
        else:
            # The memory of every head in the order W, 16, H, taken for 16, H, W.
            key_guide, key = key, key.unflatten(1, (HEADS, HEAD)).permute(0, 1, 4, 2, 3).reshape(key.shape)
        return self.leave_image(self._attend(query, key, value)), self.leave_guide(self._attend(query, key_guide, value_guide))

    def _attend(self, *maps: Tensor) -> Tensor:
        """Query, key and value (B, 128, H, W) to one map of that shape, some heads at a time."""
        heads = [part.reshape(-1, HEAD, *part.shape[2:]) for part in maps]
        count = rows_per_part(TAPS * heads[0][0].numel(), heads[0].device)
        found = in_parts(self._attend_heads, list(zip(*(part.split(count) for part in heads), strict=True)))
        return torch.cat(found).view(maps[0].shape)

    def _attend_heads(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        keys, values = (self.window(part).unflatten(1, (HEAD, TAPS)) for part in (key, value))
        weights = (query[:, :, None] * keys).sum(1, keepdim=True).softmax(2)
        return (weights * values).sum(2)


class CrossModalBlock(nn.Module):
    """CM3A: local attention to image and guide, each in the share that the code asks for, then two layers per pixel."""

    def __init__(self, bands: int, guide_bands: int, size: int, repaired: bool) -> None:
        super().__init__()
        self.attention = LocalAttention(bands, guide_bands, size, repaired)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(approximate="tanh"), nn.Linear(4 * WIDTH, WIDTH))
        self.shares = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 2 * WIDTH))
        zero_(self.shares[1])

    def forward(self, x: Tensor, code: Tensor, images: list[Tensor]) -> Tensor:
        """Map x (B, 128, H, W), the code (128,) and the images of the attention, of any size, to the shape of x."""
        images = [bicubic(image, x.shape[2:]) for image in images]
        share_image, share_guide = self.shares(code).view(2, WIDTH, 1, 1)
        of_image, of_guide = self.attention(normalised(x).permute(0, 3, 1, 2), *images)
        x = x + share_image * of_image + share_guide * of_guide
        return x + self.mlp(normalised(x)).permute(0, 3, 1, 2)


def normalised(x: Tensor) -> Tensor:
    """Every pixel of x (B, C, H, W) with mean 0 and variance 1, channels last (B, H, W, C)."""
    return functional.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], eps=1e-6)


@register(
    tasks={"ms", "hs"},
    title="PAN-Crafter",
    year=2025,
    paper="Do, Kim, Youk, Lee, Kim, ICCV 2025; arXiv:2505.23367",
    licence="MIT headers and a non-commercial clause (KAIST-VICLab/PAN-Crafter); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula, as released, repaired, and in both modes",
    inferred=(
        "the published gain was not reproduced: a third party's training of the release came out level with CANNet",
        "the released code is not the network of the paper's table: that has 7.17 M parameters and half of the products",
        "the released code asks the guide with the image's keys, and the image with keys read in a wrong order (`reading`)",
        "the keys that the released code makes and drops are not made: 4 % fewer multiplications",
        "the guide at the size of ms comes from the authors' files: here a Gaussian of 1.98 pixels, then every 4th pixel from "
        "the third, which a third party found to agree with most of them; other ratios scale it",
        "the loss of the guide's mode compares with the guide in every band, in equal share: how it is weighed was inferred",
        "sides that are no multiple of 8: replicated at the lower and right border, then cropped",
        "guide of two bands: every layer that sees the guide takes both",
    ),
)
class PANCrafter(RenamedNetwork):
    """A U-shaped network over four scales that restores the image, or the guide, from both by local attention between them.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        reading: "released", with the mixed-up keys of the code, or "repaired".
    """

    # The released reading computes these keys from another layer; only the repaired one uses them.
    idle = tuple(f"blocks.{number}.attention.key_guide." for number in range(2 * LEVELS + 1))
    recipe = Recipe(
        "L1 of the image + L1 of the guide, between -1 and 1",
        1e-4,
        48,
        247,
        schedule="one-cycle",
        warmup=0.002,
        notes=(
            "published: 50,000 steps of AdamW with weight decay 0.01, here Adam without decay over as many steps of WV3",
            "published crops are resized back to the patch; the release takes the best checkpoint on the test images",
        ),
    )
    renames: ClassVar[Renames] = (
        (r"^tokens$", "s_token"),
        (r"^head\.", "input."),
        (r"^tail\.", "output."),
        *((rf"^{ours}s\.{i}\.", f"{ours}{i + 1}.") for ours in ("encoder", "down") for i in range(LEVELS)),
        *((rf"^{ours}s\.{i}\.", f"{ours}{LEVELS - i}.") for ours in ("decoder", "up") for i in range(LEVELS)),
        (r"^(down|up)(\d)\.", r"\1\2.conv."),
        *((rf"^blocks\.{i}\.", f"cond{name}.") for i, name in enumerate(("2_e", "3_e", "4", "3_d", "2_d"))),
        (r"\.enter\.", ".in_layers."),
        (r"\.code\.", ".emb_layers."),
        (r"\.leave\.", ".out_layers."),
        (r"\.shortcut\.", ".skip_connection."),
        (r"\.shares\.", ".adaLN_modulation."),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.2\.", ".mlp.fc2."),
        (r"\.attention\.", ".attn."),
        *(
            (rf"\.attn\.{ours}\.", f".attn.{theirs}.")
            for ours, theirs in (
                ("window", "dep_conv"),
                ("query", "q"),
                ("key_guide", "k_pan"),
                ("value_guide", "v_pan"),
                ("image", "kv_ms"),
                ("leave_guide", "proj_pan"),
                ("leave_image", "proj_ms"),
            )
        ),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, reading: str = "released") -> None:
        if reading not in READINGS:
            raise ValueError(f"reading: expected one of {', '.join(READINGS)}, got '{reading}'")
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        repaired = reading == "repaired"

        def pair(inputs: int = WIDTH) -> nn.ModuleList:
            return nn.ModuleList([ModulatedBlock(inputs), ModulatedBlock(WIDTH)])

        self.tokens = nn.Parameter(0.02 * torch.randn(2, WIDTH))
        self.head = convolution(sensor.count + 3 * guide_bands, WIDTH)
        self.encoders, self.middle = nn.ModuleList(pair() for _ in range(LEVELS)), pair()
        self.decoders = nn.ModuleList(pair(2 * WIDTH) for _ in range(LEVELS))
        self.downs = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1) for _ in range(LEVELS))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(WIDTH, WIDTH, 2, stride=2) for _ in range(LEVELS))
        sizes = (3, 3, 1, 3, 3)
        self.blocks = nn.ModuleList(CrossModalBlock(sensor.count, guide_bands, size, repaired) for size in sizes)
        last = convolution(WIDTH, sensor.count)
        self.tail = nn.Sequential(nn.GroupNorm(GROUPS, WIDTH), nn.SiLU(), last)
        zero_(last)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Restore the image; lms is not used."""
        return (self._restore(ms, guide, of_image=True) + 1) / 2

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Mean absolute errors of the image and of the guide in every band, both between -1 and 1."""
        image, other = (self._restore(ms, guide, of_image=mode) for mode in (True, False))
        wanted = (2 * guide - 1).mean(1, keepdim=True).expand_as(other)
        return functional.l1_loss(image, 2 * gt - 1) + functional.l1_loss(other, wanted)

    def _restore(self, ms: Tensor, guide: Tensor, of_image: bool) -> Tensor:
        """The image, or the guide in every band, between -1 and 1."""
        height, width = guide.shape[-2:]
        step = 2**LEVELS // gcd(2**LEVELS, self.ratio)
        rows, columns = (-side % step for side in ms.shape[-2:])
        images = []
        for x, scale in ((ms, 1), (decimated(guide, self.ratio), 1), (guide, self.ratio)):
            images.append(functional.pad(2 * x - 1, (0, columns * scale, 0, rows * scale), mode="replicate"))
        start = images[0] if of_image else images[1].mean(1, keepdim=True).expand_as(images[0])
        found = self.details(images[0], images[1], images[2], of_image) + bicubic(start, images[2].shape[2:])
        return found[..., :height, :width]

    def details(self, ms: Tensor, low: Tensor, guide: Tensor, of_image: bool = True) -> Tensor:
        """The output (B, C, H, W) before the skip, for ms, guide at its size, and guide, all between -1 and 1; sides of 8 n."""
        code = self.tokens[int(of_image)]
        image, coarse = (bicubic(x, guide.shape[2:]) for x in (ms, low))
        wanted = ms if of_image else low.mean(1, keepdim=True).expand_as(ms)
        sources = [ms, low, guide, wanted]
        x = _through(self.encoders[0], self.head(torch.cat([guide, image, coarse, guide - coarse], 1)), code)
        skips = [x]
        pairs = [*self.encoders[1:], self.middle]
        for down, pair, block in zip(self.downs, pairs, self.blocks[:LEVELS], strict=True):
            x = block(_through(pair, down(x), code), code, sources)
            skips.append(x)
        skips.pop()
        for number, (up, blocks) in enumerate(zip(self.ups, self.decoders, strict=True)):
            x = _through(blocks, torch.cat([up(x), skips.pop()], 1), code)
            if skips:
                x = self.blocks[LEVELS + number](x, code, sources)
        return self.tail(x)


def _through(blocks: Any, x: Tensor, code: Tensor) -> Tensor:
    """One block after the other."""
    for block in blocks:
        x = block(x, code)
    return x
