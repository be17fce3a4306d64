"""TRRNet: a transformer that keeps what both images share only once (Zhang, Li, Zhang, Wan, Sun, IEEE GRSL 19, 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.deep._released import RenamedNetwork
from waldbench.methods.deep._windows import join, partition, relative_positions, shift_mask
from waldbench.methods.recipes import Recipe

WIDTH, BLOCKS = 64, 4
WINDOW, SHIFT, HEADS, DEPTH, EXPANSION = 8, 4, 4, 32, 4
# Half scale in windows of 8.
STEP = 2 * WINDOW


class WindowAttention(nn.Module):
    """Attention among the tokens (B, windows, 64, C) of a window, one table of relative positions for all heads."""

    positions: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(2 * WINDOW - 1, 2 * WINDOW - 1))
        self.register_buffer("positions", relative_positions(WINDOW).T.contiguous(), persistent=False)
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * HEADS * DEPTH, bias=False)
        self.out = nn.Linear(HEADS * DEPTH, channels)

    def forward(self, tokens: Tensor, forbidden: Tensor) -> Tensor:
        """Map tokens to the same shape; forbidden (windows, 64, 64) marks the pairs that do not see each other."""
        batch, windows, area, _ = tokens.shape
        projected = self.project(self.norm(tokens)).view(batch, windows, area, 3, HEADS, DEPTH)
        query, key, value = projected.permute(3, 0, 1, 4, 2, 5)
        logits = query * DEPTH**-0.5 @ key.mT + self.table.flatten()[self.positions]
        weights = logits.masked_fill(forbidden[:, None], -torch.inf).softmax(-1)
        return self.out((weights @ value).transpose(2, 3).reshape(batch, windows, area, -1))


class Block(nn.Module):
    """Attention and a network on every token, each normalised before and added to what it saw."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = WindowAttention(channels)
        self.norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, EXPANSION * channels), nn.GELU(), nn.Linear(EXPANSION * channels, channels))

    def forward(self, tokens: Tensor, forbidden: Tensor) -> Tensor:
        """Map tokens (B, windows, 64, C) to the same shape."""
        tokens = tokens + self.attention(tokens, forbidden)
        return tokens + self.mlp(self.norm(tokens))


class Stage(nn.Module):
    """A linear map of every pixel and four blocks, all of them on windows shifted by 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(BLOCKS))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W), H and W multiples of 8, to the same shape."""
        height, width = x.shape[-2:]
        forbidden = shift_mask(height, width, WINDOW, SHIFT, like=x) < 0
        # The released blocks shift and unshift one by one; between two of them nothing else sees a pixel's neighbours.
        tokens = self.linear(partition(x.roll((-SHIFT, -SHIFT), (2, 3)), WINDOW))
        for block in self.blocks:
            tokens = block(tokens, forbidden)
        return join(tokens, height, width).roll((SHIFT, SHIFT), (2, 3))


def _convolutions(*channels: int) -> list[nn.Module]:
    return [layer for inputs, outputs in pairwise(channels) for layer in (convolution(inputs, outputs), nn.LeakyReLU(0.01))]


