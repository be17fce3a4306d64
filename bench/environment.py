"""What a number was made with: versions, machine, threads, commit."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from waldbench.bench.errors import UsageError
from waldbench.catalogue import PACKAGES

PROJECT = Path(__file__).resolve().parent.parent


def describe(device: torch.device) -> dict[str, Any]:
    """Environment of a record: versions, processor, device name, threads, git commit."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": f"{platform.system()}-{platform.machine()}",
        "processor": processor(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        **commit(),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_name(device: torch.device) -> str:
    """Return "cpu", or the name of the card."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


@lru_cache(maxsize=1)
def processor() -> str:
    """Model name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@lru_cache(maxsize=1)
def commit() -> dict[str, Any]:
    """Git commit of the code and whether files differ from it; null where this is no git checkout."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return {"commit": None, "dirty": None}
    return {"commit": head[:12], "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}


@lru_cache(maxsize=1)
def code() -> str:
    """First twelve hex digits of the sha256 over every Python file of this tree: two trees that are alike give the same."""
    digest = hashlib.sha256()
    for folder in PACKAGES:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(PROJECT).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def check_code(expected: str) -> None:
    """Refuse to run where this process has loaded another tree than the one that planned the run.

    Raises:
        UsageError: naming both; `expected` is what `code()` returned there.
    """
    if expected and expected != code():
        raise UsageError(
            f"this worker loaded waldbench from {PROJECT} (code {code()}), but the run was planned with code {expected}; "
            "install one version, or start the workers with the same Python path"
        )


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(PROJECT), *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def choose_device(name: str) -> torch.device:
    """Resolve "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        ValueError: if the named device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ValueError(f"device '{name}' is not there: torch sees {count} CUDA device(s); use --device cpu")
    return device
