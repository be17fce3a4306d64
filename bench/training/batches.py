"""Training batches as a pure function of (seed, step), read ahead in a thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from waldbench.bench.errors import UsageError
from waldbench.bench.protocol import Protocol
from waldbench.datasets.base import DatasetError, Split
from waldbench.imaging import Scene

# Splits that need no more than this stay in memory; larger ones are read batch by batch, ahead of the training.
MEMORY_BYTES = 4 * 2**30
AHEAD = 4
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
Draw = tuple[int, ...]


class Batches:
    """Batches (ms, lms, guide, gt) of one training.

    Args:
        split: training patches.
        protocol: batch and patch size, augmentation, number of images.
        seed: of order, crops and augmentation.
        ratio: of the sensor; crops start on the low-resolution grid.
        size: patches per step; None: the protocol's.
        part: (number, count): this process takes every count-th patch of each batch, from that number on.
        pin: give batches in pinned memory, from which a GPU copies while it computes.

    Raises:
        DatasetError: if there is nothing to train on, or a stored patch is smaller than the protocol's.
        UsageError: if a batch cannot be dealt out evenly.
    """

    def __init__(
        self,
        split: Split,
        protocol: Protocol,
        seed: int,
        ratio: int,
        size: int | None = None,
        part: tuple[int, int] = (0, 1),
        pin: bool = False,
    ) -> None:
        self.images = min(len(split), protocol.train_images or len(split))
        if self.images == 0:
            raise DatasetError("this dataset has no training images; evaluate methods without training, or give --weights")
        self.split, self.protocol, self.seed, self.ratio = split, protocol, seed, ratio
        self.size, self.part, self.pin = min(size or protocol.batch, self.images), part, pin
        if self.size % part[1]:
            raise UsageError(f"a batch of {self.size} patches cannot be dealt out to {part[1]} processes; use a multiple of them")
        self.per_epoch = max(self.images // self.size, 1)
        first = split[0]
        self.side = tuple(first.guide.shape[-2:])
        # A patch starts and ends on the low-resolution grid: at ratio 6, 30 of 32 pixels.
        if min(self.side) < protocol.patch // ratio * ratio or protocol.patch < ratio:
            raise DatasetError(
                f"protocol '{protocol.name}' asks for {protocol.patch}-pixel patches (at least the ratio {ratio}); "
                f"stored: {self.side}"
            )
        held = sum(image.nbytes for image in first.images().values()) * self.images
        self.memory: Scene | None = replace(split[: self.images], name=()) if held <= MEMORY_BYTES else None

    def batch(self, step: int) -> Batch:
        """This process's part of the batch of a 0-based step."""
        epoch, position = divmod(step, self.per_epoch)
        order = torch.randperm(self.images, generator=_generator(self.seed, 0, epoch))
        draws = self._draws(_generator(self.seed, 1, step))
        mine = slice(self.part[0], None, self.part[1])
        chosen = order[position * self.size : (position + 1) * self.size][mine].tolist()
        scene = self.split[chosen] if self.memory is None else self.memory.map(lambda image: image[chosen])
        if scene.gt is None:
            raise DatasetError("training images need a ground truth; this split has none")
        images = (scene.ms, scene.lms, scene.guide, scene.gt)
        parts = [self._cut([image[i] for image in images], draw) for i, draw in enumerate(draws[mine])]
        ms, lms, guide, gt = (self._stack(members) for members in zip(*parts, strict=True))
        return ms, lms, guide, gt

    def _stack(self, images: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(images))
        return stacked.pin_memory() if self.pin else stacked

    def _draws(self, generator: torch.Generator) -> list[Draw]:
        """Place, quarter turns and mirror image of every patch of a batch, also of those of other processes."""
        side, r = self.protocol.patch // self.ratio, self.ratio
        limits = (*(length // r - side + 1 for length in self.side), 4, 2)
        return [tuple(int(torch.randint(limit, (), generator=generator)) for limit in limits) for _ in range(self.size)]

    def _cut(self, images: list[Tensor], draw: Draw) -> list[Tensor]:
        side, r = self.protocol.patch // self.ratio, self.ratio
        top, left, turn, flip = draw
        cut = []
        for number, image in enumerate(images):
            s = 1 if number == 0 else r
            window = image[:, top * s : (top + side) * s, left * s : (left + side) * s]
            window = torch.rot90(window, turn, (1, 2)) if self.protocol.rotations else window
            window = window.flip(2) if flip and self.protocol.flips else window
            cut.append(window)
        return cut

    @contextmanager
    def ahead(self, start: int, stop: int) -> Iterator[Iterator[Batch]]:
        """Iterate over the batches of steps start..stop-1 while a thread prepares the next ones."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            waiting: list[Future[Batch]] = []

            def stream() -> Iterator[Batch]:
                upcoming = iter(range(start, stop))
                for step in upcoming:
                    waiting.append(pool.submit(self.batch, step))
                    if len(waiting) > AHEAD:
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()

            try:
                yield stream()
            finally:
                for future in waiting:
                    future.cancel()


def _generator(*key: int) -> torch.Generator:
    seed = 0
    for number in key:
        seed = (seed * 1_000_003 + number + 1) % 2**63
    return torch.Generator().manual_seed(seed)
