"""What costs were measured on: name, driver, clock; energy where NVML tells it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from waldbench.bench import environment

# Of running on a GPU; its energy counter moves every 20 to 100 ms.
SECONDS = 2.0


def describe(place: str) -> dict[str, Any]:
    """Device, driver and clock (MHz now) of a CPU or of the first GPU; nothing where place is neither or absent."""
    if place == "cpu":
        return {"device": environment.processor(), "driver": "", "clock_mhz": _cpu_clock()}
    if place == "cuda" and torch.cuda.is_available():
        return {"device": torch.cuda.get_device_name(), **_gpu()}
    return {"device": "", "driver": "", "clock_mhz": None}


def energy(call: Callable[[], Any], device: torch.device) -> tuple[float | None, str]:
    """Joules of one call on a GPU, the idle draw included; or None and why it was not measured."""
    library, handle = _nvml()
    if library is None:
        return None, "not measured: needs the NVIDIA driver and nvidia-ml-py (pip install 'waldbench[energy]')"
    call()
    torch.cuda.synchronize(device)
    calls, start, end = 0, library.nvmlDeviceGetTotalEnergyConsumption(handle), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        call()
        torch.cuda.synchronize(device)
        calls += 1
    return (library.nvmlDeviceGetTotalEnergyConsumption(handle) - start) / 1e3 / calls, ""


@lru_cache(maxsize=1)
def _nvml() -> tuple[Any, Any]:
    try:
        import pynvml

        pynvml.nvmlInit()
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
    except Exception:  # not installed, no driver, or a card that does not tell
        return None, None


def _gpu() -> dict[str, Any]:
    library, handle = _nvml()
    if library is None:
        return {"driver": "", "clock_mhz": None}
    clock = library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_SM)
    return {"driver": str(library.nvmlSystemGetDriverVersion()), "clock_mhz": float(clock)}


def _cpu_clock() -> float | None:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    return max(clocks) if clocks else None
