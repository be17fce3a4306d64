"""The model zoo: weights that ship with waldbench, each beside a card that says how they were made.

A zoo is a folder of pairs `<method>_<dataset key>.safetensors` and `.json`, made by `run_bench.py zoo`. A card holds

- `method`, `file`, `sha256`, `bytes`, `parameters`: what it describes,
- `dataset`, `sensor`: what the weights were trained on (key, source, fingerprint; key, bands, ratio),
- `protocol`, `recipe`, `seed`, `steps`, `best_step`, `valid`: the training and its scores on the validation split,
- `budget`: seconds that the training steps of every network of this budget may take, on which clock, and what this one took,
- `environment`, `date`: machine, versions, commit.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waldbench.bench.errors import UsageError

if TYPE_CHECKING:
    from waldbench.datasets.base import Dataset
    from waldbench.methods.base import Method

# In a checkout; an installed package has no such folder.
FOLDER = Path(__file__).resolve().parents[2] / "results" / "zoo"
# Environment variable: a folder, or the address of one on the web.
VARIABLE = "WALDBENCH_ZOO"
# File in a zoo that lists all others with their sha256, in the form that pooch reads.
REGISTRY = "registry.txt"
LIMIT_BYTES = 60 * 10**6
# A card is some kB.
CARD_BYTES = 2**20
NUMBER = (int, float)
# Fields of a card that are read, and their types.
FIELDS: dict[str, Any] = {"method": str, "file": str, "sha256": str, "sensor": dict, "dataset": dict, "protocol": dict}
FIELDS |= {"recipe": str, "steps": int}
PARTS: dict[str, dict[str, Any]] = {
    "sensor": {"key": str, "bands": int, "guide_bands": int, "ratio": int},
    "dataset": {"key": str, "source": str},
    "protocol": {"name": str},
}
Card = dict[str, Any]


def folder() -> Path:
    """Folder of the zoo: $WALDBENCH_ZOO, which may be an address to fetch from, else the checkout's `results/zoo`.

    Raises:
        UsageError: if there is none; the message says how to get one.
    """
    given = os.environ.get(VARIABLE, "")
    if given.startswith(("http://", "https://")):
        return _fetch(given)
    found = Path(given) if given else FOLDER
    if not found.is_dir():
        raise UsageError(
            f"the zoo's weights are not at '{found}': they ship with the source code, not with the installed package; set "
            f"{VARIABLE} to a copy of its folder results/zoo (or to an address on the web), or give --weights FOLDER"
        )
    return found


def _fetch(address: str) -> Path:
    """Fetch the list of a zoo on the web and all its cards into the user's cache; weights follow when they are used."""
    import pooch

    base = address.rstrip("/") + "/"
    cache = pooch.os_cache("waldbench") / "zoo" / hashlib.sha256(base.encode()).hexdigest()[:12]
    pooch.get_logger().setLevel("WARNING")
    # The list is fetched anew each time: it may have changed, and only files that it names with another hash are fetched again.
    (cache / "list" / REGISTRY).unlink(missing_ok=True)
    try:
        listed = pooch.retrieve(base + REGISTRY, known_hash=None, fname=REGISTRY, path=cache / "list", progressbar=False)
        store = pooch.create(path=cache, base_url=base, registry=None)
        store.load_registry(listed)
        for name in store.registry_files:
            if name.endswith(".json"):
                store.fetch(name)
    except (OSError, ValueError) as error:
        raise UsageError(f"the zoo at {address} cannot be fetched ({type(error).__name__}: {error}); check {VARIABLE}") from error
    (cache / "address.txt").write_text(base, encoding="utf-8")
    return cache


def write_registry(folder: Path) -> None:
    """List all cards and weights of a zoo with their sha256, so that it can be put on the web as it is."""
    files = sorted(path for path in folder.iterdir() if path.suffix in {".json", ".safetensors"})
    lines = "".join(f"{path.name} {digest(path)}\n" for path in files)
    (folder / REGISTRY).write_text(lines, encoding="utf-8")


