"""What a training has reached, on disk: written atomically, read back bit for bit."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]


@dataclass
class Progress:
    """What a training has reached; everything that a checkpoint holds besides network and optimiser."""

    step: int = 0
    best_step: int = 0
    best_value: float = math.inf
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def stale(self) -> int:
        """Validations since the best one."""
        return sum(point["step"] > self.best_step for point in self.curve)


def save(path: Path, content: State) -> None:
    """Write a checkpoint under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def read(path: Path, identity: State) -> tuple[State | None, str | None]:
    """Content of a checkpoint that belongs to this training; without one, None and, if there is a file, why it is not used."""
    if not path.is_file():
        return None, None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torn by a full disk or a crash: start again, as if there were none
        return None, f"checkpoint {path} cannot be read ({error}); training starts again"
    if content["identity"] != identity:
        return None, "checkpoint belongs to other code, data or settings; training starts again"
    return content, None
