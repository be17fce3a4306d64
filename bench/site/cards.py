"""What a reader must know before trusting a row: the methods' cards, where every row comes from, how indices were computed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import yaml

from waldbench import metrics
from waldbench.bench.results.columns import headings, index_columns
from waldbench.bench.results.record import Record
from waldbench.bench.results.store import Cell
from waldbench.catalogue import UnknownNameError
from waldbench.imaging.tracks import SPLITS

Context = dict[str, Any]
Members = dict[str, list[tuple[Cell, Record]]]


def facts(part: pd.DataFrame, members: Members) -> Context:
    """Cards, provenance, protocol, notices and conventions of one table.

    Args:
        part: the table's rows of the leaderboard.
        members: cells of each method, see `bench.site.model.members`.
    """
    records = [record for pairs in members.values() for _, record in pairs]
    notices = dict.fromkeys(notice for record in records for notice in record.dataset["notices"])
    content: Context = next((record.protocol["content"] for record in records if record.protocol["content"]), {})
    return {
        "cards": [_card(row, members[row["method"]]) for _, row in part.iterrows()],
        "provenance": [_origin(cell, record) for pairs in members.values() for cell, record in pairs],
        "protocol_text": yaml.safe_dump(content, sort_keys=True, allow_unicode=True, default_flow_style=None, width=100),
        "notices": list(notices),
        "conventions": _conventions(part),
    }


def _card(row: pd.Series, pairs: list[tuple[Cell, Record]]) -> Context:
    card = max(pairs, key=lambda pair: pair[1].date)[1].method
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
    place, commit = record.environment, record.environment["commit"]
    machine = [place["processor"], f"{place['threads']} threads" if place["threads"] else "", record.cost["cuda_device"]]
    return {
        "title": record.method["title"] or cell.method,
        "method": cell.method,
        "seed": cell.seed,
        "status": record.status,
        "reason": record.reason,
        "date": record.date[:19].replace("T", " "),
        "commit": f"{commit}-dirty" if commit and place["dirty"] else commit,
        "machine": ", ".join(str(part) for part in machine if part),
        "device": place["device"],
        "torch": place["torch"],
        "fingerprint": record.dataset["fingerprint"],
        "recipe": record.recipe or "",
        "weights": record.weights or "",
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
