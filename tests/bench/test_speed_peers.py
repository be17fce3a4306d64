"""Speed against peers: one thread, alternated, CPU time of both sides; `make bench` prints the table at its end.

Peers are called through their public interface. Those of the extra `bench-peers`, and GDAL (Debian: python3-gdal), are skipped
where they are not installed; the plain ones (`tests/bench/plain.py`) are written here from the formulas.
"""

from __future__ import annotations

import importlib
from functools import cache, partial

import numpy as np
import pytest
import torch

from tests.bench import plain, ratios
from waldbench import methods, metrics
from waldbench.imaging import Scene, interp23, sensors, streaming
from waldbench.imaging.filters import gaussian_kernel, mtf
from waldbench.imaging.resampling import decimate, imresize, resizer
from waldbench.imaging.statistics import match_moments
from waldbench.metrics.hypercomplex import q2n

SENSOR = sensors.get("wv3")
KERNELS = [gaussian_kernel(gain, 4).numpy() for gain in SENSOR.mtf]
PLAIN = "plain NumPy/SciPy"
# A row that is skipped before it times anything is no mistake.
pytestmark = pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")
VRT = """<VRTDataset subClass="VRTPansharpenedDataset"><PansharpeningOptions><Algorithm>WeightedBrovey</Algorithm>
<AlgorithmOptions><Weights>{weights}</Weights></AlgorithmOptions><Resampling>Cubic</Resampling><NumThreads>1</NumThreads>{bands}
</PansharpeningOptions></VRTDataset>"""


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(threads)


