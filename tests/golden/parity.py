"""Parity with the field's reference toolbox: `python -m tests.golden.parity` prints the table and writes docs/parity.md.

Every row compares one operator, method or index, in float64, with vectors that the toolbox itself produced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tests.golden.vectors import deviation, image, image_deviation, load
from waldbench import methods, metrics
from waldbench.imaging import Scene, interp23, sensors
from waldbench.imaging.filters import gaussian_kernel, gaussian_low_pass, mtf, mtf_pan, spline_low_pass
from waldbench.imaging.resampling import decimate, imresize
from waldbench.metrics.hypercomplex import q2n_map
from waldbench.metrics.spectral import sam
from waldbench.metrics.uiqi import sliding_uiqi

DOCUMENT = Path(__file__).parents[2] / "docs" / "parity.md"
SENSORS = ("wv3", "qb")
# Registry key and options -> name in the vectors. Names starting with tb_ are textbook definitions, not the toolbox.
METHODS: dict[str, tuple[str, dict[str, object], str]] = {
    "brovey": ("brovey", {}, "tb_brovey"),
    "brovey, match": ("brovey", {"match": True}, "tb_brovey_hm"),
    "gihs": ("gihs", {}, "tb_gihs"),
    "gihs, match": ("gihs", {"match": True}, "tb_gihs_hm"),
    "pca": ("pca", {}, "tb_pca"),
    "hpf": ("hpf", {}, "tb_hpf"),
    "hpf, match": ("hpf", {"match": True}, "tb_hpf_hm"),
    "sfim": ("sfim", {}, "tb_sfim"),
    "sfim, match": ("sfim", {"match": True}, "tb_sfim_hm"),
    "gs": ("gs", {}, "GS"),
    "gsa": ("gsa", {}, "GSA"),
    "bdsd, block 128": ("bdsd", {"block": 128}, "BDSD"),
    "bdsd, block 64": ("bdsd", {"block": 64}, "BDSD_S64"),
    "bdsd-pc": ("bdsd-pc", {}, "BDSD_PC"),
    "bt-h": ("bt-h", {}, "BT_H"),
    "pracs": ("pracs", {}, "PRACS"),
    "awlp": ("awlp", {}, "AWLP"),
    "mf": ("mf", {}, "MF"),
    "mtf-glp": ("mtf-glp", {}, "MTF_GLP"),
    "mtf-glp-fs": ("mtf-glp-fs", {}, "MTF_GLP_FS"),
    "mtf-glp-cbd": ("mtf-glp-cbd", {}, "GS2_GLP"),
    "mtf-glp-hpm": ("mtf-glp-hpm", {}, "MTF_GLP_HPM"),
    "mtf-glp-hpm-h": ("mtf-glp-hpm-h", {}, "MTF_GLP_HPM_H"),
    "mtf-glp-hpm-r": ("mtf-glp-hpm-r", {}, "MTF_GLP_HPM_R"),
}
# Modulations are clipped unless the variant says otherwise; on the scenes of the table both agree.
CLIPPING = ("brovey", "sfim", "bt-h", "pracs", "awlp", "mf", "mtf-glp-hpm", "mtf-glp-hpm-h", "mtf-glp-hpm-r")
METHODS |= {f"{key}, variant toolbox": (key, {"variant": "toolbox"}, METHODS[key][2]) for key in CLIPPING}
FUSED = ("EXP", "GS", "GSA", "MTF_GLP", "BDSD")


class Row(NamedTuple):
    """One line of the table; `worst` and `tolerance` are relative to the largest expected magnitude."""

    group: str
    name: str
    worst: float
    tolerance: float = 1e-9


# Another processor rounds otherwise: BDSD solves normal equations of condition 1e10, and an index that rounds images to
# integers can see a pixel fall on the other side.
LOOSE = {"bdsd, block 128": 1e-7, "bdsd, block 64": 1e-7}
LOOSE |= dict.fromkeys(["q2n", "q2n, border 21", "d_lambda_k", "d_lambda_k, block 64", "hqnr"], 1e-6)


def rows() -> Iterator[Row]:
    """All rows, operators first."""
    yield from _kernels()
    yield from _operators()
    for name, (key, options, golden) in METHODS.items():
        worst = max(_method(sensor, key, options, golden) for sensor in SENSORS)
        yield Row("method", name, worst, LOOSE.get(name, 1e-9))
    from tests.golden import more  # it needs the scenes of this module

    yield from more.rows()
    yield from _indices()
    yield from _hypercomplex()


@cache
def scene(sensor: str) -> Scene:
    """The reduced-resolution scene of a sensor."""
    inputs = load("inputs_rr")
    gt, pan, ms = (image(inputs[f"{sensor}_{name}"]) for name in ("gt", "pan", "ms_lr"))
    return Scene(ms=ms, lms=interp23(ms, 4), guide=pan, gt=gt)


@cache
def fused(sensor: str, golden: str) -> Tensor:
    """A fused image of that scene, by the name it has in the vectors."""
    images = scene(sensor)
    return made(sensor, golden)(images.ms, images.lms, images.guide)


def made(sensor: str, golden: str) -> methods.Method:
    """The method, with its options, that the vectors know by a name."""
    known = {name: (key, options) for key, options, name in METHODS.values()} | {"EXP": ("exp", {})}
    key, options = known[golden]
    return methods.create(key, sensor=sensors.get(sensor), **options)


def _kernels() -> Iterator[Row]:
    names = {"QB": "qb", "IKONOS": "ikonos", "GeoEye1": "ge1", "WV4": "wv4", "WV2": "wv2", "WV3": "wv3", "GF2": "gf2"}
    worst: dict[str, float] = {}
    for key, expected in load("kernels").items():
        kind, name, ratio = (*key.split("_"), "")[:3] if key.count("_") == 2 else (key.split("_")[0], "none", key.split("_")[-1])
        sensor = sensors.get(names[name]) if name in names else sensors.generic(4)
        if kind == "LPfilterGauss":
            kernels = [gaussian_kernel(0.3, int(ratio[1:]), 41)]
        else:
            gains = (sensor.pan_mtf,) if kind == "MTFPAN" else sensor.mtf
            kernels = [gaussian_kernel(gain, int(ratio[1:])) for gain in gains]
        worst[kind] = max(worst.get(kind, 0.0), image_deviation(torch.stack(kernels)[None], expected))
    for kind, value in worst.items():
        yield Row("operator", f"kernels {kind}", value)


def _operators() -> Iterator[Row]:
    tools = load("tools")
    x = image(tools["small_a"])
    pan, none, qb, wv3 = x[:, :1], sensors.generic(3), sensors.get("qb"), sensors.get("wv3")
    checks: dict[str, Callable[[], Tensor]] = {
        "LPfilterGauss_r4": lambda: gaussian_low_pass(pan, 4),
        "LPfilter_r2": lambda: spline_low_pass(pan, 2),
        "LPfilter_r4": lambda: spline_low_pass(pan, 4),
        "LPfilterPlusDec_r4": lambda: decimate(spline_low_pass(pan, 4), 4),
        "MTF_PAN_QB_r4": lambda: mtf_pan(pan, qb, 4),
        "MTF_PAN_WV3_r2": lambda: mtf_pan(pan, wv3, 2),
        "MTF_none_r4": lambda: mtf(x, none, 4),
        "imresize_bicubic_down4": lambda: imresize(x, 0.25),
        "imresize_bicubic_up4": lambda: imresize(x, 4),
        "imresize_bilinear_down4": lambda: imresize(x, 0.25, "linear"),
        "imresize_bilinear_up4": lambda: imresize(x, 4, "linear"),
        "imresize_nearest_down2": lambda: decimate(x, 2),
        "imresize_nearest_down4": lambda: decimate(x, 4),
        "interp23tap_r2": lambda: interp23(x, 2),
        "interp23tap_r4": lambda: interp23(x, 4),
    }
    for name, function in checks.items():
        yield Row("operator", name, image_deviation(function(), tools[name]))
    inputs = load("inputs_rr")
    wald = [mtf(scene(s).gt, sensors.get(s), step=4) for s in SENSORS]
    worst = max(image_deviation(value, inputs[f"{s}_ms_lr"]) for s, value in zip(SENSORS, wald, strict=True))
    yield Row("operator", "resize_images", worst)
    worst = max(image_deviation(scene(s).lms[..., ::9, ::9], inputs[f"{s}_exp__s9"]) for s in SENSORS)
    yield Row("operator", "interp23tap of the scenes", worst)
    worst = max(
        image_deviation(decimate(spline_low_pass(scene(s).guide, 4), 4), tools[f"rr_{s}_LPfilterPlusDec"]) for s in SENSORS
    )
    yield Row("operator", "LPfilterPlusDec of the scenes", worst)


def _method(sensor: str, key: str, options: dict[str, object], golden: str) -> float:
    vectors, images = load(f"methods_rr_{sensor}"), scene(sensor)
    result = methods.create(key, sensor=sensors.get(sensor), **options)(images.ms, images.lms, images.guide)
    return max(
        image_deviation(result[..., ::9, ::9], vectors[f"{golden}__s9"]),
        deviation(result.mean((-2, -1)), vectors[f"{golden}__mean"]),
        deviation(result.std((-2, -1)), vectors[f"{golden}__sd"]),
    )


def _value(sensor: str, golden: str, key: str, **options: object) -> Tensor:
    return metrics.compute(key, fused(sensor, golden), scene(sensor), sensor=sensors.get(sensor), **options)


def _indices() -> Iterator[Row]:
    reference, without = load("indices_rr"), load("indices_noref")
    single = {"uiqi": "Q", "sam": "SAM", "ergas": "ERGAS", "scc": "SCC", "q2n": "q2n", "psnr": "psnr_L2047"}
    for key, name in single.items():
        yield _worst(key, lambda s, f, k=key, n=name: deviation(_value(s, f, k), reference[f"{s}_{f}_{n}"]))
    banded = {"ssim": "SSIM_perband_L2047", "mpsnr": "psnr_L2047_perband", "cc": "cc_perband"}
    for key, name in banded.items():
        yield _worst(key, lambda s, f, k=key, n=name: deviation(_value(s, f, k), reference[f"{s}_{f}_{n}"].mean(keepdims=True)))
    cropped = {key: vector for key, vector in reference.items() if key.endswith("_eval_Qavg_SAM_ERGAS_SCC_Q2n")}
    for place, key in enumerate(("uiqi", "sam", "ergas", "scc", "q2n")):
        yield _worst(f"{key}, border 21", partial(_cropped, cropped, place, key))
    triples = {"d_lambda": ("QNR_Dlambda_Ds_QNR", 0), "d_s": ("QNR_Dlambda_Ds_QNR", 1), "qnr": ("QNR_Dlambda_Ds_QNR", 2)}
    triples |= {"d_lambda_k": ("HQNR_DlambdaK_Ds_HQNR", 0), "hqnr": ("HQNR_DlambdaK_Ds_HQNR", 2)}
    for key, (name, place) in triples.items():
        yield _worst(key, partial(_without, without, name, place, key, {}))
    variants = {"D_lambda_p2": ("d_lambda", {"p": 2}), "D_s_q2_S64": ("d_s", {"q": 2, "block": 64})}
    variants["D_lambda_K_S64"] = ("d_lambda_k", {"block": 64})
    for name, (key, options) in variants.items():
        label = ", ".join([key, *(f"{option} {value}" for option, value in options.items())])
        yield _worst(label, partial(_without, without, name, 0, key, options))


def _cropped(vectors: dict, place: int, key: str, sensor: str, golden: str) -> float:
    expected = vectors[f"{sensor}_{golden}_eval_Qavg_SAM_ERGAS_SCC_Q2n"][place : place + 1]
    return deviation(_value(sensor, golden, key, border=21), expected)


def _without(vectors: dict, name: str, place: int, key: str, options: dict, sensor: str, golden: str) -> float:
    expected = vectors[f"rr_{sensor}_{golden}_{name}"][place : place + 1]
    # EXP against itself has no spectral distortion: then the scale is 1.
    return float(np.abs(_value(sensor, golden, key, **options).numpy() - expected).max() / max(np.abs(expected).max(), 1e-3))


def _worst(name: str, check: Callable[[str, str], float]) -> Row:
    worst = max(check(sensor, golden) for sensor in SENSORS for golden in FUSED)
    return Row("index", name, worst, LOOSE.get(name, 1e-9))


def _hypercomplex() -> Iterator[Row]:
    tools = load("tools")
    a, b = image(tools["q5_a"]), image(tools["q5_b"])
    reference, test = image(tools["degenerate_G"]), image(tools["degenerate_F"])
    maps = {
        "q2n_5band_50x70_map": q2n_map(b, a),
        "q2n_3band_50x70_map": q2n_map(b[:, :3], a[:, :3]),
        "q2n_5band_b16s8_map": q2n_map(b, a, block=16, shift=8),
        "q2n_degenerate_map": q2n_map(test, reference)[:, 0],
        "q2n_degenerate_swapped_map": q2n_map(reference, test)[:, 0],
    }
    for name, value in maps.items():
        yield Row("index", name, deviation(value[0], tools[name]))
    yield Row(
        "index",
        "img_qi_degenerate_map",
        deviation(sliding_uiqi(test[:, :1], reference[:, :1], 8)[0, 0], tools["img_qi_degenerate_map"]),
    )
    yield Row("index", "SAM_degenerate", deviation(sam(test, reference), tools["SAM_degenerate"]))


def table(lines: list[Row]) -> str:
    """The document, as Markdown."""
    text = "\n".join(f"| {row.group} | {row.name} | {row.worst:.0e} | {row.tolerance:.0e} |" for row in lines)
    return f"""# Parity with the reference toolbox

Written by `python -m tests.golden.parity`; the tests check every row.

The vectors were produced by the field's reference MATLAB toolbox (DLPan-Toolbox after Vivone et al., IEEE GRSM 9(1), 2021,
doi 10.1109/MGRS.2020.3019315), run under GNU Octave on synthetic WorldView-3 (8 bands) and QuickBird (4 bands) scenes.
No line of that toolbox is part of this project. A few are not from the toolbox: psnr, mpsnr, cc and the textbook methods
brovey, gihs, pca, hpf and sfim come from an independent NumPy implementation of their definitions.

The worst deviation is relative to the largest magnitude, in float64, over both sensors and, for indices, five fused images.

| kind | name | worst deviation | tolerance |
|---|---|---|---|
{text}
"""


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(table(list(rows())), encoding="utf-8")
    print(DOCUMENT.read_text(encoding="utf-8"))
