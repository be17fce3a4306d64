"""`report` on folders that somebody has changed: what is damaged becomes one line, everything else is reported."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.bench.fake_store import PROTOCOL, SCORES, add, add_images
from waldbench.bench import reports
from waldbench.bench.results import reading
from waldbench.bench.results.store import Store

DATASET = "wv2-simulated"
VALUES = (None, True, -1, 0, 1e300, "x", "", [], {}, [1], {"a": 1}, ["a"], "=1", "[", "\x00", "a" * 5000, 10**400, -0.5)


@pytest.fixture
def root(tmp_path):
    store = Store(tmp_path / "results")
    for method in SCORES:
        add(store, method)
    add(store, "gsa", dataset="qb-simulated")
    add_images(store)
    return store.root


def report(root, figures="none"):
    """Text of a report, and the leaderboard that it wrote."""
    store, stream = Store(root), io.StringIO()
    reports.publish(store, Console(file=stream, markup=False), None, reports.Choice(figures=figures))
    text = stream.getvalue()
    assert "could not be written" not in text, text
    return text, pd.read_csv(root / "leaderboard.csv", keep_default_na=False, dtype=str)


def place(root, method="net"):
    return root / PROTOCOL / DATASET / method / "seed-42"


SCORE_FILES = {
    "text in a number": "split,image,metric,value\nreduced,a,sam,x\n",
    "infinite": "split,image,metric,value\nreduced,a,sam,inf\n",
    "no column": "split,image,metric\nreduced,a,sam\n",
    "other split": "split,image,metric,value\nmiddle,a,sam,1\n",
    "a path as index": "split,image,metric,value\nreduced,a,../x,1\n",
    "too many fields": "split,image,metric,value\nreduced,a,sam,1,2,3\n",
    "open quote": 'split,image,metric,value\nreduced,"a,sam,1\n',
    "coverage": "split,image,metric,value,coverage\nreduced,a,sam,1,7\n",
    "empty": "",
    "nothing but zeros": "\x00" * 100,
}


@pytest.mark.parametrize("kind", SCORE_FILES)
def test_damaged_scores_are_one_line(root, kind):
    (place(root) / "scores.csv").write_text(SCORE_FILES[kind])
    text, board = report(root)
    (line,) = [line for line in text.splitlines() if "scores.csv: " in line]
    assert line.startswith(f"{PROTOCOL}/{DATASET}/net/seed-42: scores.csv: ")
    assert line.endswith("; left out")
    assert sorted(board["method"]) == ["exp", "gsa", "gsa"]


def test_what_is_no_file_is_not_opened(root):
    for path in (place(root) / "scores.csv", place(root, "gsa") / "images.npz", place(root).parents[1] / "reference.npz"):
        path.unlink()
        os.mkfifo(path)
    text, board = report(root)
    assert text.count("left out") == 3
    assert sorted(board["method"]) == ["exp", "gsa", "gsa"]


def test_names_stay_names(root):
    names = ["NA", "null", "001", "1e5", "nan", "True", "x" * 240, " a ", "a,b", 'q"', "ä\nb", "=1+1"]
    rows = [{"split": "reduced", "image": name, "metric": "ergas", "value": 1.0} for name in names]
    pd.DataFrame(rows).to_csv(place(root) / "scores.csv", index=False)
    assert list(reading.scores(place(root) / "scores.csv")["image"]) == names
    report(root)
    kept = pd.read_csv(root / "scores.csv", dtype=str, keep_default_na=False)
    told = list(kept.loc[kept["method"] == "net", "image"])
    # Spreadsheets run what begins with an equals sign.
    assert told == [*names[:-1], "'=1+1"]


def test_names_of_methods_and_datasets_that_are_too_long_for_a_file(root):
    store = Store(root)
    add(store, "gsa", dataset=f"scene-{'y' * 140}")
    add_images(store, ("gsa",), dataset=f"scene-{'y' * 140}")
    add(store, "n" * 150, {"ergas": [1.0, 2.0]})
    add_images(store, ("n" * 150,))
    _, board = report(root)
    assert len(board) == 6
    assert (root / "site" / "index.html").is_file()


def npz(path, **arrays):
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


IMAGES = {
    "two dimensions": lambda path: npz(path, **{"reduced-0": np.zeros((4, 4), np.uint16)}),
    "no size": lambda path: npz(path, **{"reduced-0": np.zeros((8, 0, 4), np.uint16)}),
    "text": lambda path: npz(path, **{"reduced-0": np.array([[["a"]]])}),
    "objects": lambda path: npz(path, **{"reduced-0": np.array([[[{}]]], dtype=object)}),
    "another name": lambda path: npz(path, **{"../../x": np.zeros((8, 4, 4), np.uint16)}),
    "not a number": lambda path: npz(path, **{"reduced-0": np.full((8, 64, 48), np.nan, np.float32)}),
    "no archive": lambda path: path.write_bytes(b"PK\x03\x04 nothing"),
    "compressed": lambda path: np.savez_compressed(path, **{"reduced-0": np.zeros((8, 64, 48), np.uint16)}),
    "empty": lambda path: path.write_bytes(b""),
}


def huge(path):
    """A header that declares terabytes."""
    with zipfile.ZipFile(path, "w") as archive:
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (8, 10**6, 10**6)})
        archive.writestr("reduced-0.npy", stream.getvalue())


def read_all(path):
    return [reading.image(path, name) for name in reading.shapes(path)]


@pytest.mark.parametrize("kind", [*IMAGES, "huge"])
def test_damaged_images_are_refused(tmp_path, kind):
    path = tmp_path / "images.npz"
    (IMAGES | {"huge": huge})[kind](path)
    with pytest.raises(reading.DamagedError) as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "name"), [("not a number", "images.npz"), ("huge", "images.npz"), ("huge", "reference.npz")])
def test_damaged_images_are_one_line(root, kind, name):
    path = place(root) / name if name == "images.npz" else place(root).parents[1] / name
    path.unlink()
    (IMAGES | {"huge": huge})[kind](path)
    text, board = report(root)
    assert len([line for line in text.splitlines() if f"{name}: " in line]) == 1
    assert len(board) == 4
    page = (root / "site" / "data" / f"{PROTOCOL}_{DATASET}.js").read_text()
    # The other methods keep their pictures where only one of them is damaged.
    assert ('"name":"gsa"' in page) == (name == "images.npz")
    assert '"name":"net"' not in page


def test_an_incomplete_reference_shows_what_is_complete(root):
    path = place(root).parents[1] / "reference.npz"
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "reduced-0-lms"}
    npz(path, **arrays)
    report(root, "fast")
    page = (root / "site" / "data" / f"{PROTOCOL}_{DATASET}.js").read_text()
    assert '"key":"full-0"' in page
    assert '"key":"reduced-0"' not in page


def places(content, before=()):
    """Path of every value in a nest of mappings."""
    for name, value in content.items():
        yield (*before, name)
        if isinstance(value, dict):
            yield from places(value, (*before, name))


@pytest.mark.parametrize("seed", range(10))
def test_any_value_anywhere_in_a_record(root, seed):
    draw = random.Random(seed)
    path = place(root) / "record.json"
    content = json.loads(path.read_text())
    *parents, last = draw.choice(list(places(content)))
    inner = content
    for name in parents:
        inner = inner[name]
    inner[last] = draw.choice(VALUES)
    path.write_text(json.dumps(content))
    _, board = report(root)
    assert {("exp", DATASET), ("gsa", DATASET), ("gsa", "qb-simulated")} <= set(
        zip(board["method"], board["dataset"], strict=True)
    )


@pytest.mark.parametrize("seed", range(8))
def test_any_byte_anywhere(root, seed):
    draw = random.Random(seed)
    file = draw.choice(sorted(path for path in root.rglob("*") if path.is_file()))
    content = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 3, 30))):
        content[draw.randrange(len(content))] = draw.randrange(256)
    file.write_bytes(content[: draw.randrange(len(content))] if draw.random() < 0.3 else content)
    _, board = report(root)
    assert len(board) >= 3
