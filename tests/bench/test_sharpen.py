"""The command `sharpen`: files in, one file out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
import torch
from scipy import io

from tests.datasets.published import smooth_noise
from waldbench import methods
from waldbench.bench.cli import main
from waldbench.bench.products import fusing
from waldbench.imaging import interp23, sensors
from waldbench.imaging.filters import mtf
from waldbench.imaging.resampling import decimate

ROOT = Path(__file__).parents[2]
PIXEL_SCALE = (33550, 12, 3, (0.5, 0.5, 0.0), True)


def write_scene(folder, width=64, bands=4, dtype=np.uint16, height=None):
    rng = np.random.default_rng(width)
    height = height or width
    ms = rng.integers(200, 1800, (bands, height // 4, width // 4)).astype(dtype)
    pan = rng.integers(200, 1800, (height, width)).astype(dtype)
    tifffile.imwrite(folder / "ms.tif", np.moveaxis(ms, 0, -1), photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(folder / "pan.tif", pan, extratags=[PIXEL_SCALE])
    return ms, pan


def write_smooth_scene(folder, side=512):
    """MS and PAN of one ground, MS at the phase of the field."""
    ground = smooth_noise(1, 4, side, 7)[0]
    ms = decimate(mtf(ground[None], sensors.generic(4)), 4)[0].numpy().round().astype(np.uint16)
    pan = ground.mean(0).numpy().round().astype(np.uint16)
    tifffile.imwrite(folder / "ms.tif", ms, photometric="minisblack", planarconfig="separate")
    tifffile.imwrite(folder / "pan.tif", pan)
    return ms, pan


def sharpen(folder, *words, key="gsa", output="fused.tif"):
    scene = f"scene:{folder / 'ms.tif'},{folder / 'pan.tif'}"
    return main(["sharpen", "--methods", key, "--dataset", scene, "--output", str(folder / output), *words])


def expected(key, ms, pan):
    """The whole image, its interpolation with mirrored edges."""
    padded = torch.from_numpy(np.pad(ms.astype(np.float64), ((0, 0), (12, 12), (12, 12)), mode="symmetric"))[None]
    lms = interp23(padded, 4)[..., 48:-48, 48:-48]
    low, guide = torch.from_numpy(ms.astype(np.float64))[None], torch.from_numpy(pan.astype(np.float64))[None, None]
    return methods.create(key, sensor=sensors.generic(len(ms)))(low, lms, guide)[0].numpy()


@pytest.mark.parametrize("key", ["exp", "brovey", "gs", "pca"])
def test_the_file_is_the_fused_image_edges_mirrored(tmp_path, capsys, key):
    ms, pan = write_scene(tmp_path)
    assert sharpen(tmp_path, key=key) == 0
    fused = tifffile.imread(tmp_path / "fused.tif")
    assert fused.dtype == np.uint16
    truth = expected(key, ms, pan).round().clip(0, 65535)
    assert np.abs(fused - truth).max() <= 1
    assert "in strips" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fused.tif", "ms.tif", "pan.tif"]


@pytest.mark.parametrize("key", ["gsa", "mtf-glp-hpm"])
def test_inside_methods_with_filters_give_what_the_whole_image_gives(tmp_path, capsys, key):
    ms, pan = write_smooth_scene(tmp_path)
    assert sharpen(tmp_path, key=key) == 0
    fused = tifffile.imread(tmp_path / "fused.tif").astype(float)
    truth = expected(key, ms, pan).round().clip(0, 65535)
    difference = np.abs(fused - truth)[:, 48:-48, 48:-48]
    assert difference.max() <= 1
    assert "in strips" in capsys.readouterr().out


def test_a_method_that_needs_the_whole_image_says_why(tmp_path, capsys):
    _, pan = write_smooth_scene(tmp_path, 128)
    assert sharpen(tmp_path, key="c-gsa") == 0
    assert "in one piece (it clusters all pixels)" in capsys.readouterr().out
    fused = tifffile.imread(tmp_path / "fused.tif").astype(float)
    assert np.corrcoef(fused.mean(0).ravel(), pan.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("key", ["mtf-glp", "gsa", "mtf-glp-hpm"])
def test_the_left_edge_knows_nothing_of_the_right_one(tmp_path, key):
    """A step of 800 counts between both edges; with circular borders methods inject it."""
    ms, pan = write_smooth_scene(tmp_path, 128)
    ms, pan = ms // 8 + 500, pan // 8 + 500
    ms[..., -8:] += 800
    pan[:, -32:] += 800
    tifffile.imwrite(tmp_path / "ms.tif", ms, photometric="minisblack", planarconfig="separate")
    tifffile.imwrite(tmp_path / "pan.tif", pan)
    for name in (key, "exp"):
        assert sharpen(tmp_path, key=name, output=f"{name}.tif") == 0
    fused, lms = (tifffile.imread(tmp_path / f"{name}.tif").astype(float) for name in (key, "exp"))
    inside = np.abs(fused - lms)[..., 16:64].max()
    assert np.abs(fused - lms)[..., :4].max() <= 1.5 * inside


def test_edges_fused_in_pieces_are_those_of_one_piece(tmp_path, monkeypatch):
    write_smooth_scene(tmp_path)
    for piece in (40, 10_000):
        monkeypatch.setattr(fusing, "PIECE", piece)
        assert sharpen(tmp_path, key="mtf-glp-hpm", output=f"{piece}.tif") == 0
    one, other = (tifffile.imread(tmp_path / f"{piece}.tif").astype(int) for piece in (40, 10_000))
    assert np.abs(one - other).max() <= 1


def test_floating_point_and_numpy_files(tmp_path):
    ms, pan = write_scene(tmp_path, dtype=np.float32)
    assert sharpen(tmp_path, key="brovey", output="fused.npy") == 0
    fused = np.load(tmp_path / "fused.npy")
    assert fused.dtype == np.float32
    np.testing.assert_allclose(fused, expected("brovey", ms, pan), rtol=1e-5, atol=0.01)


def test_a_network_runs_in_tiles(tmp_path, capsys):
    from safetensors.torch import save_file

    ms, pan = write_scene(tmp_path, 416)
    torch.manual_seed(0)
    network = methods.create("pnn", sensor=sensors.generic(4)).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    assert sharpen(tmp_path, "--weights", str(tmp_path / "weights.safetensors"), key="pnn") == 0
    assert "overlapping tiles" in capsys.readouterr().out
    low, guide = torch.from_numpy(ms.astype(np.float32))[None], torch.from_numpy(pan.astype(np.float32))[None, None]
    with torch.inference_mode():
        whole = network(low, interp23(low, 4), guide)[0]
    with rasterio.open(tmp_path / "fused.tif") as file:
        fused = file.read().astype(np.float32)
        assert file.tags()["FUSION_WEIGHTS_SHA256"] == sha256((tmp_path / "weights.safetensors").read_bytes()).hexdigest()
    # The border of the whole image apart, a small receptive field makes tiles equal to it.
    assert np.abs(fused - whole.clamp(0, 65535).numpy())[:, 48:-48, 48:-48].max() <= 0.51


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "gsa"], "needs one method or more and one scene"),
        (["--methods", "gsa", "--dataset", "wv3"], "needs one method or more and one scene"),
        (["--methods", "gsa", "--dataset", "scene:a,b"], "needs --output"),
        (["--methods", "gsa", "--dataset", "scene:a,b", "--output", "no/such/f.tif"], "no such folder"),
        (["--methods", "gsa", "--dataset", "scene:a,b", "--output", "f.tif"], "no such file: a, b"),
        (["--methods", "gssa", "--dataset", "scene:a,b", "--output", "f.tif"], "gsa"),
    ],
)
def test_wrong_requests(capsys, words, message):
    assert main(["sharpen", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_existing_file_stays(tmp_path, capsys):
    write_scene(tmp_path)
    (tmp_path / "fused.tif").write_text("mine")
    assert sharpen(tmp_path) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "fused.tif").read_text() == "mine"
    assert sharpen(tmp_path, "--force") == 0


@pytest.mark.parametrize("ending", ["mat", "tif"])
def test_one_image_alone_has_nothing_to_be_fused_with(tmp_path, capsys, ending):
    cube = np.random.default_rng(1).integers(1, 900, (24, 20, 60)).astype(np.uint16)
    path = tmp_path / f"cube.{ending}"
    if ending == "mat":
        io.savemat(path, {"cube": cube})
    else:
        tifffile.imwrite(path, cube, photometric="minisblack", planarconfig="contig")
    words = ["--methods", "gsa", "--dataset", f"scene:{path}", "--output", str(tmp_path / "fused.tif")]
    assert main(["sharpen", *words]) == 2
    assert f"--dataset scene:{path}` degrades it" in capsys.readouterr().err
    assert not (tmp_path / "fused.tif").exists()


def test_infinity_leaves_nothing(tmp_path, capsys):
    write_scene(tmp_path, dtype=np.float32)
    pan = tifffile.imread(tmp_path / "pan.tif")
    pan[3, 3] = np.inf
    tifffile.imwrite(tmp_path / "pan.tif", pan)
    assert sharpen(tmp_path) == 2
    assert "infinite" in capsys.readouterr().err
    assert not list(tmp_path.glob("*fused*"))


def test_interruption_leaves_nothing(tmp_path):
    write_scene(tmp_path, 2048, 8)
    scene = f"scene:{tmp_path / 'ms.tif'},{tmp_path / 'pan.tif'}"
    words = [sys.executable, "run_bench.py", "sharpen", "--methods", "mtf-glp-hpm-h", "--dataset", scene]
    words += ["--output", str(tmp_path / "fused.tif")]
    # A shell's background job ignores Ctrl-C and hands that down.
    attend = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=attend)
    unfinished, deadline = tmp_path / ".fused.partial.tif", time.monotonic() + 60
    while not unfinished.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert "interrupted" in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ms.tif", "pan.tif"]


MEASURE = """
import resource, sys
from waldbench.bench.cli import main
from waldbench.bench.products import fusing

def call(ms, pan, out):
    words = ["sharpen", "--quiet", "--methods", sys.argv[1], "--threads", "1"]
    assert main([*words, "--dataset", f"scene:{ms},{pan}", "--output", out]) == 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

print(call(*sys.argv[2:5]), call(*sys.argv[5:8]))
"""


@pytest.mark.parametrize("key", ["brovey", "mtf-glp-hpm"])
def test_memory_is_bounded_by_the_files(tmp_path, key):
    """What a scene adds to the memory of a process that has fused a small one: at most 1.5 times inputs and output."""
    names = []
    for height in (64, 6144):
        folder = tmp_path / str(height)
        folder.mkdir()
        write_scene(folder, 512, 8, height=height)
        names += [str(folder / name) for name in ("ms.tif", "pan.tif", "fused.tif")]
    words = [sys.executable, "-c", MEASURE, key, *names]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after - before <= 1.5 * sum(Path(name).stat().st_size for name in names[3:])