@cache
def scene(size=512):
    generator = torch.Generator().manual_seed(0)
    gt = interp23(torch.rand(1, 8, size // 4, size // 4, generator=generator), 4) * 1500 + 200
    ms = mtf(gt, SENSOR, step=4)
    guide = gt.mean(1, keepdim=True) + 50 * torch.rand(1, 1, size, size, generator=generator)
    return Scene(ms=ms, lms=interp23(ms, 4), guide=guide, gt=gt)


def arrays(here):
    return [image[0].double().numpy() for image in (here.ms, here.lms, here.guide)]


def need(module, operation):
    try:
        return importlib.import_module(module)
    except ImportError:
        ratios.SKIPPED.append((operation, f"{module} is not installed"))
        pytest.skip(f"{module} is not installed")


def fused(key, here):
    return methods.create(key, sensor=SENSOR)(here.ms, here.lms, here.guide)


def agree(own, peer, tolerance):
    # Where a modulating image nears zero, the division by it amplifies rounding: hence the relative part.
    np.testing.assert_allclose(np.asarray(own, dtype=float), np.asarray(peer, dtype=float), atol=tolerance, rtol=1e-3)


@pytest.mark.parametrize("interpolation", ["cubic", "interp23"])
@pytest.mark.parametrize("size", [512, 2048])
def test_brovey_gdal(benchmark, size, interpolation):
    operation = f"Brovey uint16 -> uint16, {interpolation}, {size}² x 8"
    gdal = need("osgeo.gdal", operation)
    gdal.UseExceptions()
    ms, guide = (image[0].clamp(0, 65535).numpy().astype(np.uint16) for image in (scene(size).ms, scene(size).guide))
    out, method = np.empty((8, size, size), np.uint16), methods.create("brovey", sensor=SENSOR)

    def own():
        write = partial(streaming.store, out)
        streaming.fuse(method, ms, guide, write, margin=0, interpolation=interpolation)

    def dataset(image, pixel):
        bands, height, width = image.shape
        made = gdal.GetDriverByName("MEM").Create("", width, height, bands, gdal.GDT_UInt16)
        made.SetGeoTransform((0, pixel, 0, 0, 0, -pixel))
        for number, band in enumerate(image, 1):
            made.GetRasterBand(number).WriteRaster(0, 0, width, height, band.tobytes())
        return made

    low, sharp = dataset(ms, 4), dataset(guide, 1)
    bands = "".join(f'<SpectralBand dstBand="{band}"/>' for band in range(1, 9))
    text = VRT.format(weights=",".join(["0.125"] * 8), bands=bands)
    inputs = sharp.GetRasterBand(1), [low.GetRasterBand(band) for band in range(1, 9)]
    # A new dataset each time, or it would answer from its cache.
    ratios.compare(
        benchmark,
        operation,
        own,
        lambda: gdal.CreatePansharpenedVRT(text, *inputs).ReadRaster(),
        f"GDAL {gdal.__version__} in process, cubic",
        ">= 5",
    )


@pytest.mark.parametrize("size", [512, 2048])
@pytest.mark.parametrize("key", ["brovey", "gsa"])
def test_component_substitution(benchmark, key, size):
    here = scene(size)
    ms, lms, guide = arrays(here)
    peer = partial(plain.brovey, lms, guide[0]) if key == "brovey" else partial(plain.gsa, ms, lms, guide[0])
    agree(fused(key, here)[0], peer(), 0.05)
    ratios.compare(benchmark, f"{key} float, {size}² x 8", lambda: fused(key, here), peer, PLAIN, rounds=3)


def test_mtf_glp_hpm(benchmark):
    _, lms, guide = arrays(scene())
    peer = partial(plain.mtf_glp_hpm, lms, guide[0], KERNELS, gaussian_kernel(0.3, 4, 41).numpy())
    agree(fused("mtf-glp-hpm", scene())[0], peer(), 0.05)
    ratios.compare(benchmark, "mtf-glp-hpm, 512² x 8", lambda: fused("mtf-glp-hpm", scene()), peer, PLAIN, rounds=2)


def test_interp23(benchmark):
    ms = arrays(scene())[0]
    agree(interp23(scene().ms, 4)[0], plain.interp23(ms), 0.01)
    ratios.compare(benchmark, "interp23 x4 to 512² x 8", lambda: interp23(scene().ms, 4), lambda: plain.interp23(ms), PLAIN)


def test_mtf(benchmark):
    lms = arrays(scene())[1]
    agree(mtf(scene().lms, SENSOR)[0], plain.mtf(lms, KERNELS), 0.01)
    own = partial(mtf, scene().lms, SENSOR)
    ratios.compare(benchmark, "41x41 MTF, 512² x 8", own, lambda: plain.mtf(lms, KERNELS), PLAIN, rounds=2)


def test_mtf_convolution(benchmark):
    weights = torch.stack([gaussian_kernel(gain, 4) for gain in SENSOR.mtf])[:, None].float()

    def peer():
        padded = torch.nn.functional.pad(scene().lms, (20,) * 4, mode="replicate")
        return torch.nn.functional.conv2d(padded, weights, groups=8)

    own = partial(mtf, scene().lms, SENSOR)
    agree(own(), peer(), 0.02)
    ratios.compare(benchmark, "41x41 MTF, 512² x 8", own, peer, "torch conv2d, depthwise")


def test_q2n(benchmark):
    lms, gt = scene().lms.round(), scene().gt.round()
    own, peer = partial(q2n, lms, gt), partial(plain.q2n, *(x[0].double().numpy() for x in (lms, gt)))
    agree(own()[0], peer(), 1e-5)
    ratios.compare(benchmark, "Q2n, 512² x 8", own, peer, PLAIN, rounds=3)


def index(key, here):
    return metrics.compute(key, here.gt, here, sensor=SENSOR)


def test_qnr_plain(benchmark):
    here = scene()
    lms, guide, gt = (image[0].double().numpy() for image in (here.lms, here.guide, here.gt))

    def peer():
        low = plain.interp23(imresize(here.guide, 1 / 4)[0].double().numpy())[0]
        return (1 - plain.d_lambda(gt, lms)) * (1 - plain.d_s(gt, lms, guide[0], low))

    agree(index("qnr", here)[0], peer(), 1e-4)
    ratios.compare(benchmark, "QNR, 512² x 8", lambda: index("qnr", here), peer, PLAIN, rounds=2)


def test_hqnr_plain(benchmark):
    here = scene()
    lms, guide, gt = (image[0].double().numpy() for image in (here.lms, here.guide, here.gt))

    def peer():
        low = plain.interp23(imresize(here.guide, 1 / 4)[0].double().numpy())[0]
        spectral = plain.q2n(plain.mtf(gt, KERNELS).round(), lms.round())
        return spectral * (1 - plain.d_s(gt, lms, guide[0], low))

    agree(index("hqnr", here)[0], peer(), 1e-3)
    ratios.compare(benchmark, "HQNR, 512² x 8", lambda: index("hqnr", here), peer, PLAIN, rounds=2)


def test_qnr_torchmetrics(benchmark):
    operation = "QNR, 512² x 8"
    peer = need("torchmetrics.functional.image", operation)
    here = scene()
    pan, low = (image.expand(-1, 8, -1, -1) for image in (here.guide, imresize(here.guide, 1 / 4)))
    ratios.compare(
        benchmark,
        operation,
        lambda: index("qnr", here),
        lambda: peer.quality_with_no_reference(here.gt, here.ms, pan, low),
        "torchmetrics (another convention)",
        ">= 100",
        rounds=2,
    )


@pytest.mark.parametrize("key", ["sam", "ergas"])
def test_index_torchmetrics(benchmark, key):
    peer = need("torchmetrics.functional.image", key)
    function = {"sam": peer.spectral_angle_mapper, "ergas": peer.error_relative_global_dimensionless_synthesis}[key]
    here = scene()
    own = partial(metrics.compute, key, here.lms, here, sensor=SENSOR)
    ratios.compare(benchmark, f"{key.upper()}, 512² x 8", own, lambda: function(here.lms, here.gt), "torchmetrics")


@pytest.mark.parametrize(("key", "function"), [("uiqi", "uqi"), ("ergas", "ergas"), ("sam", "sam"), ("scc", "scc")])
def test_index_sewar(benchmark, key, function):
    operation = f"{key.upper()}, 512² x 8"
    sewar = need("sewar.full_ref", operation)
    here = scene()
    truth, image = (x[0].permute(1, 2, 0).double().numpy() for x in (here.gt, here.lms))
    own = partial(metrics.compute, key, here.lms, here, sensor=SENSOR)
    peer = partial(getattr(sewar, function), truth, image)
    ratios.compare(benchmark, operation, own, peer, "sewar (its own conventions)", rounds=2)


def test_d_lambda_sewar(benchmark):
    operation = "D_lambda, 512² x 8"
    sewar = need("sewar.no_ref", operation)
    here = scene()
    ms, image = (x[0].permute(1, 2, 0).double().numpy() for x in (here.ms, here.gt))
    peer = partial(sewar.d_lambda, ms, image)
    ratios.compare(benchmark, operation, lambda: index("d_lambda", here), peer, "sewar (wrong UQI)", rounds=2)


def test_ssim_skimage(benchmark):
    skimage = need("skimage.metrics", "SSIM, 512² x 8")
    here = scene()
    truth, image = (x[0].numpy() for x in (here.gt, here.lms))
    options = {"channel_axis": 0, "data_range": SENSOR.scale, "gaussian_weights": True, "sigma": 1.5}
    peer = partial(skimage.structural_similarity, truth, image, use_sample_covariance=False, **options)
    own = partial(metrics.compute, "ssim", here.lms, here, sensor=SENSOR)
    ratios.compare(benchmark, "SSIM, 512² x 8", own, peer, "scikit-image", rounds=2)


def test_total_variation(benchmark):
    here = scene()
    method = methods.create("tv", sensor=SENSOR)
    ms, _, guide = arrays(here)
    shrink, enlarge = (
        [resizer(size, factor, "linear").along_columns(torch.eye(size, dtype=torch.float64)).T.numpy() for _ in range(2)]
        for size, factor in ((512, 1 / 4), (128, 4))
    )
    s = method.setting
    peer = partial(plain.total_variation, ms, guide[0], s.weights, s.alpha, s.smoothness, shrink, enlarge, s.iterations)
    agree(fused("tv", here)[0], peer(), 0.1)
    ratios.compare(benchmark, "TV, 50 iterations, 512² x 8", lambda: fused("tv", here), peer, PLAIN, rounds=2)


def test_sparse_details(benchmark):
    here = scene(256)
    guide = match_moments(here.guide, like=here.lms).double()
    low = mtf(guide, SENSOR, step=4)
    sharp = guide - imresize(low, 4)
    dull = mtf(sharp, SENSOR, step=4)
    lost = decimate(here.lms.double(), 4) - mtf(here.lms.double(), SENSOR, step=4)
    peer = partial(plain.sparse_details, *(x[0].numpy() for x in (sharp, dull, lost)))
    own = fused("sr-d", here.to(torch.float64))
    agree(own[0], here.lms[0].double().numpy() + peer(), 0.5)
    name = f"{PLAIN}, without its filters"
    ratios.compare(benchmark, "SR-D, 256² x 8", lambda: fused("sr-d", here), peer, name, rounds=1)
