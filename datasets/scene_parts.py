"""How a user's scene is divided into parts for training, validation and test that do not touch."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from torch import Tensor

# Pixels of the ground truth between the parts of a scene on which networks train, are validated and are tested.
MARGIN = 16
# Rows at the bottom of the training part that serve for validation, as a share of the height.
VALID_SHARE = 0.15
# A test part narrower than this (pixels of the ground truth), or fewer patches, and the whole scene is tested instead.
TEST_WIDTH = 96
TRAIN_PATCHES = 4


@dataclass(frozen=True)
class Window:
    """Rows and columns in pixels of the low-resolution image of the reduced pair."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: Tensor, scale: int) -> Tensor:
        """Cut from an image of `scale` times the resolution."""
        rows = slice(self.top * scale, (self.top + self.height) * scale)
        return image[..., rows, self.left * scale : (self.left + self.width) * scale]


@dataclass(frozen=True)
class Parts:
    """Windows that do not touch: train and valid on the left, test on the right; or `reason` why there is only test."""

    test: Window
    train: Window | None = None
    valid: Window | None = None
    reason: str = ""


def divide(height: int, width: int, ratio: int, holdout: float, patch: int) -> Parts:
    """Divide an image of height x width low-resolution pixels; see `UserScene` for the rule."""
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
    """Distance of two training patches: half their side."""
    return max(1, side // 2)


def _too_small(why: str) -> str:
    return f"scene too small to train on: {why}; the whole scene is tested"
