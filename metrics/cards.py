"""The card of a quality index."""

from __future__ import annotations

from dataclasses import dataclass, replace

from waldbench.catalogue import Entry
from waldbench.metrics.conventions import DEFAULT, TABLE, UNITS

IMAGES = ("ms", "lms", "guide", "gt", "mask")


@dataclass(frozen=True)
class MetricCard:
    """Facts about one index: `needs` are the scene's images it reads, `convention` decides its numbers.

    `conventions` says, one line each, which other named conventions the index knows and how they differ from the default;
    `product_of` names distortions d whose product of 1 - d the index is. `pixelwise` says that the index depends on single
    pixels only, not on where they lie; of an image with missing data it reads all others (`metrics.validity`).
    """

    key: str
    title: str
    summary: str
    direction: str
    best: float
    unit: str
    needs: tuple[str, ...]
    convention: str
    reference: str
    conventions: tuple[str, ...] = ()
    product_of: tuple[str, ...] = ()
    pixelwise: bool = False

    @classmethod
    def from_entry(cls, entry: Entry) -> MetricCard:
        """Build the card from the arguments of `@register`, the function's signature and its docstring."""
        facts = entry.facts
        missing = [name for name in ("title", "direction", "best", "convention", "reference") if name not in facts]
        if missing:
            raise ValueError(f"{entry.path}: @register of '{entry.key}' lacks {', '.join(missing)}")
        return cls(
            key=entry.key,
            title=facts["title"],
            summary=entry.summary,
            direction=facts["direction"],
            best=float(facts["best"]),
            unit=facts.get("unit", ""),
            needs=tuple(name for name in entry.arguments if name in IMAGES),
            convention=facts["convention"],
            reference=facts["reference"],
            product_of=tuple(facts.get("product_of", ())),
            pixelwise=bool(facts.get("pixelwise", False)),
            conventions=tuple(f"{name}: {text}" for name, text in TABLE.get(entry.key, {}).items()),
        )

    def under(self, name: str) -> MetricCard:
        """The card as it reads under a named convention of the index; the same card under its own or an unknown one."""
        text = TABLE.get(self.key, {}).get(name)
        return self if text is None else replace(self, convention=f"{name}: {text}", unit=UNITS.get((self.key, name), self.unit))

    def convention_of(self, name: str) -> str:
        """`name` if this index knows that convention, else its default."""
        return name if name in TABLE.get(self.key, {}) else DEFAULT

    @property
    def arrow(self) -> str:
        """An up or down arrow: the better direction."""
        return "↑" if self.direction == "higher" else "↓"
