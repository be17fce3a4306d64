"""LaTeX tables in the form that papers on fusion use: reduced and full resolution side by side, one table a dataset."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from waldbench.bench.files import write_atomically
from waldbench.bench.reports.latex_text import escape, sentence, symbol
from waldbench.bench.results import leaderboard, sweeps
from waldbench.bench.results.cautions import cautions, letters
from waldbench.bench.results.columns import (
    SOURCES,
    Column,
    Spread,
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
from waldbench.bench.results.scores import samples
from waldbench.bench.results.store import Store
from waldbench.imaging.tracks import SPLITS

Groups = list[tuple[str, list[Column]]]
# Of best and second best.
MARKS = ("%s", r"\textbf{%s}", r"\underline{%s}")
NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?")

# Width of a table: its own, but at most that of the text.
SHRUNK = r"\ifdim\width>\textwidth\textwidth\else\width\fi"
# Letters of a failure's reason in a table; a longer line would shrink all numbers. The CSV file has the whole.
REASON = 90
PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage[utf8]{inputenc}
\usepackage{booktabs}
\usepackage{graphicx}
\setlength{\abovecaptionskip}{0pt}
\setlength{\belowcaptionskip}{6pt}
"""
SIUNITX = r"""\usepackage{siunitx}
\sisetup{mode=text,reset-text-series=false,group-digits=none}
\sisetup{table-number-alignment=right,table-text-alignment=right}
"""


def write(store: Store, frame: pd.DataFrame | None = None, siunitx: bool = False) -> list[Path]:
    """Write one quality and one cost table a dataset and `all.tex`, a document with all of them, to `<root>/tables`.

    Args:
        store: the results.
        frame: their leaderboard, where it has been built already.
        siunitx: align numbers at the decimal point with the package siunitx (3 or newer) instead of at their right ends.
    """
    frame = leaderboard.build(store) if frame is None else frame
    tables: dict[str, str] = {}
    joint = sweeps.build(store, frame, samples(store)) if sweeps.known(store) else frame.iloc[:0]
    for name, part in [*leaderboard.groups(frame), *leaderboard.groups(joint)]:
        tables[name] = quality_table(part, f"tab:{name}", siunitx)
        tables[f"{name}_cost"] = cost_table(part, f"tab:{name}-cost", siunitx)
    inputs = "".join(f"\\input{{{name}}}\n" for name in tables) or "There are no results yet.\n"
    folder = store.root / "tables"
    files = {folder / f"{name}.tex": text for name, text in tables.items()} | {
        folder / "all.tex": f"{PREAMBLE}{SIUNITX if siunitx else ''}\\begin{{document}}\n{inputs}\\end{{document}}\n"
    }
    for path, text in files.items():
        write_atomically(path, text.encode())
    return list(files)


def quality_table(part: pd.DataFrame, label: str, siunitx: bool = False) -> str:
    """The indices of one table of the leaderboard, mean and standard deviation, as a float with caption and notes."""
    columns = {split: index_columns(part, split) for split in SPLITS}
    groups = [(title, columns[split]) for split, title in headings(part).items() if columns[split]]
    shown = spread(part)
    values = (
        f"Mean ± standard deviation over {counts(part)}" if shown.name == "std" else f"Mean over {counts(part)} ± {shown.words}"
    )
    caption = f"{data_title(part)}. {values}. Best in bold, second best underlined. Protocol {part.iloc[0]['protocol']}."
    titled = dict.fromkeys((column.title, column.convention) for _, group in groups for column in group if column.convention)
    notes = [f"{symbol(title)}: {sentence(convention)}." for title, convention in titled]
    notes = [f"Conventions of the indices. {' '.join(notes)}"] if notes else []
    notes += [f"{escape(line)}." for line in origins(part)]
    notes += [escape(caution) for caution in cautions(part)]
    return _float(part, groups, caption, label, notes, siunitx)


def cost_table(part: pd.DataFrame, label: str, siunitx: bool = False) -> str:
    """Parameters, operations, latency and memory of one table of the leaderboard."""
    row = part.iloc[0]
    caption = (
        f"Cost on {data_title(part)}: MACs, FLOPs and latency for a guide of 256 × 256 pixels (batch 1), peak memory for "
        f"512 × 512. {machines(part) or 'Nothing was measured'}. Protocol {row['protocol']}."
    )
    return _float(part, [("", cost_columns(part))], caption, label, [], siunitx)


def _float(part: pd.DataFrame, groups: Groups, caption: str, label: str, notes: list[str], siunitx: bool) -> str:
    lines = [r"\begin{table*}[p]", r"\centering", f"\\caption{{{_loud(escape(caption))}}}", f"\\label{{{label}}}"]
    lines += [f"\\resizebox{{{SHRUNK}}}{{!}}{{%", f"{_tabular(part, groups, siunitx)}%", "}"]
    if notes:
        lines += [r"\par\smallskip", f"\\parbox{{\\textwidth}}{{\\footnotesize {' '.join(notes)}}}"]
    return "\n".join([*lines, r"\end{table*}", ""])


def _loud(caption: str) -> str:
    simulated = escape(SOURCES["simulated"])
    return caption.replace(simulated, f"\\textbf{{{simulated}}}")


