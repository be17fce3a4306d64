"""When an image, a block or a band counts as flat: the one rule of the project.

What a filter leaves of a constant varies by rounding, so no test for an exact zero finds it. It is told from real variation by
its share of the power: filters in single precision leave at most 2e-14 of it (in double precision the 23 taps, which do not
quite sum to 2, leave 1e-19), and one count of 16 bits in a block of 32 x 32 pixels is 2.3e-13.
"""

from __future__ import annotations

from torch import Tensor

FLAT = 1e-13


def is_flat(scatter: Tensor, power: Tensor) -> Tensor:
    """Whether samples vary by rounding only; black ones, without any power, count as flat.

    Args:
        scatter: sum (or mean) of the squared deviations from the mean.
        power: sum (or mean) of the squares of the same samples, or of those that they were computed from.

    Returns:
        boolean tensor of the broadcast shape.
    """
    return scatter <= FLAT * power
