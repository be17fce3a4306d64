"""The model zoo: weights that ship with waldbench, each beside a card that says how they were made.

A zoo is a folder of pairs `<method>_<dataset key>.safetensors` and `.json`, made by
`python -m waldbench.bench.zoo`. A card holds

- `method`, `file`, `sha256`, `bytes`, `parameters`: what it describes,
- `dataset`, `sensor`: what the weights were trained on (key, source, fingerprint; key, bands, ratio),
- `protocol`, `recipe`, `seed`, `steps`, `best_step`, `valid`: the training and its scores on the validation split,
- `budget`: seconds that the training steps of every network of this budget may take, on which clock, and what this one took,
- `environment`, `date`: machine, versions, commit.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waldbench.bench.errors import UsageError

if TYPE_CHECKING:
    from waldbench.datasets.base import Dataset
    from waldbench.methods.base import Method

FOLDER = Path(__file__).resolve().parents[2] / "results" / "zoo"
LIMIT_BYTES = 60 * 10**6
Card = dict[str, Any]


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
    """Content of a card.

    Raises:
        UsageError: if it is not one.
    """
    try:
        card: Card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"zoo card {path} cannot be read: {error}") from error
    missing = {"method", "file", "sha256", "sensor", "dataset"} - card.keys() if isinstance(card, dict) else {"everything"}
    if missing:
        raise UsageError(f"{path} is not a zoo card; it lacks {', '.join(sorted(missing))}")
    return card


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
        raise UsageError(f"zoo weights {weights} not found, but the card {path.name} names them; fetch both again")
    found = digest(weights)
    if found != card["sha256"]:
        raise UsageError(
            f"zoo weights {weights} have sha256 {found[:12]}..., their card says {card['sha256'][:12]}...; fetch both again"
        )
    load_weights(method, weights)
    return card


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
