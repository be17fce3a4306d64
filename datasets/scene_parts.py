"""Divides a user's scene into parts for training, validation and test that are separated by a margin."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from torch import Tensor

# Margin between the training, validation and test part of a scene, in pixels of the ground truth.
MARGIN = 16
# Share of the height whose rows, at the bottom of the training part, are used for validation.
VALID_SHARE = 0.15
# With a narrower test part (pixels of the ground truth) or fewer training patches the whole scene is tested instead.
TEST_WIDTH = 96
TRAIN_PATCHES = 4


@dataclass(frozen=True)
class Window:
    """A rectangle in pixels of the low-resolution image of the reduced pair."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: Tensor, scale: int) -> Tensor:
        """Cut the window from an image (..., H, W) of `scale` times the resolution."""
        rows = slice(self.top * scale, (self.top + self.height) * scale)
        return image[..., rows, self.left * scale : (self.left + self.width) * scale]


@dataclass(frozen=True)
class Parts:
    """Separated windows: train and valid on the left, test on the right; `reason` says why where there is only test."""

    test: Window
    train: Window | None = None
    valid: Window | None = None
    reason: str = ""


def divide(height: int, width: int, ratio: int, holdout: float, patch: int) -> Parts:
    """Divide a scene; `UserScene` describes the rule.

    Args:
        height: rows of the low-resolution image.
        width: columns of the low-resolution image.
        ratio: resolution ratio of the sensor.
        holdout: share of the width that is used for testing only.
        patch: side of a training patch in pixels of the ground truth.
    """
    whole = Window(0, 0, height, width)
    margin, side = ceil(MARGIN / ratio), ceil(patch / ratio)
    kept = int(holdout * width)
    if holdout == 0:
        return Parts(whole, reason="holdout is 0: the whole scene is tested")
    if kept * ratio < TEST_WIDTH:
        return Parts(whole, reason=_too_small(f"a test part of {kept * ratio} pixels; at least {TEST_WIDTH} are needed"))
    bottom = max(side, round(VALID_SHARE * height))
    train = Window(0, 0, height - bottom - margin, width - kept - margin)
    rows, columns = ((length - side) // stride(side) + 1 for length in (train.height, train.width))
    if min(train.height, train.width) < side or rows * columns < TRAIN_PATCHES:
        return Parts(
            whole, reason=_too_small(f"fewer than {TRAIN_PATCHES} training patches of {patch} pixels beside the test part")
        )
    valid = Window(height - bottom, 0, bottom, train.width)
    return Parts(Window(0, width - kept, height, kept), train, valid)


def stride(side: int) -> int:
    """Distance between neighbouring training patches: half their side."""
    return max(1, side // 2)


def _too_small(why: str) -> str:
    return f"scene too small to train on: {why}; the whole scene is tested"
