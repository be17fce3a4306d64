"""Cost of a method: parameters, MACs, FLOPs, latency, peak memory.

MACs are multiply-accumulates of convolutions and matrix products (batch 1). FLOPs are 2 MACs plus one for every output element
of elementwise work, one for every input element of reductions and 5 n log2 n for every FFT of n samples: what is executed,
counted at torch's operator level, for classic methods too. Linear algebra (solve, eigh, svd) counts its leading n^3 term.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from methods.base import Method

REPEATS_MIN_SECONDS = 0.3
REDUCTIONS = ("sum", "mean", "amax", "amin", "max", "min", "var", "std", "norm", "softmax", "cumsum")
MOVES = tuple(
    "view reshape permute transpose clone copy slice select cat stack empty zeros ones expand _to_copy detach unsqueeze squeeze "  # noqa: SIM905
    "index gather scatter pad as_strided alias full unbind split arange unfold roll flip constant_pad_nd lift_fresh "
    "pixel_shuffle new_ _unsafe_view _reshape_alias".split()
)


def measure(method: Method, device: torch.device) -> dict[str, Any]:
    """Measure one method on random images of its sensor.

    Returns:
        parameters; macs_64, macs_256 and flops_256 (PAN side 64 and 256, batch 1); cpu_ms_256 and cpu_iqr_ms_256 (median and
        interquartile range, inference mode, the current thread count); cuda_ms_256, cuda_iqr_ms_256 and cuda_device (null
        without a CUDA device, never a CPU number); peak_mib_512 (memory above the method and its inputs, PAN side 512).
    """
    method.eval()
    result: dict[str, Any] = {"parameters": sum(parameter.numel() for parameter in method.parameters())}
    with torch.inference_mode():
        method.cpu()
        result["peak_mib_512"] = peak_memory(method, 512, torch.device("cpu"))
        result["macs_64"], _ = count(method, 64)
        result["macs_256"], result["flops_256"] = count(method, 256)
        result["cpu_ms_256"], result["cpu_iqr_ms_256"] = latency(method, 256, torch.device("cpu"))
        result["cpu_threads"] = torch.get_num_threads()
        result |= {"cuda_ms_256": None, "cuda_iqr_ms_256": None, "cuda_device": None}
        if device.type == "cuda":
            method.to(device)
            result["peak_mib_512"] = peak_memory(method, 512, device)
            result["cuda_ms_256"], result["cuda_iqr_ms_256"] = latency(method, 256, device)
            result["cuda_device"] = torch.cuda.get_device_name(device)
    return result


def example(method: Method, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Random (ms, lms, guide) of the method's sensor with a guide of side x side pixels; a side is rounded up to the ratio."""
    sensor, ratio = method.sensor, method.ratio
    low = math.ceil(side / ratio)
    draw = torch.Generator().manual_seed(0)
    ms = torch.rand(1, sensor.count, low, low, generator=draw)
    lms = torch.nn.functional.interpolate(ms, scale_factor=float(ratio), mode="bilinear")
    guide = torch.rand(1, method.guide_bands, low * ratio, low * ratio, generator=draw)
    ms, lms, guide = (image.mul(0.8).add(0.1).to(device) for image in (ms, lms, guide))
    if sensor.guide_range is None:
        return ms * sensor.scale, lms * sensor.scale, guide * sensor.scale
    low, high = guide.new_tensor(sensor.guide_range).T[..., None, None]
    return ms * sensor.scale, lms * sensor.scale, low + guide * (high - low)


def count(method: Method, side: int) -> tuple[int, int]:
    """MACs and FLOPs of one forward pass."""
    images = example(method, side, torch.device("cpu"))
    method(*images)  # filters that are built once and kept do not belong to an image's cost
    with _ElementCounter() as elements, FlopCounterMode(display=False) as matrices:
        method(*images)
    products = int(matrices.get_total_flops())
    return products // 2, products + elements.total


def latency(method: Method, side: int, device: torch.device) -> tuple[float, float]:
    """Median and interquartile range in ms, after warm-up; CUDA work is synchronised by the timer."""
    images = example(method, side, device)
    timer = Timer("method(*images)", globals={"method": method, "images": images}, num_threads=torch.get_num_threads())
    timer.timeit(1)
    found = timer.blocked_autorange(min_run_time=REPEATS_MIN_SECONDS)
    return found.median * 1e3, found.iqr * 1e3


def peak_memory(method: Method, side: int, device: torch.device) -> float | None:
    """Peak MiB above what is held before the call; None where the system does not tell."""
    images = example(method, side, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        method(*images)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    return _resident_peak(lambda: method(*images))


def _resident_peak(call: Callable[[], Any]) -> float | None:
    """Rise of this process's resident-set high-water mark during a call (Linux)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    _return_free_memory()
    try:
        reset.write_text("5")
    except OSError:
        return None
    before = _status_kib(status, "VmRSS")
    call()
    return max(_status_kib(status, "VmHWM") - before, 0) / 1024


def _return_free_memory() -> None:
    """Give freed blocks back to the system, so that reusing them shows as a rise (glibc; elsewhere nothing happens)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _status_kib(status: Path, field: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


class _ElementCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up elementwise, reduction, FFT and linear-algebra work; convolutions and products are FlopCounterMode's."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.rstrip("_")
        self.total += _work(name, args, result)
        return result


def _work(name: str, args: tuple[Any, ...], result: Any) -> int:
    first = next((item for item in args if isinstance(item, Tensor)), None)
    out = result if isinstance(result, Tensor) else next((item for item in _items(result) if isinstance(item, Tensor)), None)
    if first is None or out is None or name == "t" or name.startswith(MOVES) or "mm" in name or "convolution" in name:
        return 0
    if "fft" in name:
        return int(5 * first.numel() * math.log2(max(first.shape[-1] * first.shape[-2], 2)))
    if "linalg" in name or name in {"geqrf", "ormqr", "lu_unpack"}:
        return int(first.numel() * first.shape[-1])
    return first.numel() if any(word in name for word in REDUCTIONS) else out.numel()


def _items(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, tuple | list) else ()