@register(
    tasks={"ms", "hs"},
    title="TRRNet",
    year=2022,
    paper="Zhang, Li, Zhang, Wan, Sun, IEEE GRSL 19, 2022",
    doi="10.1109/LGRS.2022.3186985",
    licence="Apache-2.0 (RSMagneto/TRRNet); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula; its 131,072 constants of masks are not counted "
    "as parameters here",
    inferred=(
        "band counts other than 4: the first and the last layer and the repetition of the guide widen",
        "several guide bands: their mean is repeated",
        "sizes that are no multiple of 16: replicated at the lower and right border, then cropped",
        "ratios other than 4: ms is repeated by the ratio",
        "the linear layers, too, start from Xavier's normal distribution; their biases keep torch's start",
        "published size (5.23 million parameters, 3.75 GFLOPs): not that of the code, 1.98 million",
    ),
)
class TRRNet(RenamedNetwork):
    """One encoder for the repeated ms and the guide; the decoder gets their own features and the mean of the common ones.

    The sigmoid at the end keeps the image in [0, scale]; lms is not used.
    """

    renamed: ClassVar = (
        (r"^encoder\.", "Encoder.Encoder."),
        (r"^decoder\.", "Decoder.Decoder."),
        (r"\.linear\.", ".patch_partition.linear."),
        *((rf"\.blocks\.{k}\.", f".layers.{k // 2}.{k % 2}.") for k in range(BLOCKS)),
        (r"\.mlp\.", ".mlp_block.fn.fn.net."),
        (r"(\d)\.norm\.", r"\1.mlp_block.fn.norm."),
        (r"\.attention\.norm\.", ".attention_block.fn.norm."),
        (r"\.attention\.", ".attention_block.fn.fn."),
        (r"\.table$", ".pos_embedding"),
        (r"\.project\.", ".to_qkv."),
        (r"\.out\.", ".to_out."),
    )

    recipe = Recipe(
        "0.1 (1 - SSIM) + 0.9 L1 + 0.1 L1 between the common features of both images",
        1e-4,
        16,
        300,
        schedule="every",
        every=100,
        gamma=0.5,
        notes=("the released code has two optimisers with these settings, one for the encoder, one for the decoder",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        encoder = _convolutions(sensor.count, 32, WIDTH, WIDTH, WIDTH)
        self.encoder = nn.Sequential(*encoder, nn.AvgPool2d(2), Stage(WIDTH), Stage(WIDTH))
        wide = 3 * WIDTH // 2
        enlarge = (nn.Upsample(scale_factor=2, mode="nearest"), *_convolutions(*[wide] * 5))
        self.decoder = nn.Sequential(Stage(wide), Stage(wide), *enlarge, convolution(wide, sensor.count), nn.Sigmoid())
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_normal_(layer.weight)
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Load a released state dictionary, less the masks, which are built here for every size."""
        masks = ("upper_lower_mask", "left_right_mask")
        super().load_official({name: value for name, value in state.items() if not name.endswith(masks)})

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Decode the features of ms and guide."""
        return self.features(ms, guide)[0]

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Structural similarity and absolute error of the image, and absolute error between the common features."""
        fused, of_image, of_guide = self.features(ms, guide)
        error = 0.1 * (1 - structural_similarity(fused, gt)) + 0.9 * functional.l1_loss(fused, gt)
        return error + 0.1 * functional.l1_loss(of_image, of_guide)

    def features(self, ms: Tensor, guide: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The image (B, C, H, W) and the common features of ms and of guide (B, 32, H / 2, W / 2, padded to windows)."""
        height, width = guide.shape[-2:]
        image = functional.interpolate(ms, size=(height, width), mode="nearest")
        repeated = guide.mean(1, keepdim=True).expand_as(image)
        border = (0, -width % STEP, 0, -height % STEP)
        padded = [fast_layout(functional.pad(x, border, mode="replicate")) for x in (image, repeated)]
        (own_image, common_image), (own_guide, common_guide) = (self.encoder(x).chunk(2, 1) for x in padded)
        joined = torch.cat([own_image, (common_image + common_guide) / 2, own_guide], 1)
        return self.decoder(joined)[..., :height, :width], common_image, common_guide


def structural_similarity(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM of images in [0, 1] (B, C, H, W), H and W at least 11: Gaussian windows of 11 pixels, all inside the image."""
    # Autocast's 8 bits would leave nothing of the variances.
    with torch.autocast(x.device.type, enabled=False):
        return _structural_similarity(x.to(y.dtype), y)


def _structural_similarity(x: Tensor, y: Tensor) -> Tensor:
    offsets = torch.arange(11, device=x.device, dtype=x.dtype) - 5
    line = (-offsets.square() / (2 * 1.5**2)).exp()
    kernel = torch.outer(line, line)[None, None] / line.sum().square()
    mean_x, mean_y, squares, products = (
        functional.conv2d(image.flatten(0, 1)[:, None], kernel) for image in (x, y, x.square() + y.square(), x * y)
    )
    light = (2 * mean_x * mean_y + 0.01**2) / (mean_x.square() + mean_y.square() + 0.01**2)
    variances = squares - mean_x.square() - mean_y.square()
    return (light * (2 * (products - mean_x * mean_y) + 0.03**2) / (variances + 0.03**2)).mean()
