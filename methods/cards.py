"""The card of a method: what a reader must know before trusting its row."""

from __future__ import annotations

from dataclasses import dataclass

from waldbench.catalogue import Entry


@dataclass(frozen=True)
class MethodCard:
    """Facts about one method.

    `faithful` says what is as published, `inferred` what is not; `licence` is the licence of the original code;
    `by_construction` names the indices whose best value follows from what the method is, and says nothing about its images.
    """

    key: str
    title: str
    summary: str
    family: str
    tasks: frozenset[str]
    year: int
    paper: str
    doi: str
    licence: str
    faithful: str
    inferred: tuple[str, ...]
    by_construction: tuple[str, ...] = ()

    @classmethod
    def from_entry(cls, entry: Entry) -> MethodCard:
        """Build the card from the arguments of `@register` and the file's docstrings."""
        facts = entry.facts
        missing = [name for name in ("tasks", "year", "paper") if name not in facts]
        if missing:
            raise ValueError(f"{entry.path}: @register of '{entry.key}' lacks {', '.join(missing)}")
        return cls(
            key=entry.key,
            title=facts.get("title", entry.heading.split(":")[0]),
            summary=entry.summary,
            family=facts.get("family", entry.path.parent.name),
            tasks=frozenset(facts["tasks"]),
            year=facts["year"],
            paper=facts["paper"],
            doi=facts.get("doi", ""),
            licence=facts.get("licence", "none: written from the paper's formulas"),
            faithful=facts.get("faithful", ""),
            inferred=tuple(facts.get("inferred", ())),
            by_construction=tuple(facts.get("by_construction", ())),
        )
