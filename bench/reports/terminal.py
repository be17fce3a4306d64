"""The leaderboard in a terminal: tables that fit the width, plain text without any control character when piped."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from waldbench.bench.results import leaderboard
from waldbench.bench.results.cautions import cautions, places_with_groups
from waldbench.bench.results.columns import (
    Column,
    cost_columns,
    counts,
    data_title,
    headings,
    index_columns,
    machines,
    marks,
    origins,
    remarks,
    spread,
    suffixes,
)

WIDTH = 100
UNLIMITED = 100_000
STYLES = {1: "bold", 2: "underline"}
Section = tuple[str, list[Column]]


def show(frame: pd.DataFrame, console: Console | None = None) -> None:
    """Print the tables of a leaderboard; in a pipe no line is wrapped or cut off, however long."""
    console = console or Console(markup=False, highlight=False)
    narrow = console.width
    wrapped = console.is_terminal and not console.is_dumb_terminal
    shown = table(frame, narrow if wrapped else max(narrow, WIDTH))
    # A table that is wider than the terminal even in pieces is printed in full: the terminal breaks its lines, no name is lost.
    options = console.options.update(max_width=UNLIMITED)
    measured = (part for part in shown if not wrapped or isinstance(part, Table))
    console.width = max([narrow, *(Measurement.get(console, options, part).maximum for part in measured)])
    try:
        console.print(*shown, sep="\n")
    finally:
        console.width = narrow


def table(frame: pd.DataFrame, width: int = WIDTH) -> list[RenderableType]:
    """Quality and cost tables for each protocol and dataset, at most `width` characters wide where the titles allow it."""
    parts = [renderable for _, part in leaderboard.groups(frame) for renderable in _group(part, width)]
    return parts or [Text("No results yet. Start with: run_bench.py --methods exp gsa --dataset wv3")]


def _group(part: pd.DataFrame, width: int) -> list[RenderableType]:
    good = part[part["status"] == "ok"]
    protocol = str(part.iloc[0]["protocol"])
    lines: list[RenderableType] = [Text(f"\n{data_title(part)}", style="bold", overflow="fold")]
    lines.append(Text(f"protocol {protocol}, {counts(part)}", overflow="fold"))
    quality = [(title, index_columns(part, split)) for split, title in headings(part).items()]
    sections = [*_fit(good, [section for section in quality if section[1]], width)]
    sections += _fit(good, [("Cost", cost_columns(good))] if len(good) and cost_columns(good) else [], width)
    lines += [renderable for section in sections for renderable in (Text(), _table(good, section))]
    if machines(good):
        lines.append(Text(f"Cost: guide of 256 x 256 pixels, memory 512 x 512; {machines(good)}", style="dim", overflow="fold"))
    shown = spread(good)
    notes = [f"±: {shown.words}."] if shown.name == "seed_std" else []
    lines += [Text(line, style="dim", overflow="fold") for line in [*notes, *origins(good), *cautions(part)]]
    for title, reason in remarks(part):
        lines.append(Text(f"Failed: {title}: {reason}", style="red", overflow="fold"))
    return lines


def _fit(part: pd.DataFrame, sections: list[Section], width: int) -> list[list[Section]]:
    """Tables of sections: all in one if that fits, else one each, cut where even that is too wide."""
    if not len(part) or not sections:
        return []
    places = max(len(place) for place in places_with_groups(part))
    free = width - places - 1 - max(cell_len(str(title)) for title in ("Method", *part["title"]))
    separators = 2 * (len(sections) - 1)
    if sum(_width(part, column) for _, columns in sections for column in columns) + separators <= free:
        return [sections]
    result: list[list[Section]] = []
    for title, columns in sections:
        piece: list[Column] = []
        for column in columns:
            if piece and sum(_width(part, other) for other in (*piece, column)) > free:
                result.append([(title, piece)])
                piece = []
            piece = [*piece, column]
        result.append([(title, piece)])
    return result


def _table(part: pd.DataFrame, sections: list[Section]) -> Table:
    title = Text(" | ".join(title for title, _ in sections), style="italic")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    units = any(column.unit for _, columns in sections for column in columns)
    table.add_column("#\n" if units else "#", justify="right", no_wrap=True)
    table.add_column("Method\n" if units else "Method", no_wrap=True)
    cells = [[Text(place) for place in places_with_groups(part)], [Text(str(title)) for title in part["title"]]]
    for number, (_, columns) in enumerate(sections):
        if number:
            table.add_column(Text("|\n|" if units else "|"))
            cells.append([Text("|")] * len(part))
        for column in columns:
            table.add_column(Text(_header(column, units)), justify="right", no_wrap=True)
            cells.append(_cells(part, column))
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    return table


def _header(column: Column, units: bool) -> str:
    return f"{column.title}{column.arrow}" + (f"\n{column.unit}" if units else "")


def _cells(part: pd.DataFrame, column: Column) -> list[Text]:
    values, found, behind = column.values(part), marks(part, column), _spreads(part, column)
    widest = max((len(text) for text in behind), default=0)
    return [
        Text(column.text(value), style=STYLES.get(found.get(row, 0), "")).append(
            text.ljust(widest), style="not bold not underline"
        )
        for (row, value), text in zip(values.items(), behind, strict=True)
    ]


def _spreads(part: pd.DataFrame, column: Column) -> list[str]:
    """What stands behind the means: the spread over seeds; a spread over images would take the room of other columns."""
    shown = spread(part)
    if shown.name != "seed_std" or f"{column.name}_seed_std" not in part:
        return suffixes(part, column)
    return ["" if pd.isna(value) else f"±{column.text(value)}" for value in shown.values(part, column)]


def _width(part: pd.DataFrame, column: Column) -> int:
    header = max(cell_len(line) for line in _header(column, units=True).split("\n"))
    behind = max((len(text) for text in _spreads(part, column)), default=0)
    return 1 + max(header, *(len(column.text(value)) + behind for value in column.values(part)))
