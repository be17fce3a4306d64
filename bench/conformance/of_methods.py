"""Checks of a method: shapes, band counts, odd sizes, types, batches, determinism, gradients, weights, device, card."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from waldbench import methods
from waldbench.bench.conformance.common import CheckError, make_scene, require_equal
from waldbench.imaging import Scene, Sensor, sensors
from waldbench.imaging.tracks import TASKS
from waldbench.methods.base import Method

# Sensors by task, beside which band counts are tried; sizes of ms in pixels, odd ones too.
SENSORS = {"ms": ("qb", "wv3"), "hs": (), "sar": ("sentinel2", "sentinel2-10m")}
BANDS = {"ms": (1, 3, 13), "hs": (4, 31), "sar": ()}
SIZES = ((8, 8), (9, 6), (13, 11))
SAR_SIDE = 4


class MethodSubject:
    """A method under test."""

    def __init__(self, key: str) -> None:
        self.key, self.card = key, methods.card(key)

    @cached_property
    def sensors(self) -> list[Sensor]:
        """Sensors of its tasks that it says it supports."""
        found = []
        for task in (task for task in TASKS if task in self.card.tasks):
            tried = [sensors.get(name) for name in SENSORS[task]] + [sensors.generic(count) for count in BANDS[task]]
            found += [sensor for sensor in tried if methods.supports(self.key, sensor, task) is None]
        if not found:
            raise CheckError("supports(sensor, task) refuses every sensor of the tasks that @register names")
        return found

    def build(self, sensor: Sensor | None = None) -> Method:
        """The method with weights that depend on nothing but its code."""
        torch.manual_seed(0)
        return methods.create(self.key, sensor=sensor or self.sensors[0]).eval()

    def scene(self, sensor: Sensor | None = None, size: tuple[int, int] = (8, 8), batch: int = 1) -> Scene:
        """Images for a sensor; at a ratio of 1 a pixel of ms is one of the guide, so they are larger."""
        sensor = sensor or self.sensors[0]
        factor = SAR_SIDE if sensor.ratio == 1 else 1
        return make_scene(sensor, (size[0] * factor, size[1] * factor), batch)


def fuse(method: Method, scene: Scene) -> Tensor:
    """Fuse and check the image; raises CheckError."""
    with torch.no_grad():
        fused = method(scene.ms, scene.lms, scene.guide)
    if not isinstance(fused, Tensor):
        raise CheckError(f"forward returned {type(fused).__name__}; expected a tensor (B, C, H, W)")
    if fused.shape != scene.lms.shape:
        raise CheckError(f"fused image has shape {tuple(fused.shape)}; expected {tuple(scene.lms.shape)}, that of lms")
    if not bool(torch.isfinite(fused).all()):
        raise CheckError(f"fused image of ms {tuple(scene.ms.shape)} has NaN or infinite values")
    return fused


def check_card(subject: MethodSubject) -> str:
    """Tasks, year, paper; the words for readers are counted, not judged."""
    card = subject.card
    unknown = card.tasks - set(TASKS)
    if unknown:
        raise CheckError(f"tasks of @register: expected some of {', '.join(TASKS)}, got {', '.join(sorted(unknown))}")
    told = "" if card.faithful or card.inferred else "; says nothing of what is faithful and what is inferred"
    return f"{card.title}, {card.year}, {', '.join(sorted(card.tasks))}{told}"


def check_band_counts(subject: MethodSubject) -> str:
    """One fused image for every band count."""
    for sensor in subject.sensors:
        try:
            fuse(subject.build(sensor), subject.scene(sensor))
        except CheckError as error:
            raise CheckError(f"{sensor.count} bands: {error}") from error
        except Exception as error:
            raise CheckError(f"{sensor.count} bands: {type(error).__name__}: {error}".split("\n")[0]) from error
    return ", ".join(dict.fromkeys(str(sensor.count) for sensor in subject.sensors))


def check_sizes(subject: MethodSubject) -> str:
    """Odd and oblong images."""
    method = subject.build()
    shown = []
    for size in SIZES:
        scene = subject.scene(size=size)
        fuse(method, scene)
        shown.append("x".join(map(str, scene.guide.shape[-2:])))
    return f"guides of {', '.join(shown)}"


def check_types(subject: MethodSubject) -> str:
    """The type of lms comes back, in single and double precision."""
    for dtype in (torch.float32, torch.float64):
        fused = fuse(subject.build().to(dtype), subject.scene().to(dtype))
        if fused.dtype != dtype:
            raise CheckError(f"images of {dtype} gave {fused.dtype}; create tensors with dtype=lms.dtype")
    return "float32, float64"


def check_batches(subject: MethodSubject) -> str:
    """The images of a batch do not see one another."""
    method, scene = subject.build(), subject.scene(batch=2)
    together = fuse(method, scene)
    alone = torch.cat([fuse(method, scene.map(lambda image, i=i: image[i : i + 1])) for i in range(2)])  # type: ignore[misc]
    require_equal(together, alone, "an image differs when it is fused beside another; normalise each image on its own")
    return "two images equal each of them alone"


def check_determinism(subject: MethodSubject) -> str:
    """Two calls, two constructions, images untouched."""
    scene = subject.scene()
    before = [image.clone() for image in scene.images().values()]
    method = subject.build()
    first, second = fuse(method, scene), fuse(method, scene)
    if not torch.equal(first, second):
        raise CheckError("two calls with the same images differ; draw no random numbers in eval mode")
    if not all(torch.equal(old, new) for old, new in zip(before, scene.images().values(), strict=True)):
        raise CheckError("forward changes the images it is given; work on copies")
    if not torch.equal(first, fuse(subject.build(), scene)):
        raise CheckError("two constructions after the same torch.manual_seed differ; draw initial weights from torch only")
    return "calls and constructions repeat; images untouched"


def check_gradients(subject: MethodSubject) -> str | None:
    """Every trainable parameter gets a finite gradient, but for those that the method calls idle."""
    method = subject.build()
    if not method.trainable:
        return None
    scene = subject.scene(size=(16, 16) if subject.sensors[0].ratio > 1 else (8, 8), batch=2)
    method.train()(scene.ms, scene.lms, scene.guide).float().square().mean().backward()
    silent = [
        name
        for name, value in method.named_parameters()
        if value.requires_grad and value.grad is None and not name.startswith(method.idle)
    ]
    if silent:
        raise CheckError(
            f"no gradient reaches {', '.join(silent[:4])}{' ...' if len(silent) > 4 else ''}; is it used in forward?"
        )
    wild = [name for name, value in method.named_parameters() if value.grad is not None and not value.grad.isfinite().all()]
    if wild:
        raise CheckError(f"the gradient of {', '.join(wild[:4])} is not finite")
    return f"reach all {sum(1 for value in method.parameters() if value.requires_grad)} tensors"


def check_saved_weights(subject: MethodSubject) -> str | None:
    """What a file of weights holds is all there is."""
    method = subject.build()
    if not method.state_dict():
        return None
    torch.manual_seed(1)
    other = methods.create(subject.key, sensor=subject.sensors[0]).eval()
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    scene = subject.scene()
    require_equal(fuse(method, scene), fuse(other, scene), "loaded weights give another image; register every tensor")
    return "loaded into another instance they give the same image"


def check_device(subject: MethodSubject) -> str | None:
    """Constants follow the weights to another device: to CUDA where it is there, else to torch's device without data."""
    method, scene = subject.build(), subject.scene()
    name = "cuda" if torch.cuda.is_available() else "meta"
    if name == "meta" and not method.trainable:
        return None
    try:
        with torch.no_grad():
            fused = method.to(name)(*(image.to(name) for image in (scene.ms, scene.lms, scene.guide)))
    except Exception as error:
        text = str(error).split("\n")[0]
        if name == "meta" and "device" not in text:
            return None  # it looks at values, which that device does not have
        raise CheckError(
            f"on {name}: {text}; create tensors with device=lms.device, keep constants by register_buffer"
        ) from error
    if fused.device.type != name:
        raise CheckError(f"images on {name} gave an image on {fused.device.type}; create tensors with device=lms.device")
    return "cuda" if name == "cuda" else "no CUDA here; no tensor stays behind on torch's meta device"


def check_parameters(subject: MethodSubject) -> str:
    """How many there are."""
    method = subject.build()
    trained = sum(value.numel() for value in method.parameters() if value.requires_grad)
    fixed = sum(value.numel() for value in method.parameters()) - trained
    return f"{trained:,} trained" + (f", {fixed:,} fixed" if fixed else "") + f" ({subject.sensors[0].title})"


CHECKS: tuple[Callable[[MethodSubject], str | None], ...] = (
    check_card,
    check_band_counts,
    check_sizes,
    check_types,
    check_batches,
    check_determinism,
    check_gradients,
    check_saved_weights,
    check_device,
    check_parameters,
)
