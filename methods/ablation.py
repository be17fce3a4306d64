"""Methods with a part taken away, to see what it is worth."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from waldbench.methods.base import Method


def without_guide(method: Method) -> Method:
    """Give `method` a constant guide, in training and test alike: zero for PAN, the lowest backscatter for SAR.

    Size and cost stay what they were, so that the difference in accuracy is what the guide's content is worth. Classic methods
    divide by the guide's variance; the ablation is for networks.

    Returns:
        The same object; its weights keep their names.
    """
    method.register_forward_pre_hook(_blank)
    return method


def _blank(method: Any, images: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    ms, lms, guide = images
    limits = method.sensor.guide_range
    if limits is None:
        return ms, lms, guide.new_zeros(()).expand_as(guide).contiguous()
    lowest = guide.new_tensor([low for low, _ in limits])[:, None, None]
    return ms, lms, lowest.expand_as(guide).contiguous()
