"""The selective scan of state-space layers (Gu and Dao, arXiv:2312.00752) in plain torch, by chunks side by side.

    h_t = exp(delta_t A) h_{t-1} + x_t B_t,   y_t = sum over states of C_t h_t,   h before the first token 0

One token after the other would take L steps in Python. Here the L tokens are cut into about sqrt(L) chunks, and all chunks take
the same step together: once from zero for the state that each adds to the next, then, with the true first states, for the result.
That makes 2 sqrt(L) steps and 12 operations for every token, channel and state (two of them exponentials), against 7 one by one.
States stay in cache: nothing of size L x channels x states exists but in training, for one scan at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

Steps = tuple[Tensor, ...]


def selective_scan(x: Tensor, delta: Tensor, decay: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
    """Scan several independent groups of sequences, each group with its own decay.

    Args:
        x: what enters, delta times the input (G, B, L, D).
        delta: step sizes (G, B, L, D), positive.
        decay: A (G, D, N), negative.
        enter: B (G, B, L, N).
        leave: C (G, B, L, N).

    Returns:
        y (G, B, L, D), float32 or wider; computed so under autocast too.
    """
    # No matrix product inside, so autocast has nothing to lower there.
    exact = torch.promote_types(x.dtype, torch.float32)
    y: Tensor = _Scan.apply(*(part.to(exact) for part in (x, delta, decay, enter, leave)))
    return y


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, delta: Tensor, decay: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
        ctx.save_for_backward(x, delta, decay, enter, leave)
        steps, rate = _steps(x, delta, enter, leave), _rate(decay)
        states = _first_states(steps, rate, x.shape[1])
        out = torch.empty_like(steps[0])
        for x_t, delta_t, enter_t, leave_t, y_t in zip(*steps, out, strict=True):
            _advance(states, x_t, delta_t, enter_t, rate)
            torch.sum(states * leave_t, 0, out=y_t)
        return _joined(out, x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, delta, decay, enter, leave = ctx.saved_tensors
        batch, rate = x.shape[1], _rate(decay)
        steps = _steps(x, delta, enter, leave)
        (outer,) = _steps(grad)
        state = _first_states(steps, rate, batch)
        history = [state.clone()]
        for x_t, delta_t, enter_t in zip(*steps[:3], strict=True):
            _advance(state, x_t, delta_t, enter_t, rate)
            history.append(state.clone())
        # The gradient of a state runs backwards by the same recursion, with the decay of the token after it.
        adjoint = _last_adjoints(outer, steps, rate, batch)
        d_rate = torch.zeros_like(rate)
        found = [torch.empty_like(part) for part in steps]
        for t in reversed(range(len(outer))):
            x_t, delta_t, enter_t, leave_t = (part[t] for part in steps)
            adjoint.addcmul_(leave_t, outer[t])
            torch.sum(adjoint * enter_t, 0, out=found[0][t])
            torch.sum(adjoint * x_t, 3, keepdim=True, out=found[2][t])
            torch.sum(history.pop() * outer[t], 3, keepdim=True, out=found[3][t])
            adjoint *= torch.exp(delta_t * rate)
            through = adjoint * history[-1]
            torch.sum(through * rate, 0, out=found[1][t])
            d_rate += (through * delta_t).sum(2, keepdim=True)
        d_x, d_delta = (_joined(part, x.shape) for part in found[:2])
        d_enter, d_leave = (_joined(part[..., 0].movedim(1, 3), enter.shape) for part in found[2:])
        return d_x, d_delta, d_rate[:, :, 0].permute(1, 2, 0), d_enter, d_leave


def _rate(decay: Tensor) -> Tensor:
    """The decay (G, D, N) as (N, G, 1, D), in that order in memory, which every product with it inherits."""
    return decay.permute(2, 0, 1)[:, :, None].contiguous()


def _advance(states: Tensor, x: Tensor, delta: Tensor, enter: Tensor, rate: Tensor) -> None:
    """One step of all chunks in place: states (N, G, B K, D)."""
    states.mul_((delta * rate).exp_()).addcmul_(x, enter)


def _first_states(steps: Steps, rate: Tensor, batch: int) -> Tensor:
    """The states (N, G, B K, D) before the first token of every chunk."""
    x, delta, enter = steps[:3]
    states = x.new_zeros(len(rate), *x.shape[1:])
    for x_t, delta_t, enter_t in zip(x, delta, enter, strict=True):
        _advance(states, x_t, delta_t, enter_t, rate)
    return _carried(states, delta.sum(0), rate, batch, range)


def _last_adjoints(outer: Tensor, steps: Steps, rate: Tensor, batch: int) -> Tensor:
    """The gradients (N, G, B K, D) that reach the last state of every chunk from the chunks after it."""
    delta, leave = steps[1], steps[3]
    adjoints = torch.zeros_like(leave[0] * outer[0])
    for outer_t, delta_t, leave_t in zip(outer.flip(0), delta.flip(0), leave.flip(0), strict=True):
        adjoints.addcmul_(leave_t, outer_t).mul_((delta_t * rate).exp_())
    return _carried(adjoints, delta.sum(0), rate, batch, lambda count: reversed(range(count)))


def _carried(states: Tensor, duration: Tensor, rate: Tensor, batch: int, order: Any) -> Tensor:
    """What every chunk receives, in the `order` of chunks, from what each adds and how long it damps what it received."""
    if states.is_meta:
        return states
    states, decay = (part.unflatten(2, (batch, -1)) for part in (states, (duration * rate).exp_()))
    received = torch.empty_like(states)
    carry = torch.zeros_like(states[:, :, :, 0])
    chunks: Iterable[int] = order(states.shape[3])
    for k in chunks:
        received[:, :, :, k] = carry
        carry = carry * decay[:, :, :, k] + states[:, :, :, k]
    return received.flatten(2, 3)


def _steps(*tokens: Tensor) -> Steps:
    """Sequences (G, B, L, C) cut into chunks, step by step: the first two (T, G, B K, C), the others (T, C, G, B K, 1).

    Zeros after the last token change nothing: a step of size 0 keeps the state.
    """
    length = tokens[0].shape[2]
    # Where only shapes are followed, to count operations, one step of all tokens tells as much as many steps.
    size = 1 if tokens[0].is_meta else ceil(sqrt(length))
    found = []
    for number, part in enumerate(tokens):
        cut = functional.pad(part, (0, 0, 0, -length % size)).unflatten(2, (-1, size)).flatten(1, 2)
        order = cut.permute(2, 0, 1, 3) if number < 2 else cut.permute(2, 3, 0, 1)[..., None]
        found.append(order.contiguous())
    return tuple(found)


def _joined(steps: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_steps` for (T, G, B K, C): sequences (G, B, L, C)."""
    whole = steps.permute(1, 2, 0, 3).unflatten(1, (shape[1], -1)).flatten(2, 3)
    return whole[:, :, : shape[2]]
