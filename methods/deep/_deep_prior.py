"""Deep hyperspectral prior: an untrained hour-glass network fitted to one image (Ulyanov et al., 2018; Zheng et al., 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.imaging.filters import gaussian_kernel
from waldbench.methods.deep._layers import reflecting

WIDTH, SKIP, LEVELS = 128, 4, 5
LEARNING_RATE = 0.01
# Depth of the noise that enters.
NOISE = 0.1
# At the fifth level batch normalisation needs more than one pixel.
SMALLEST = 2 * 2**LEVELS


def _normalised(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.LeakyReLU(0.01))


class LanczosHalving(nn.Module):
    """Every second sample of the Lanczos-2 filtered sum of all channels, the same for every output channel.

    The published layer is a full convolution with one fixed kernel; its outputs are therefore equal before normalisation.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        place = torch.arange(-4.0, 5.0, dtype=torch.float64) / 2
        taps = torch.sinc(place) * torch.sinc(place / 2)
        self.register_buffer("kernel", (torch.outer(taps, taps) / taps.sum() ** 2)[None, None].float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H/2, W/2)."""
        wide = functional.pad(x.sum(1, keepdim=True), (4, 4, 4, 4), mode="replicate")
        return functional.conv2d(wide, self.kernel.to(x.dtype), stride=2).expand(-1, x.shape[1], -1, -1)


class HourGlass(nn.Module):
    """Five levels down and up with narrow skips; 2,254,916 trainable parameters for 8 bands."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.head = reflecting(bands, WIDTH)
        self.down = nn.ModuleList(
            nn.Sequential(LanczosHalving(), _normalised(WIDTH), reflecting(WIDTH, WIDTH), _normalised(WIDTH))
            for _ in range(LEVELS)
        )
        self.skip = nn.ModuleList(nn.Sequential(nn.Conv2d(WIDTH, SKIP, 1), _normalised(SKIP)) for _ in range(LEVELS))
        self.up = nn.ModuleList(
            nn.Sequential(
                reflecting(WIDTH + SKIP, WIDTH),
                _normalised(WIDTH),
                reflecting(WIDTH, WIDTH),
                _normalised(WIDTH),
                nn.Upsample(scale_factor=2, mode="bilinear"),
            )
            for _ in range(LEVELS)
        )
        self.tail = nn.Conv2d(WIDTH, bands, 1)

    def forward(self, noise: Tensor) -> Tensor:
        """Map noise (1, C, H, W) to an image of the same shape; H and W are multiples of 32, at least 64."""
        x, kept = self.head(noise), []
        for down, skip in zip(self.down, self.skip, strict=True):
            x = down(x)
            kept.append(skip(x))
        for up in self.up:
            x = up(torch.cat([x, kept.pop()], 1))
        return self.tail(x)


def fit_prior(ms: Tensor, size: tuple[int, int], sensor: Sensor, iterations: int, seed: int = 0) -> Tensor:
    """Fit the prior to every image alone: degraded by the sensor's MTF and decimated it must give ms (L1, Adam).

    Args:
        ms: low-resolution images (B, C, h, w), about [0, 1].
        size: height and width of the result.
        sensor: sensor of the images.
        iterations: steps of gradient descent for each image.
        seed: seed of the noise and of the network's initial weights.

    Returns:
        (B, C, *size), without gradient.
    """
    # The evaluation runs in inference mode, whose tensors cannot take part in the fit.
    with torch.inference_mode(False), torch.enable_grad():
        images = ms.detach().clone()
        return torch.cat([_fit(image[None], size, sensor, iterations, seed) for image in images])


class Degradation:
    """The sensor's MTF and decimation as one-dimensional convolutions that pass gradients.

    The two-dimensional kernel is a product of profiles up to 1e-5 of its peak.
    """

    def __init__(self, sensor: Sensor, like: Tensor) -> None:
        kernels = [gaussian_kernel(gain, sensor.ratio) for gain in sensor.mtf]
        profiles = torch.stack([kernel.sum(0) / kernel.sum().sqrt() for kernel in kernels]).to(like)
        self.columns, self.rows, self.ratio = profiles[:, None, None], profiles[:, None, :, None], sensor.ratio

    def __call__(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H / ratio, W / ratio), samples from ratio // 2 on, replicate borders."""
        reach, start = self.rows.shape[2] // 2, self.ratio // 2
        wide = functional.pad(x, (reach,) * 4, mode="replicate")[..., start:, start:]
        bands = x.shape[1]
        low = functional.conv2d(wide, self.rows, stride=(self.ratio, 1), groups=bands)
        low = functional.conv2d(low, self.columns, stride=(1, self.ratio), groups=bands)
        return low[..., : x.shape[-2] // self.ratio, : x.shape[-1] // self.ratio]


def _fit(ms: Tensor, size: tuple[int, int], sensor: Sensor, iterations: int, seed: int) -> Tensor:
    height, width = (max(SMALLEST, -(-side // 2**LEVELS) * 2**LEVELS) for side in size)
    devices = [ms.device] if ms.is_cuda else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        network = HourGlass(ms.shape[1]).to(ms)
        noise = NOISE * torch.rand(1, ms.shape[1], height, width).to(ms)
    degrade = Degradation(sensor, ms)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for _ in range(iterations):
        optimizer.zero_grad()
        image = network(noise)[..., : size[0], : size[1]]
        (degrade(image) - ms).abs().mean().backward()
        optimizer.step()
    with torch.no_grad():
        return network(noise)[..., : size[0], : size[1]].clone()
