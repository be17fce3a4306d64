"""What is damaged: for every reader how sound files are written, how they are damaged, and how they are read."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.fuzz import damage

Damage = Callable[[Path, random.Random], str]


class WrongError(Exception):
    """A reader accepted without a word what cannot be right."""


@dataclass(frozen=True)
class Subject:
    """One reader.

    Attributes:
        write: writes sound files into an empty folder.
        read: reads them as the commands do; raises WrongError for content that cannot be right.
        own: damage that only this format can have; a third of the cases.
        refused: names of the damage in `own` that must not be accepted.
    """

    write: Callable[[Path], None]
    read: Callable[[Path], None]
    own: tuple[Damage, ...] = ()
    refused: frozenset[str] = frozenset()

    def damage(self, folder: Path, draw: random.Random) -> tuple[str, bool]:
        """Damage the files; returns what was done, and whether they must be refused now."""
        if self.own and draw.random() < 0.5:
            chosen = draw.choice(self.own)
            return chosen(folder, draw), chosen.__name__ in self.refused
        return draw.choice(damage.ANY)(folder, draw), False


def check_dataset(dataset: Any) -> None:
    """Read every image of a dataset and look whether it can be one."""
    for name in ("train", "valid", "reduced", "full"):
        split = dataset.split(name)
        if len(split) > 64:
            raise WrongError(f"{name} has {len(split)} images")
        for number in range(len(split)):
            scene = split[number]
            for label, image in scene.images().items():
                if not bool(torch.isfinite(image).all()) or image.numel() == 0:
                    raise WrongError(f"{name} {number}: {label} is empty or not finite")
            if dataset.sensor.count != scene.ms.shape[1]:
                raise WrongError(f"{name} {number}: {scene.ms.shape[1]} bands, {dataset.sensor.count} of the sensor")


# Protocols -------------------------------------------------------------------------------------------------------------------
def write_protocol(folder: Path) -> None:
    from waldbench.bench import protocol

    (folder / "mine.yaml").write_text((protocol.PRESETS / "quick.yaml").read_text())


def read_protocol(folder: Path) -> None:
    from waldbench.bench import protocol

    rules = protocol.load(str(folder / "mine.yaml"))
    known = rules.steps if rules.steps is not None else rules.epochs
    whole = (rules.patch, rules.batch, rules.accumulate, known)
    if any(type(value) is not int or value < 1 for value in whole):
        raise WrongError(f"patch, batch, accumulate and length are {whole}")
    if type(rules.flips) is not bool or type(rules.rotations) is not bool or not 0 < rules.lr < 1e6:
        raise WrongError(f"flips {rules.flips!r}, rotations {rules.rotations!r}, lr {rules.lr!r}")
    if not all(0 <= beta < 1 for beta in rules.betas) or len(rules.betas) != 2:
        raise WrongError(f"betas {rules.betas!r}")
    if "/" in rules.id or len(rules.id) > 200:
        raise WrongError(f"id {rules.id[:60]!r}")


def change_yaml(folder: Path, draw: random.Random) -> str:
    """Change one value of the protocol."""
    import yaml

    path = folder / "mine.yaml"
    tree, done = damage.change_tree(yaml.safe_load(path.read_text()), draw)
    path.write_text(yaml.safe_dump(tree))
    return f"{path.name}: {done}"


def yaml_syntax(folder: Path, draw: random.Random) -> str:
    """Alias bombs, tags, depth, other documents: what YAML can do and a protocol needs not."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, draw.choice((4, 9, 12)))
    )
    merge = "".join(f"m{i}: &m{i}\n  <<: [{', '.join([f'*m{i - 1}'] * 9)}]\n" if i else "m0: &m0 {x: 1}\n" for i in range(9))
    parts = (bomb, merge, "lr: !!timestamp 2001-01-01\n", "steps: !!binary aGVsbG8=\n", "lr: 2001-01-01\n", "lr: !!set {a, b}\n")
    parts += ("x: !!python/object/apply:os.system ['true']\n", "lr: &l [*l]\n", "? [a, b]\n: 1\n", "---\na: 1\n---\nb: 2\n")
    parts += (
        "a: " + "[" * 3000,
        "{" * 2000,
        "lr: 0x10\n",
        "steps: 1_000\n",
        "patch: 1:30\n",
        "1: 2\n",
        "lr: .nan\n",
        "\ufeff\x00",
    )
    chosen = draw.choice(parts)
    path = folder / "mine.yaml"
    path.write_text(chosen + path.read_text() if draw.random() < 0.5 else path.read_text() + chosen, errors="surrogateescape")
    return f"{path.name}: {chosen[:40]!r} added"


# Records ---------------------------------------------------------------------------------------------------------------------
def write_record(folder: Path) -> None:
    from tests.bench import fake_store
    from waldbench.bench.results.store import Store

    fake_store.add(Store(folder / "results"), "net")


def read_record(folder: Path) -> None:
    from waldbench.bench.results.store import Store

    store = Store(folder / "results")
    found = list(store.cells())
    if not found and not store.problems and list((folder / "results").rglob("seed-*")):
        raise WrongError("a damaged record is left out without a word")
    for problem in store.problems:
        if len(problem.splitlines()) != 1:
            raise WrongError(f"a problem of several lines: {problem[:80]!r}")
    for cell, record in found:
        store.scores(cell)
        json.dumps(record.to_json(), allow_nan=False)


def write_results(folder: Path) -> None:
    from tests.bench import fake_store
    from waldbench.bench.results.store import Store

    store = Store(folder / "results")
    for method in ("exp", "gsa", "net"):
        fake_store.add(store, method)
    fake_store.fail(store, "broken", "it failed")
    fake_store.add_images(store, size=(32, 32))


