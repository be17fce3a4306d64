"""Peak memory of a call: the CUDA allocator's, or the rise of this process's resident-set high-water mark (Linux)."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

# malloc.h: M_MMAP_MAX (no blocks of their own from the system), M_TRIM_THRESHOLD, M_TOP_PAD.
MALLOPT = {-4: 0, -1: 2**31 - 1, -2: 1 << 26}


def peak_mib(call: Callable[[], Any], device: torch.device) -> float | None:
    """Peak MiB above what is held before the call; None where the system does not tell.

    On a CPU only the first large call of a process is seen in full: what an earlier one left in the allocator's pools is
    reused without a rise, so measure in a fresh process.
    """
    if device.type != "cuda":
        return _resident_peak(call)
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def keep_freed_memory() -> None:
    """Let this process keep what it frees for its next tensors (glibc; elsewhere nothing happens).

    By default every large temporary is fetched from the system page by page and given back, which takes up to half the time of a
    network on a large image and more of a classic method on a cube. Peaks rise, by a tenth as a rule, as blocks of many sizes
    share one heap; at most 2 GiB stay unused at its end.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if tune is not None:
        for parameter, value in MALLOPT.items():
            tune(parameter, value)


def available_mib() -> float | None:
    """Memory that processes may still take, MiB; None where the system does not tell."""
    info = Path("/proc/meminfo")
    return _kib(info, "MemAvailable") / 1024 if info.is_file() else None


def _resident_peak(call: Callable[[], Any]) -> float | None:
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    _return_free_memory()
    try:
        reset.write_text("5")
    except OSError:
        return None
    before = _kib(status, "VmRSS")
    call()
    return max(_kib(status, "VmHWM") - before, 0) / 1024


def _return_free_memory() -> None:
    """Give freed blocks back to the system, so that reusing them shows as a rise (glibc; elsewhere nothing happens)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _kib(path: Path, field: str) -> int:
    line = next(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(field))
    return int(line.split()[1])