def stem(method: str, dataset: str) -> str:
    """File name, without ending, of a method's weights for a dataset key."""
    return f"{method}_{dataset}"


def find(folder: Path, method: str, dataset: Dataset) -> Path | None:
    """Card of a method's weights for a dataset: made on that dataset, else on another one of the same sensor; None without.

    Raises:
        UsageError: if a card cannot be read.
    """
    exact = folder / f"{stem(method, dataset.key)}.json"
    paths = [exact] if exact.is_file() else sorted(folder.glob(f"{method}_*.json"))
    cards = [(path, read(path)) for path in paths]
    if exact.is_file():
        return exact
    return next((path for path, card in cards if card["method"] == method and card["sensor"] == facts(dataset)), None)


def read(path: Path) -> Card:
    """Content of a card, checked.

    Raises:
        UsageError: if it is not one; the message names the field.
    """
    try:
        if not path.is_file() or path.stat().st_size > CARD_BYTES:
            raise ValueError("expected a small JSON file")
        card: Card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"zoo card {path} cannot be read: {error}") from error
    if not isinstance(card, dict):
        raise UsageError(f"{path} is not a zoo card: expected a mapping, got {type(card).__name__}")
    _check(card, FIELDS, path, "")
    for name, kinds in PARTS.items():
        _check(card[name], kinds, path, f"{name}.")
    if card.get("budget") is not None:
        _check(card, {"budget": dict, "environment": dict}, path, "")
        _check(card["budget"], {"seconds": NUMBER, "clock": str}, path, "budget.")
    if Path(card["file"]).name != card["file"] or not card["file"].endswith(".safetensors"):
        raise UsageError(f"{path} is not a zoo card: file must name a .safetensors file beside it, got {card['file']!r}")
    return card


def _check(card: Card, kinds: dict[str, Any], path: Path, place: str) -> None:
    for name, kind in kinds.items():
        if name not in card:
            raise UsageError(f"{path} is not a zoo card; it lacks {place}{name}")
        if not isinstance(card[name], kind) or isinstance(card[name], bool):
            wanted = "a number" if kind is NUMBER else kind.__name__
            raise UsageError(f"{path} is not a zoo card: {place}{name} must be {wanted}, got {str(card[name])[:40]!r}")


def load(method: Method, path: Path, dataset: Dataset) -> Card:
    """Fill a method with the weights of a card and return the card.

    Raises:
        UsageError: if the weights were made for another sensor, are missing or changed, or do not fit the method.
    """
    from waldbench.bench.weights import load_weights

    card = read(path)
    if card["sensor"] != facts(dataset):
        raise UsageError(f"zoo weights {path.stem} are for {_words(card['sensor'])}, this dataset is {_words(facts(dataset))}")
    weights = path.with_name(card["file"])
    if not weights.is_file():
        _fetch_weights(weights, card["sha256"])
    found = digest(weights)
    if found != card["sha256"]:
        raise UsageError(
            f"zoo weights {weights} have sha256 {found[:12]}..., their card says {card['sha256'][:12]}...; fetch both again"
        )
    load_weights(method, weights)
    return card


def _fetch_weights(weights: Path, sha256: str) -> None:
    origin = weights.with_name("address.txt")
    if not origin.is_file():
        raise UsageError(f"zoo weights {weights} not found, but the card beside it names them; fetch both again")
    import pooch

    address = origin.read_text(encoding="utf-8") + weights.name
    try:
        pooch.retrieve(address, known_hash=f"sha256:{sha256}", fname=weights.name, path=weights.parent, progressbar=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"zoo weights {address} cannot be fetched ({type(error).__name__}: {error})") from error


def facts(dataset: Dataset) -> dict[str, Any]:
    """What must agree between the sensor of the training and that of the images."""
    sensor = dataset.sensor
    return {"key": sensor.key, "bands": sensor.count, "guide_bands": sensor.guide_bands, "ratio": sensor.ratio}


def digest(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _words(sensor: dict[str, Any]) -> str:
    return f"{sensor['key']} ({sensor['bands']} bands, ratio {sensor['ratio']})"
