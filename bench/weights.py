"""Weights from files: our own safetensors, or a checkpoint as people save them; never an arbitrary pickle."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from waldbench.bench.errors import UsageError

if TYPE_CHECKING:
    from waldbench.methods.base import Method

# Keys under which trainers keep the weights, the ones meant for use before the ones of the last step.
WRAPPERS: tuple[str, ...] = (
    "ema_state_dict",
    "state_dict_ema",
    "model_ema",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
)
WRAPPERS += ("generator", "netG", "params_ema", "params", "weights")
# What DataParallel, torch.compile, Lightning and others put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "generator.", "ema.", "ema_model.")
# A header of safetensors larger than this names no network; the format allows 100 MB.
HEADER_BYTES = 10 * 2**20
State = dict[str, Tensor]


def load_weights(method: Method, path: Path) -> list[str]:
    """Load a state dictionary into a method.

    Args:
        method: the network to fill.
        path: `.safetensors` written by a run, or a checkpoint (`.pth`, `.pt`, `.tar`, `.ckpt`) that holds tensors only; the
            dictionary may lie under "state_dict", "model" and their like, its names may begin with "module." and their like.

    Returns:
        Lines that say how the file was read where it is no plain state dictionary.

    Raises:
        UsageError: if the file is missing, damaged, holds anything but tensors, or does not fit; the message lists missing
            keys, unexpected keys and differing shapes.
    """
    own = method.state_dict()
    state, notes = unwrap(read_content(path), path, own)
    official = getattr(method, "load_official", None)
    if official is not None and path.suffix != ".safetensors" and state.keys() != own.keys():
        try:
            official(state)
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
        return notes
    text = _differences(state, own)
    if text:
        raise UsageError(f"{path} does not fit {type(method).__name__} for {method.sensor.title} ({text})")
    method.load_state_dict(state)
    return notes


def _differences(state: State, own: Mapping[str, Tensor]) -> str:
    """What keeps a state dictionary from fitting; empty if nothing does."""
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if own[key].shape != state[key].shape
    ]
    broken = [key for key in sorted(own.keys() & state.keys()) if not bool(torch.isfinite(state[key]).all())]
    problems = [("missing", sorted(own.keys() - state.keys())), ("unexpected", sorted(state.keys() - own.keys()))]
    problems += [("wrong shape", shapes), ("NaN or infinite", broken)]
    return "; ".join(f"{label}: {', '.join(keys[:6])}{' ...' if len(keys) > 6 else ''}" for label, keys in problems if keys)


def read_state(path: Path) -> State:
    """Tensors of a weights file, by key; see `load_weights` for the forms that are understood."""
    return unwrap(read_content(path), path)[0]


def unwrap(content: Any, path: Path, own: Mapping[str, Tensor] | None = None) -> tuple[State, list[str]]:
    """Find the state dictionary in what a checkpoint holds, and take prefixes of trainers off its names.

    Args:
        content: of the file.
        path: for messages.
        own: the network's own state; a prefix is kept if the network has it too.

    Raises:
        UsageError: if there is none.
    """
    notes = []
    for _ in range(3):
        found = next((key for key in WRAPPERS if isinstance(content, dict) and isinstance(content.get(key), dict)), None)
        if found is None or _is_state(content):
            break
        content = content[found]
        notes.append(f"weights taken from '{found}'")
    if not _is_state(content):
        kind = f"a dictionary with {_named(content)}" if isinstance(content, dict) else type(content).__name__
        raise UsageError(f"{path}: expected a dictionary of tensors by name, got {kind}")
    while prefix := _prefix(content, own or {}):
        content = {key.removeprefix(prefix): tensor for key, tensor in content.items()}
        notes.append(f"names without their prefix '{prefix}'")
    return content, [f"{path.name}: {', '.join(notes)}"] if notes else []


def _is_state(content: Any) -> bool:
    if not isinstance(content, dict) or not content:
        return False
    return all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())


def _named(content: dict[Any, Any]) -> str:
    return ", ".join(f"{key!r}: {type(value).__name__}" for key, value in list(content.items())[:4]) or "nothing in it"


def _prefix(state: State, own: Mapping[str, Tensor]) -> str:
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state) and not any(key.startswith(prefix) for key in own):
            return prefix
    return ""


def read_content(path: Path) -> Any:
    """What a weights file holds, without running any code of it.

    Raises:
        UsageError: if it is not there, no regular file, damaged, or holds anything but tensors and plain values.
    """
    _check_file(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UsageError(
            f"{path} is not a checkpoint of tensors only ({type(error).__name__}); it will not be unpickled: save "
            "`network.state_dict()` with torch.save, or as .safetensors, where the file was made"
        ) from error


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except OSError as error:
        raise UsageError(f"weights '{path}' not found; expected a .safetensors or .pth file") from error
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"weights '{path}': expected a .safetensors or .pth file, got a folder, pipe or device")
    if not os.access(path, os.R_OK):
        raise UsageError(f"weights '{path}' cannot be read: permission denied")


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    size = path.stat().st_size
    with path.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    if size < 8 or header > min(size - 8, HEADER_BYTES):
        raise UsageError(f"{path} is no whole safetensors file: its header should end at byte {header + 8}, the file at {size}")
    try:
        loaded: State = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        raise UsageError(f"{path} is a damaged safetensors file ({str(error).splitlines()[0][:100]}); fetch it again") from error
    return loaded


def encode(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Content of a safetensors file; equal tensors and metadata give equal bytes, so that its sha256 means something."""
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    content = save(plain, metadata=dict(metadata))
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    # The library writes metadata in the order of a hash table.
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    ordered = {"__metadata__": header.pop("__metadata__"), **header}
    text = json.dumps(ordered, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]
