"""State-space layers (Mamba: Gu and Dao, arXiv:2312.00752) that FusionMamba and Pan-Mamba share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, log
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.methods.deep._naming import Renames
from waldbench.methods.deep._selective_scan import selective_scan

# Tokens that the causal convolution sees.
KERNEL = 4
# Elements of sequences that are scanned side by side; longer ones take their turn, which needs less memory and no more time.
TOGETHER = 1 << 20
# Range of the first step sizes.
STEPS = (1e-3, 0.1)
# Names of a layer's paths in released weight files.
PATH_NAMES: Renames = tuple(
    (rf"\.paths\.{i}\.{ours}\b", f".{theirs}")
    for i, end in enumerate(("", "_b", "_c", "_d"))
    for ours, theirs in {
        "log_decay": f"A{end}_log",
        "skip": f"D{end}",
        "conv": f"conv1d{end}",
        "project": f"x_proj{end}",
        "step": f"dt_proj{end}",
    }.items()
)


class ScanPath(nn.Module):
    """One way through the tokens: a causal convolution, and a scan whose step, input and output depend on every token.

    Args:
        channels: of the tokens.
        states: numbers that each channel remembers.
        width: of the model, from which the rank of the step sizes follows.
    """

    def __init__(self, channels: int, states: int, width: int) -> None:
        super().__init__()
        self.rank, self.states = ceil(width / 16), states
        self.log_decay = nn.Parameter(torch.arange(1, states + 1).log().expand(channels, states).clone())
        self.skip = nn.Parameter(torch.ones(channels))
        self.conv = nn.Conv1d(channels, channels, KERNEL, groups=channels)
        self.project = nn.Linear(channels, self.rank + 2 * states, bias=False)
        self.step = nn.Linear(self.rank, channels)
        nn.init.uniform_(self.step.weight, -(self.rank**-0.5), self.rank**-0.5)
        first = torch.empty(channels).uniform_(log(STEPS[0]), log(STEPS[1])).exp()
        with torch.no_grad():
            self.step.bias.copy_(first.expm1().log())

    def convolve(self, tokens: Tensor) -> Tensor:
        """Tokens (B, L, C) as the scan sees them."""
        return functional.silu(self.conv(functional.pad(tokens.mT, (KERNEL - 1, 0)))).mT

    def parameters_of(self, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Step sizes (B, L, C), what enters and what leaves (B, L, N) for the tokens `source` (B, L, C)."""
        step, enter, leave = self.project(source).split((self.rank, self.states, self.states), 2)
        step = self.step(step)
        return functional.softplus(step.to(torch.promote_types(step.dtype, torch.float32))), enter, leave


def scan(paths: Iterable[Any], tokens: Sequence[Tensor], sources: Sequence[Tensor | None]) -> Tensor:
    """Send each of several token sequences (B, L, C) along its `ScanPath`; the results (G, B, L, C).

    A path takes its step sizes, inputs and outputs from its source (B, L, C), or, without one, from the convolved tokens.
    """
    ways = list(zip(paths, tokens, sources, strict=True))
    if len(ways) > 1 and sum(sequence.numel() for sequence in tokens) > TOGETHER:
        return torch.cat([scan([path], [sequence], [source]) for path, sequence, source in ways])
    inputs, steps, skips, decays = [], [], [], []
    for path, sequence, source in ways:
        seen = path.convolve(sequence)
        inputs.append(seen)
        steps.append(path.parameters_of(seen if source is None else source))
        skips.append(path.skip)
        decays.append(-path.log_decay.exp())
    stack, skip = torch.stack(inputs), torch.stack(skips)[:, None, None]
    delta, enter, leave = (torch.stack(parts) for parts in zip(*steps, strict=True))
    return selective_scan(delta * stack, delta, torch.stack(decays), enter, leave) + skip * stack
