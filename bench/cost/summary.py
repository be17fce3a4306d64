"""Cost of a method that every run measures: parameters, MACs, FLOPs, latency on one thread, peak memory.

What counts as an operation is told in `bench.cost.flops`; `bench.cost.grid` measures more sizes, threads, precisions and forms.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from waldbench.bench.cost.flops import OperationCounter, skip_padding
from waldbench.bench.cost.latency import latency
from waldbench.bench.cost.memory import keep_freed_memory, peak_mib
from waldbench.methods.base import Method

CPU = torch.device("cpu")
Images = tuple[Tensor, Tensor, Tensor]


def measure(method: Method, device: torch.device) -> dict[str, Any]:
    """Measure one method on random images of its sensor.

    Returns:
        parameters, of which parameters_fixed are not trained; macs_64, macs_256 and flops_256 (PAN side 64 and 256, batch 1);
        cpu_ms_256 and cpu_iqr_ms_256 (median and interquartile range, inference mode, cpu_threads = 1, with an allocator that
        keeps freed memory); cuda_ms_256, cuda_iqr_ms_256 and cuda_device (null without a CUDA device, never a CPU number);
        peak_mib_512 (memory above the method and its inputs, PAN side 512, with an allocator that gives it back at once).
    """
    method.eval()
    result: dict[str, Any] = parameters(method)
    with torch.inference_mode():
        method.cpu()
        # First, while the process is fresh.
        result["peak_mib_512"] = _peak(method, 512, CPU)
        keep_freed_memory()
        result["cpu_ms_256"], result["cpu_iqr_ms_256"] = _latency(method, 256, CPU)
        result["cpu_threads"] = 1
        result["macs_64"], _ = count(method, 64)
        result["macs_256"], result["flops_256"] = count(method, 256)
        result |= {"cuda_ms_256": None, "cuda_iqr_ms_256": None, "cuda_device": None}
        if device.type == "cuda":
            method.to(device)
            result["peak_mib_512"] = _peak(method, 512, device)
            result["cuda_ms_256"], result["cuda_iqr_ms_256"] = _latency(method, 256, device)
            result["cuda_device"] = torch.cuda.get_device_name(device)
    return result


def parameters(method: Method) -> dict[str, int]:
    """Number of all parameters, and of those that are not trained."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in method.parameters()]
    return {
        "parameters": sum(size for size, _ in sizes),
        "parameters_fixed": sum(size for size, trained in sizes if not trained),
    }


def example(method: Method, side: int, device: torch.device) -> Images:
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
    """MACs and FLOPs of one forward pass.

    A network is counted on shapes alone; what needs values (classic methods choose by them) is computed on the CPU.
    """
    if method.trainable:
        try:
            return _count(copy.deepcopy(method).to("meta"), side, torch.device("meta"))
        except (NotImplementedError, RuntimeError):
            pass
    method(*example(method, side, CPU))  # filters that are built once and kept do not belong to an image's cost
    return _count(method, side, CPU)


def _count(method: Method, side: int, device: torch.device) -> tuple[int, int]:
    images = example(method, side, device)
    with torch.inference_mode(), OperationCounter() as counter, skip_padding(method, counter):
        method(*images)
    return counter.macs, counter.flops


def _latency(method: Method, side: int, device: torch.device) -> tuple[float, float]:
    images = example(method, side, device)
    found = latency(lambda: method(*images), device)
    return found.median_ms, found.iqr_ms


def _peak(method: Method, side: int, device: torch.device) -> float | None:
    images = example(method, side, device)
    return peak_mib(lambda: method(*images), device)
