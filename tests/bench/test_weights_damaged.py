"""Weights and zoo cards as people save and damage them: read, or refused in one line."""

from __future__ import annotations

import json
import os
import random
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch

from waldbench import methods
from waldbench.bench import zoo
from waldbench.bench.errors import UsageError
from waldbench.bench.weights import encode, load_weights, read_state
from waldbench.imaging import sensors

QB = sensors.get("qb")
DATASET = SimpleNamespace(key="qb", sensor=QB)


def net(seed=0):
    torch.manual_seed(seed)
    return methods.create("pnn", sensor=QB)


def wrapped(**others):
    return lambda state: {"epoch": 3, "args": {"lr": 0.1}, **{key: make(state) for key, make in others.items()}}


def renamed(prefix):
    return lambda state: {prefix + name: tensor for name, tensor in state.items()}


FORMS = {
    "plain": lambda state: state,
    "parallel": renamed("module."),
    "compiled": renamed("_orig_mod."),
    "lightning": wrapped(state_dict=renamed("model.")),
    "model": wrapped(model=lambda state: state),
    "net": wrapped(net=renamed("module.")),
    "model_state_dict": wrapped(model_state_dict=lambda state: state),
    "both": wrapped(state_dict=renamed("module.model.")),
}


@pytest.mark.parametrize("form", FORMS)
def test_checkpoints_as_people_save_them(form, tmp_path):
    saved, target = net(1), net(2)
    torch.save(FORMS[form](saved.state_dict()), tmp_path / "net.pth")
    notes = load_weights(target, tmp_path / "net.pth")
    assert all(torch.equal(a, b) for a, b in zip(saved.state_dict().values(), target.state_dict().values(), strict=True))
    assert bool(notes) == (form != "plain")
    assert all(len(note.splitlines()) == 1 for note in notes)


def test_averaged_weights_are_taken_before_those_of_the_last_step(tmp_path):
    averaged, last = net(1), net(2)
    torch.save({"state_dict": last.state_dict(), "ema": averaged.state_dict()}, tmp_path / "net.pth")
    state = read_state(tmp_path / "net.pth")
    assert all(torch.equal(state[name], tensor) for name, tensor in averaged.state_dict().items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({1: torch.zeros(2)}, "expected a dictionary of tensors by name, got a dictionary with 1: Tensor"),
        ({}, "nothing in it"),
        ([torch.zeros(2)], "got list"),
        ({"lr": 0.1, "epoch": 3}, "'lr': float, 'epoch': int"),
        (torch.zeros(3), "got Tensor"),
    ],
)
def test_what_is_no_state_dictionary_is_named(content, message, tmp_path):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(UsageError) as error:
        load_weights(net(), tmp_path / "net.pth")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_values_that_are_no_numbers_are_refused(tmp_path):
    state = {name: tensor.clone() for name, tensor in net().state_dict().items()}
    first = next(iter(state))
    state[first].view(-1)[0] = float("nan")
    (tmp_path / "net.safetensors").write_bytes(encode(state, {}))
    with pytest.raises(UsageError, match=f"NaN or infinite: {first}"):
        load_weights(net(), tmp_path / "net.safetensors")


def test_equal_weights_give_equal_files():
    state, backwards = net().state_dict(), dict(reversed(net().state_dict().items()))
    assert encode(state, {"method": "pnn", "protocol": "x"}) == encode(backwards, {"protocol": "x", "method": "pnn"})


def _refusal(path):
    """The line with which a file is refused; empty if it was loaded."""
    try:
        load_weights(net(), path)
    except UsageError as error:
        return str(error)
    return ""


def test_damaged_safetensors_are_one_line_each(tmp_path):
    whole = encode(net().state_dict(), {"method": "pnn"})
    draw, path, refused = random.Random(7), tmp_path / "net.safetensors", 0
    for number in range(60):
        content = bytearray(whole[: draw.randrange(len(whole))] if number % 3 == 0 else whole)
        for _ in range(draw.randrange(1, 4)):
            if content:
                content[draw.randrange(min(len(content), 600))] = draw.randrange(256)
        path.write_bytes(content)
        message = _refusal(path)
        refused += bool(message)
        assert "\n" not in message
        assert "net.safetensors" in (message or path.name)
    assert refused >= 40


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "net.safetensors")
    with pytest.raises(UsageError, match="got a folder, pipe or device"):
        load_weights(net(), tmp_path / "net.safetensors")
    with pytest.raises(UsageError, match="got a folder"):
        load_weights(net(), tmp_path)


@pytest.fixture
def shipped(tmp_path):
    """A zoo of one network."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    weights = folder / "pnn_qb.safetensors"
    weights.write_bytes(encode(net(1).state_dict(), {}))
    card = {
        "method": "pnn",
        "file": weights.name,
        "sha256": zoo.digest(weights),
        "sensor": zoo.facts(DATASET),
        "dataset": {"key": "qb", "source": "simulated"},
        "protocol": {"name": "quick"},
        "recipe": "unified",
        "steps": 4,
    }
    (folder / "pnn_qb.json").write_text(json.dumps(card))
    zoo.write_registry(folder)
    return folder


WRONG = [("file", "../pnn_qb.safetensors", "must name a .safetensors file beside it"), ("file", 3, "file must be str")]
WRONG += [("steps", "x", "steps must be int"), ("dataset", {}, "lacks dataset.key"), ("sensor", [], "sensor must be dict")]
WRONG += [("sha256", None, "sha256 must be str"), ("protocol", {"name": 1}, "protocol.name must be str")]
WRONG += [("budget", {"seconds": "x", "clock": "cpu"}, "it lacks environment")]


@pytest.mark.parametrize(("field", "value", "message"), WRONG)
def test_a_wrong_card_names_the_field(shipped, field, value, message):
    path = shipped / "pnn_qb.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(UsageError, match=message):
        zoo.find(shipped, "pnn", DATASET)


@pytest.mark.parametrize("field", ["method", "file", "sha256", "sensor", "dataset", "protocol", "recipe", "steps"])
def test_a_card_without_a_field_names_it(shipped, field):
    path = shipped / "pnn_qb.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != field}))
    with pytest.raises(UsageError, match=f"lacks {field}"):
        zoo.find(shipped, "pnn", DATASET)


def test_a_missing_zoo_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv(zoo.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UsageError, match="set WALDBENCH_ZOO to a copy of its folder results/zoo"):
        zoo.folder()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_zoo_on_the_web_is_fetched_once_and_checked(shipped, tmp_path, monkeypatch):
    def handler(*given):
        return _Quiet(*given, directory=str(shipped))

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv(zoo.VARIABLE, f"http://127.0.0.1:{server.server_port}")
        card = zoo.find(zoo.folder(), "pnn", DATASET)
        assert card.is_relative_to(tmp_path / "cache")
        target = net(2)
        zoo.load(target, card, DATASET)
        server.shutdown()
    assert torch.equal(next(iter(target.state_dict().values())), next(iter(net(1).state_dict().values())))
    with pytest.raises(UsageError, match="cannot be fetched"):
        zoo.folder()


def test_the_registry_of_the_shipped_zoo_lists_what_is_there():
    listed = dict(line.split() for line in (zoo.FOLDER / zoo.REGISTRY).read_text().splitlines())
    assert listed == {path.name: zoo.digest(path) for path in zoo.FOLDER.iterdir() if path.suffix in {".json", ".safetensors"}}
