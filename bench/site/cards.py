"""What a reader must know before trusting a row: the methods' cards, where every row comes from, how indices were computed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import yaml

from waldbench import metrics
from waldbench.bench.columns import SPLITS, headings, index_columns
from waldbench.bench.store import Cell, Record
from waldbench.catalogue import UnknownNameError

Context = dict[str, Any]
Members = dict[str, list[tuple[Cell, Record]]]


def facts(part: pd.DataFrame, members: Members) -> Context:
    """Cards, provenance, protocol, notices and conventions of one table.

    Args:
        part: the table's rows of the leaderboard.
        members: cells of each method, see `bench.site.model.members`.
    """
    records = [record for pairs in members.values() for _, record in pairs]
    notices = dict.fromkeys(str(notice) for record in records for notice in record["dataset"].get("notices") or ())
    content: Context = next((record["protocol"].get("content") for record in records if record["protocol"].get("content")), {})
    return {
        "cards": [_card(row, members[row["method"]]) for _, row in part.iterrows()],
        "provenance": [_origin(cell, record) for pairs in members.values() for cell, record in pairs],
        "protocol_text": yaml.safe_dump(content, sort_keys=True, allow_unicode=True, default_flow_style=None, width=100),
        "notices": list(notices),
        "conventions": _conventions(part),
    }


def _card(row: pd.Series, pairs: list[tuple[Cell, Record]]) -> Context:
    card = max(pairs, key=lambda pair: str(pair[1].get("date", "")))[1]["method"]
    words = ("summary", "paper", "doi", "licence", "faithful", "year")
    return {
        "method": row["method"],
        "title": row["title"],
        "family": str(row["family"]).replace("_", " ") or "other",
        **{name: card.get(name) or "" for name in words},
        "inferred": list(card.get("inferred") or ()),
    }


def _origin(cell: Cell, record: Record) -> Context:
    """Where one cell comes from; what was not recorded is empty."""
    place, cost, data = record.get("environment") or {}, record.get("cost") or {}, record["dataset"]
    commit = str(place.get("commit") or "")
    machine = [place.get("processor"), f"{place['threads']} threads" if place.get("threads") else "", cost.get("cuda_device")]
    return {
        "title": record["method"].get("title") or cell.method,
        "method": cell.method,
        "seed": cell.seed,
        "status": record["status"],
        "reason": record.get("reason") or "",
        "date": str(record.get("date") or "")[:19].replace("T", " "),
        "commit": f"{commit}-dirty" if commit and place.get("dirty") else commit,
        "machine": ", ".join(str(part) for part in machine if part),
        "device": str(place.get("device") or ""),
        "torch": str(place.get("torch") or ""),
        "fingerprint": str(data.get("fingerprint") or ""),
        "recipe": str(record.get("recipe") or ""),
        "weights": str(record.get("weights") or ""),
        "path": cell.path.as_posix(),
    }


def _conventions(part: pd.DataFrame) -> list[Context]:
    """One entry an index of the table: what it measures, under which convention, after which paper."""
    return [
        {"split": headings(part)[split], "title": column.title, "unit": column.unit, "arrow": column.arrow}
        | _card_of(column.name.removeprefix(f"{split}_"))
        | {"convention": column.convention}
        for split in SPLITS
        for column in index_columns(part, split)
    ]


def _card_of(key: str) -> Context:
    try:
        card = metrics.card(key)
    except (UnknownNameError, ValueError):  # a plugin that was there when the scores were made
        return {"key": key, "summary": "", "reference": "", "best": ""}
    return {"key": key, "summary": card.summary, "reference": card.reference, "best": f"{card.best:g}".replace("inf", "∞")}
