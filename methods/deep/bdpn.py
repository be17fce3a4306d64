"""BDPN: a two-way pyramid, the guide going down and the image going up (Zhang, Liu, Sun, Ou, IEEE TGRS 57(8), 2019)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import Network, register
from waldbench.methods.deep._blocks import PReLUResidualBlock, ShuffleUpscale, damp_, last_of_blocks, truncated_he_, two_scales
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH, BLOCKS, SLOPE = 64, 10, 0.2


@register(
    tasks={"ms", "hs"},
    title="BDPN",
    year=2019,
    paper="Zhang, Liu, Sun, Ou, IEEE TGRS 57(8), 2019",
    doi="10.1109/TGRS.2019.2900419",
    licence="GPL-3.0 (DLPan-Toolbox); written from a fact sheet, not from that code",
    faithful="equal to the DLPan-Toolbox network on shared weights given by a formula",
    inferred=(
        "unified recipe: trained with the final output only, without the loss on the half-scale image",
        "the toolbox starts near 1e4: initial weights that end a block or give details are divided by 10, upscaling ones by 2",
        "ratios other than 4: two pyramid steps that multiply to the ratio, 3 and 2 for 6, 1 and the ratio if it is odd",
        "several guide bands: the first convolution reads them all",
    ),
)
class BDPN(Network):
    """Guide details at two scales, added to ms as shuffles enlarge it step by step; lms is not used.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    idle = ("unused.",)
    recipe = Recipe(
        "Charbonnier (1e-6) at two scales: k half size + (1 - k) full size, k = 1 - 0.05 (epoch // 5), 0 after epoch 100",
        1e-4,
        8,
        1_000,
        weight_decay=1e-5,
        schedule="every",
        every=100,
        gamma=0.8,
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        coarse, self.fine = two_scales(sensor.ratio)
        self.head = convolution(guide_bands, WIDTH)
        self.fine_blocks = nn.Sequential(*(PReLUResidualBlock(WIDTH, SLOPE) for _ in range(BLOCKS)))
        self.coarse_blocks = nn.Sequential(*(PReLUResidualBlock(WIDTH, SLOPE) for _ in range(BLOCKS)))
        self.to_bands = convolution(WIDTH, sensor.count)
        self.coarse_upscale = ShuffleUpscale(sensor.count, coarse)
        self.fine_upscale = ShuffleUpscale(sensor.count, self.fine)
        # The released network counts this slope among its parameters and never uses it.
        self.unused = nn.PReLU(init=SLOPE)
        truncated_he_(self)
        damp_([*last_of_blocks(self), self.to_bands], 10)
        damp_([self.coarse_upscale.conv, self.fine_upscale.conv], 2)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Enlarge ms twice, each time adding the details of the guide at that scale."""
        return self.pyramid(ms, guide)[1]

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Charbonnier loss that moves from the intermediate image (reference thinned out) to the final one."""
        middle, fused = self.pyramid(ms, guide)
        share = 1 - 0.05 * (epoch // 5) if epoch <= 100 else 0.0
        return share * _charbonnier(middle, functional.interpolate(gt, middle.shape[-2:])) + (1 - share) * _charbonnier(fused, gt)

    def pyramid(self, ms: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """The intermediate image (B, C, H / 2, W / 2 at ratio 4) and the final one (B, C, H, W)."""
        features = self.head(fast_layout(guide))
        features = features + self.fine_blocks(features)
        pooled = functional.max_pool2d(features, self.fine)
        middle = self.coarse_upscale(ms) + self.to_bands(pooled + self.coarse_blocks(pooled))
        return middle, self.fine_upscale(middle) + self.to_bands(features)


def _charbonnier(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y).square() + 1e-6).sqrt().mean()
