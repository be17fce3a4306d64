"""Weights from files: official checkpoints of every network that has some, and files that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from waldbench import methods
from waldbench.bench.errors import UsageError
from waldbench.bench.weights import load_weights, read_state
from waldbench.imaging import sensors

SHARED = Path(__file__).parents[3] / "shared" / "weights"
# Our key, name of the released file; QB's PanNet is misspelt there.
MS = {name: name for name in ("drpnn", "fusionnet", "msdcnn", "pannet", "pnn")} | {"dicnn": "dicnn1"}
HS = {"dhp-darn": "DHPDarn", "hspenet": "HSpeNet", "hyper-dsnet": "HyperDSNet", "hyperpnn": "HyperPNN"}
FILES = [(key, sensor, f"dlpan/{sensor.upper()}/{name}.pth") for key, name in MS.items() for sensor in ("wv3", "qb")]
FILES += [(key, "prisma", f"hs/{name}-PRISMA.tar") for key, name in HS.items()]


def _sensor(name):
    return sensors.generic(159, ratio=6) if name == "prisma" else sensors.get(name)


@pytest.mark.parametrize(("key", "sensor", "file"), FILES)
def test_official_files_fill_every_tensor(key, sensor, file):
    path = SHARED / file.replace("QB/pannet", "QB/panet")
    if not path.is_file():
        pytest.skip(f"needs {path.name}, which may not be redistributed")
    method = methods.create(key, sensor=_sensor(sensor), guide_bands=1)
    fixed = {name for name, _ in method.named_buffers()}
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    load_weights(method, path)
    released = sorted(tensor.double().sum().item() for tensor in read_state(path).values())
    for name, tensor in method.state_dict().items():
        assert name in fixed or not torch.equal(tensor, before[name])
        assert any(tensor.double().sum().item() == pytest.approx(total, abs=1e-9) for total in released)


def test_an_official_file_of_another_network_lists_what_differs(tmp_path):
    torch.save(methods.create("pnn", sensor=sensors.get("qb")).state_dict(), tmp_path / "pnn.pth")
    net = methods.create("fusionnet", sensor=sensors.get("qb"))
    with pytest.raises(UsageError, match=r"pnn.pth: these weights do not fit FusionNet: missing .*res1.* left over") as error:
        load_weights(net, tmp_path / "pnn.pth")
    assert "unexpected shapes ['conv1.weight (64, 5, 9, 9)', 'conv1.bias (64,)'" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_official_file_of_another_sensor_names_the_bands(tmp_path):
    net = methods.create("fusionnet", sensor=sensors.get("wv3"))
    torch.save({net._official_name(name): tensor for name, tensor in net.state_dict().items()}, tmp_path / "wv3.pth")
    with pytest.raises(UsageError, match=r"conv1.weight \(32, 8, 3, 3\).*use the file of a sensor with 4 bands"):
        load_weights(methods.create("fusionnet", sensor=sensors.get("qb")), tmp_path / "wv3.pth")


def test_our_own_names_load_from_any_file(tmp_path):
    first, second = (methods.create("fusionnet", sensor=sensors.get("qb")) for _ in range(2))
    torch.save({"state_dict": first.state_dict()}, tmp_path / "own.pth")
    load_weights(second, tmp_path / "own.pth")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_pickled_modules_are_not_opened(tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / "module.pth")
    with pytest.raises(UsageError, match=r"is not a checkpoint of tensors only .*it will not be unpickled"):
        read_state(tmp_path / "module.pth")


def test_a_file_fits_one_method_and_fails_the_other(call, tmp_path):
    torch.save(methods.create("pnn", sensor=sensors.get("qb")).state_dict(), tmp_path / "released.pth")
    done = call("--methods", "pnn", "fusionnet", "--dataset", "toy", "--weights", str(tmp_path / "released.pth"))
    assert done.returncode == 1, done.stdout + done.stderr
    records = {
        path.parents[1].name.rpartition("-")[0] or path.parents[1].name: json.loads(path.read_text())
        for path in (tmp_path / "results").rglob("record.json")
    }
    assert records["pnn@released"]["status"] == "ok"
    assert records["fusionnet@released"]["status"] == "failed"
    assert "these weights do not fit FusionNet: missing" in records["fusionnet@released"]["reason"]
