"""Sweeps: one table of cells whose protocols differ in how methods were trained, and in nothing else.

Rows of different protocols are never ranked together, but where only fields of the training differ the images, the indices and
their conventions are the same, and the user asked for the comparison: each row is marked by what differs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from waldbench.bench import plain_yaml
from waldbench.bench.files import write_atomically, write_table
from waldbench.bench.protocol.layers import LENGTHS, differing, only_training, told
from waldbench.bench.results import leaderboard
from waldbench.bench.results.scores import samples
from waldbench.bench.results.store import Store

FOLDER = "sweeps"


def remember(store: Store, name: str, protocols: Sequence[str]) -> str:
    """Note that these protocol ids belong to one sweep; returns the id under which their table stands."""
    ids = list(dict.fromkeys(protocols))
    joint = f"{name}-sweep-{hashlib.sha256(' '.join(sorted(ids)).encode()).hexdigest()[:8]}"
    content = yaml.safe_dump({"protocols": ids}, sort_keys=False)
    write_atomically(store.root / FOLDER / f"{joint}.yaml", content.encode())
    return joint


def write(store: Store, frame: pd.DataFrame) -> list[Path]:
    """Write `sweeps.csv`, the tables of all sweeps in the columns of the leaderboard; nothing where there is no sweep."""
    table = build(store, frame, samples(store)) if known(store) else pd.DataFrame()
    if table.empty:
        return []
    path = store.root / "sweeps.csv"
    write_table(path, table)
    return [path]


def known(store: Store) -> dict[str, list[str]]:
    """Protocol ids of every sweep of a store; a damaged file is left out."""
    found = {}
    for path in sorted((store.root / FOLDER).glob("*.yaml")):
        try:
            content = plain_yaml.read(path)
        except plain_yaml.PlainYamlError:
            continue
        ids = content.get("protocols") if isinstance(content, dict) else None
        if isinstance(ids, list) and all(isinstance(name, str) for name in ids):
            found[path.stem] = ids
    return found


def build(store: Store, frame: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Rows of all sweeps in the columns of the leaderboard.

    Args:
        store: the results.
        frame: its leaderboard.
        found: its `samples`.

    Returns:
        For each sweep its trained rows, marked by what differs, and every other row once; ranked together.
    """
    tables = []
    wanted = known(store)
    contents = _contents(store) if wanted else {}
    for joint, ids in wanted.items():
        present = {name: contents[name] for name in ids if name in contents}
        marks = _marks(present)
        if len(present) > 1 and marks is not None:
            tables.append(_joined(frame, found, joint, marks))
    return pd.concat(tables, ignore_index=True) if tables else frame.iloc[:0]


def _contents(store: Store) -> dict[str, dict[str, Any]]:
    return {cell.protocol: record.protocol["content"] for cell, record in store.cells()}


def _marks(contents: dict[str, dict[str, Any]]) -> dict[str, str] | None:
    """What tells each protocol from the others, by id; None where more than the training differs."""
    all_of_them = list(contents.values())
    names = dict.fromkeys(name for other in all_of_them[1:] for name in differing(all_of_them[0], other))
    if not only_training(names):
        return None
    shown = {
        key: [f"{name} {told(content.get(name))}" for name in names if not (name in LENGTHS and content.get(name) is None)]
        for key, content in contents.items()
    }
    return {key: ", ".join(parts) for key, parts in shown.items()}


def _joined(frame: pd.DataFrame, found: pd.DataFrame, joint: str, marks: dict[str, str]) -> pd.DataFrame:
    rows = frame[frame["protocol"].isin(marks)].copy()
    trained = rows["recipe"].fillna("") != ""
    # What is not trained is the same under all of them.
    kept = rows[trained | ~rows.duplicated(["dataset", "source", "fingerprint", "method"])].copy()
    trained = trained[kept.index]
    names = {(row["protocol"], row["method"]): _name(row, marks) for _, row in kept[trained].iterrows()}
    scores = found[found["protocol"].isin(marks)].copy()
    keys = list(zip(scores["protocol"], scores["method"], strict=True))
    firsts = set(zip(kept["protocol"], kept["method"], strict=True))
    scores = scores[[key in firsts for key in keys]].copy()
    scores["method"] = [names.get(key, key[1]) for key in keys if key in firsts]
    titles = [f"{row['title']} ({marks[row['protocol']]})" for _, row in kept[trained].iterrows()]
    kept.loc[trained, "title"] = titles
    kept.loc[trained, "method"] = [names[row["protocol"], row["method"]] for _, row in kept[trained].iterrows()]
    return leaderboard.rank(kept.assign(protocol=joint), scores.assign(protocol=joint))


def _name(row: pd.Series[Any], marks: dict[str, str]) -> str:
    return f"{row['method']}~{re.sub(r'[^A-Za-z0-9_.,=+-]+', '=', marks[row['protocol']].replace(', ', ','))}"