def _tabular(part: pd.DataFrame, groups: Groups, siunitx: bool) -> str:
    good = part[part["status"] == "ok"]
    shown = spread(part)
    blocks = [[_block(good, column, shown, siunitx) for column in columns] for _, columns in groups]
    flat = [block for row in blocks for block in row] or [_Block(["r"], "Result", [["no index was computed"]] * len(good))]
    heads = [r"\toprule"]
    compared = any(title for title, _ in groups)
    if compared:
        heads += _spans([title for title, _ in groups], [sum(len(block.kinds) for block in row) for row in blocks])
    heads += [" & ".join(["Method", *(block.header() for block in flat)]) + r" \\", r"\midrule"]
    names = [
        escape(title) + (f"$^{{\\mathrm{{{letter}}}}}$" if letter and compared else "")
        for title, letter in zip(good["title"], letters(good), strict=True)
    ]
    rows = [[name, *(cell for block in flat for cell in block.rows[number])] for number, name in enumerate(names)]
    kinds = [kind for block in flat for kind in block.kinds]
    lines = [f"\\begin{{tabular}}{{l{''.join(kinds)}}}", *heads, *(_guarded(" & ".join(row)) + r" \\" for row in rows)]
    return "\n".join([*lines, *_failures(part, len(kinds)), r"\bottomrule", r"\end{tabular}"])


def _guarded(row: str) -> str:
    r"""A row whose first letter is not taken for an argument of the `\\\\` before it."""
    return f"{{}}{row}" if row.startswith(("[", "*")) else row


def _spans(titles: list[str], widths: list[int]) -> list[str]:
    """The upper headings, and short rules below them."""
    first, rules = 2, ""
    for width in widths:
        rules += f"\\cmidrule(lr){{{first}-{first + width - 1}}}"
        first += width
    return [
        "".join(f" & \\multicolumn{{{width}}}{{c}}{{{title}}}" for title, width in zip(titles, widths, strict=True)) + r" \\",
        rules,
    ]


def _failures(part: pd.DataFrame, width: int) -> list[str]:
    failed = remarks(part[part["status"] != "ok"])
    short = [(title, textwrap.shorten(reason, REASON, placeholder=" ...")) for title, reason in failed]
    return [
        f"{_guarded(escape(title))} & \\multicolumn{{{width}}}{{l}}{{failed: {escape(reason)}}} \\\\" for title, reason in short
    ]


@dataclass(frozen=True)
class _Block:
    """One column of numbers as one or two columns of a tabular: their kinds, the title, the cells of each row."""

    kinds: list[str]
    title: str
    rows: list[list[str]]

    def header(self) -> str:
        aligned = self.kinds[0] != "r"
        return (
            f"\\multicolumn{{{len(self.kinds)}}}{{{'c' if len(self.kinds) > 1 else 'r'}}}{{{self.title}}}"
            if aligned
            else self.title
        )


def _block(part: pd.DataFrame, column: Column, shown: Spread, siunitx: bool) -> _Block:
    values = column.values(part)
    found = marks(part, column)
    means = ["--" if pd.isna(value) else column.text(value) for value in values]
    means = [f"{mean}{'$^{*}$' if after else ''}" for mean, after in zip(means, suffixes(part, column), strict=True)]
    spreads = ["" if pd.isna(value) else f"{{\\scriptsize $\\pm$ {column.text(value)}}}" for value in shown.values(part, column)]
    title = f"{symbol(column.title)}{f' ({escape(column.unit)})' if column.unit else ''} {escape(column.arrow)}".strip()
    if not siunitx:
        marked = [MARKS[found.get(row, 0)] % mean for row, mean in zip(values.index, means, strict=True)]
        return _Block(["r"], title, [[f"{mean} {after}".strip()] for mean, after in zip(marked, spreads, strict=True)])
    kinds = [_aligned(means)]
    decimals = max(len(mean.partition(".")[2]) for mean in means)
    marked = [_mark(mean, found.get(row, 0), decimals) for row, mean in zip(values.index, means, strict=True)]
    if not any(spreads):
        return _Block(kinds, title, [[mean] for mean in marked])
    return _Block([*kinds, r"@{\,}l"], title, [list(row) for row in zip(marked, spreads, strict=True)])


def _aligned(means: list[str]) -> str:
    """Kind of a column that aligns these numbers at the decimal point; its width is that of the longest parts."""
    numbers = [NUMBER.fullmatch(mean) for mean in means]
    parts = [(found[1], found[2], len(found[3] or "")) for found in numbers if found]
    sign = "-" if any(minus for minus, _, _ in parts) else ""
    whole, decimals = (max((size, *sizes)) for size, sizes in ((1, [len(p[1]) for p in parts]), (0, [p[2] for p in parts])))
    return f"S[table-format={sign}{whole}.{decimals}]"


def _mark(mean: str, place: int, decimals: int) -> str:
    if not NUMBER.fullmatch(mean):
        return f"{{{mean}}}"
    # siunitx cannot read an underlined number: it is set as text, which stands at the right edge; invisible digits fill up.
    own = mean.partition(".")[2]
    missing = ("" if own or not decimals else ".") + "0" * (decimals - len(own))
    filler = f"\\phantom{{{missing}}}" if missing else ""
    return ("%s", r"\bfseries %s", f"{{\\underline{{%s}}{filler}}}")[place] % mean