def read_results(folder: Path) -> None:
    """Derive every table and the page again, with the standard output kept."""
    import contextlib
    import io

    from waldbench.bench import cli

    kept = io.StringIO()
    results = folder / "results"
    cells = len(list(results.rglob("record.json")))
    with contextlib.redirect_stdout(kept), contextlib.redirect_stderr(kept):
        code = cli.main(["report", "--results", str(results), "--figures", "none"])
    text = kept.getvalue()
    if code == 2:
        raise _said(text)
    if "could not be written" in text:
        raise AssertionError(next(line for line in text.splitlines() if "could not be written" in line))
    rows = len((results / "leaderboard.csv").read_text().splitlines()) - 1
    if code or (rows < cells and "left out" not in text):
        raise WrongError(f"exit code {code}, {rows} rows of {cells} cells, and no word of it")


def _said(text: str) -> Exception:
    from waldbench.bench.errors import UsageError

    return UsageError(text.strip())


def foreign_folders(folder: Path, draw: random.Random) -> str:
    """Folders and files that no run makes, among those that it does."""
    places = sorted(path for path in (folder / "results").rglob("*") if path.is_dir())
    name = draw.choice(("seed-x", "seed-", "seed-1e5", "[/x]", "=1+1", "a" * 240, "seed-42 ", "\u202e", "%_&#", "seed-9" * 9))
    path = draw.choice(places) / name
    path.mkdir(exist_ok=True, parents=True)
    if draw.random() < 0.7:
        sound = sorted((folder / "results").rglob("record.json"))[0].read_text()
        (path / "record.json").write_text(draw.choice(("{}", "", "[1]", "null", sound)))
    return f"{path.relative_to(folder)} added"


def change_scores(folder: Path, draw: random.Random) -> str:
    """Text, other columns, other numbers of columns and a million rows in scores.csv."""
    path = draw.choice(sorted(folder.rglob("scores.csv")))
    lines = path.read_text().splitlines()
    kind = draw.choice(("text", "columns", "many", "empty", "nan", "quotes", "metric", "null"))
    number = draw.randrange(1, len(lines))
    cells = lines[number].split(",")
    changed = {"text": "x", "nan": "nan", "quotes": '"', "null": "\0", "metric": "1e400"}
    if kind in changed:
        cells[-2 if kind == "metric" else draw.randrange(4)] = changed[kind]
        lines[number] = ",".join(cells)
    elif kind == "columns":
        lines = lines[1:] if draw.random() < 0.5 else [line + ",1,2" if i == number else line for i, line in enumerate(lines)]
    else:
        lines = [] if kind == "empty" else lines + lines[1:] * 20000
    path.write_text("\n".join(lines))
    return f"{path.relative_to(folder)}: {kind}"


# Weights and the zoo ---------------------------------------------------------------------------------------------------------
def _network() -> Any:
    from waldbench import methods
    from waldbench.imaging import sensors

    torch.manual_seed(0)
    return methods.create("pnn", sensor=sensors.get("qb"))


def write_safetensors(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(_network().state_dict(), folder / "w.safetensors", metadata={"method": "pnn"})


def write_pth(folder: Path) -> None:
    torch.save({"state_dict": _network().state_dict(), "epoch": 3}, folder / "w.pth")


def read_weights(folder: Path) -> None:
    from waldbench.bench.weights import load_weights

    method = _network()
    load_weights(method, next((folder / name for name in ("w.pth", "w.safetensors") if _there(folder / name)), folder / "w.pth"))
    if not all(bool(torch.isfinite(tensor).all()) for tensor in method.state_dict().values()):
        raise WrongError("weights that are no numbers were loaded")


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def write_zoo(folder: Path) -> None:
    import hashlib
    from types import SimpleNamespace

    from waldbench.bench import zoo
    from waldbench.imaging import sensors

    write_safetensors(folder)
    weights = (folder / "w.safetensors").rename(folder / "pnn_qb.safetensors")
    card = {
        "method": "pnn",
        "file": weights.name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "sensor": zoo.facts(SimpleNamespace(key="qb", sensor=sensors.get("qb"))),
        "dataset": {"key": "qb", "source": "simulated", "fingerprint": "0" * 64},
        "protocol": {"name": "quick", "id": "quick-0"},
        "recipe": "unified",
        "steps": 4,
        "budget": {"seconds": 60.0, "clock": "cpu"},
        "environment": {"torch": "2"},
    }
    (folder / "pnn_qb.json").write_text(json.dumps(card))


def read_zoo(folder: Path) -> None:
    from types import SimpleNamespace

    from waldbench.bench import zoo
    from waldbench.imaging import sensors

    dataset: Any = SimpleNamespace(key="qb", sensor=sensors.get("qb"))
    found = zoo.find(folder, "pnn", dataset)
    if found is not None:
        zoo.load(_network(), found, dataset)


def table() -> dict[str, Subject]:
    """All readers by name."""
    from tests.fuzz import images

    return images.SUBJECTS | {
        "protocol": Subject(write_protocol, read_protocol, (change_yaml, change_yaml, yaml_syntax)),
        "record": Subject(write_record, read_record, (damage.change_json, damage.change_json, damage.nest_json)),
        "report": Subject(write_results, read_results, (damage.change_json, damage.change_json, foreign_folders, change_scores)),
        "safetensors": Subject(write_safetensors, read_weights),
        "pth": Subject(write_pth, read_weights),
        "zoo": Subject(write_zoo, read_zoo, (damage.change_json, damage.nest_json)),
    }
