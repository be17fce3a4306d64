"""Loading weights: our own safetensors, or an official checkpoint, never an arbitrary pickle."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from waldbench.bench.errors import UsageError
from waldbench.methods.base import Method


def load_weights(method: Method, path: Path) -> None:
    """Load a state dictionary into a method.

    Args:
        method: the network to fill.
        path: `.safetensors` written by a run, or a `.pth`/`.pt`/`.tar` checkpoint that holds tensors only.

    Raises:
        UsageError: if the file is missing, holds anything but tensors, or does not fit; the message lists missing keys,
            unexpected keys and differing shapes.
    """
    state, own = read_state(path), method.state_dict()
    official = getattr(method, "load_official", None)
    if official is not None and path.suffix != ".safetensors" and state.keys() != own.keys():
        try:
            official(state)
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
        return
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if own[key].shape != state[key].shape
    ]
    problems = [("missing", missing), ("unexpected", unexpected), ("wrong shape", shapes)]
    text = "; ".join(f"{label}: {', '.join(keys[:6])}{' ...' if len(keys) > 6 else ''}" for label, keys in problems if keys)
    if text:
        raise UsageError(f"{path} does not fit {type(method).__name__} for {method.sensor.title} ({text})")
    method.load_state_dict(state)


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file, by key."""
    if not path.is_file():
        raise UsageError(f"weights '{path}' not found; expected a .safetensors or .pth file")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        loaded: dict[str, Tensor] = load_file(path)
        return loaded
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UsageError(
            f"{path} is not a checkpoint of tensors only ({type(error).__name__}); it will not be unpickled"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UsageError(f"{path}: expected a dictionary of tensors, got {type(content).__name__}")
    return content
