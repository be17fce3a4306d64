"""PSRT: a pyramid of window attention with shuffled tiles (Deng, Deng, Wu, Ran, Hong, Vivone, IEEE TGRS, 2023)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork, damp_
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.deep._parts import in_parts, rows_per_part
from waldbench.methods.recipes import Recipe

WIDTH, HEADS, HIDDEN, BLOCKS = 32, 8, 128, 2
WINDOWS = (8, 4, 2)
# The released code multiplies the logits by the depth's factor 4 where transformers divide by its square root.
LOGIT_SCALE = 4.0
DAMPING = 0.2


class WindowAttention(nn.Module):
    """A transformer layer, attention and then two linear maps, inside windows of size x size pixels."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, 32), H and W multiples of the size, to the same shape; a few windows at a time."""
        batch, height, width, channels = x.shape
        size, area = self.size, self.size**2
        rows, columns = height // size, width // size
        tokens = x.view(batch, rows, size, columns, size, channels).transpose(2, 3).reshape(-1, area, channels)
        at_once = rows_per_part(area * max(HEADS * area, HIDDEN), x.device)
        tokens = torch.cat(in_parts(self._attend, [(part,) for part in tokens.split(at_once)]))
        return tokens.view(batch, rows, columns, size, size, channels).transpose(2, 3).reshape(x.shape)

    def _attend(self, tokens: Tensor) -> Tensor:
        query, key, value = self.qkv(self.norm1(tokens)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, scale=LOGIT_SCALE)
        tokens = tokens + self.proj(seen.transpose(1, 2).flatten(2))
        return tokens + self.fc2(functional.gelu(self.fc1(self.norm2(tokens))))


class WindowToWindow(nn.Module):
    """Three window attentions, the second on shuffled tiles of half the window, around a skip."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.tile = size // 2
        self.near, self.far, self.again = (WindowAttention(size) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, 32) to the same shape."""
        far = self.far(shuffle(self.near(x), self.tile))
        return self.again(unshuffle(far, self.tile)) + x


def shuffle(x: Tensor, tile: int) -> Tensor:
    """Gather even and odd tiles of x (B, H, W, C) into four quadrants; the pixels of a tile stay together."""
    batch, height, width, channels = x.shape
    cells = x.view(batch, height // tile // 2, 2, tile, width // tile // 2, 2, tile, channels)
    return cells.permute(0, 2, 1, 3, 5, 4, 6, 7).reshape(x.shape)


def unshuffle(x: Tensor, tile: int) -> Tensor:
    """Undo `shuffle`."""
    batch, height, width, channels = x.shape
    cells = x.view(batch, 2, height // tile // 2, tile, 2, width // tile // 2, tile, channels)
    return cells.permute(0, 2, 1, 3, 5, 4, 6, 7).reshape(x.shape)


def _official() -> dict[str, str]:
    names = {"head": "w.conv", "tail": "conv.0"}
    parts = {"norm1": "norm1", "qkv": "attn.qkv", "proj": "attn.proj", "norm2": "norm2", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
    for block in range(BLOCKS):
        for scale in range(len(WINDOWS)):
            for number, layer in enumerate(("near", "far", "again"), 1):
                own, theirs = f"pyramid.{3 * block + scale}.{layer}", f"w.layers.{block}.layers.{scale}.WA{number}"
                names |= {f"{own}.{part}": f"{theirs}.{name}" for part, name in parts.items()}
    return names


@register(
    tasks={"ms", "hs"},
    title="PSRT",
    year=2023,
    paper="Deng, Deng, Wu, Ran, Hong, Vivone, IEEE TGRS, 2023",
    doi="10.1109/TGRS.2023.3244750",
    licence="none stated (shangqideng/PSRT); written from a fact sheet, not from that code",
    faithful="equal to the released network with its published weights (CAVE, factor 4) and with weights given by a formula",
    inferred=(
        "published for hyperspectral and RGB images; here the guide takes the place of RGB in the first layer",
        "sizes that are no multiple of 8: replicated at the lower and right border, then cropped",
        "initial weights of the last convolution are divided by 64: six skips that double would start far from the image's range",
    ),
)
class PSRT(OfficialNetwork):
    """Two pyramids of attention in windows of 8, 4 and 2 pixels on stacked lms and guide; negative details are damped by 5.

    Published training: L1, AdamW at 1e-4, batches of 32, 2,000 epochs, gradients clipped at norm 10.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = _official()

    recipe = Recipe("l1", 1e-4, 32, 2_000, clip=10.0, notes=("AdamW's weight decay, 1e-4 times the learning rate, is left out",))

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.head = convolution(sensor.count + guide_bands, WIDTH)
        self.pyramid = nn.Sequential(*(WindowToWindow(size) for _ in range(BLOCKS) for size in WINDOWS))
        self.tail = convolution(WIDTH, sensor.count)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
            elif isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
        # Each skip doubles the features at the start, when attention adds next to nothing.
        damp_([self.tail], 2 ** len(self.pyramid))

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details that attention finds."""
        height, width = lms.shape[-2:]
        step = max(WINDOWS)
        x = functional.pad(torch.cat([lms, guide], 1), (0, -width % step, 0, -height % step), mode="replicate")
        x = self.pyramid(self.head(fast_layout(x)).permute(0, 2, 3, 1).contiguous()).permute(0, 3, 1, 2)
        return lms + functional.leaky_relu(self.tail(x), DAMPING)[..., :height, :width]
