"""LaTeX tables in the form that papers on fusion use: reduced and full resolution side by side, one table a dataset."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from pathlib import Path

import pandas as pd

from bench import leaderboard
from bench.columns import (
    SOURCES,
    SPLITS,
    Column,
    cost_columns,
    counts,
    data_title,
    index_columns,
    machines,
    origins,
    places,
    remarks,
)
from bench.store import Store, write_atomically

SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"}
SPECIAL |= {
    "°": r"$^\circ$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "·": r"$\cdot$",
}
SPECIAL |= {"≤": r"$\leq$", "≥": r"$\geq$", "→": r"$\rightarrow$", "∞": r"$\infty$", "²": "$^2$", "³": "$^3$", "µ": r"$\mu$"}
SPECIAL |= {"–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "…": r"\dots{}", "√": r"$\surd$", "∈": r"$\in$"}
GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi o pi rho "
GREEK += "varsigma sigma tau upsilon phi chi psi omega"
SPECIAL |= {chr(0x3B1 + number): "o" if name == "o" else f"$\\{name}$" for number, name in enumerate(GREEK.split())}
CAPITALS = {"Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi"}
SPECIAL |= {letter: f"$\\{name}$" for letter, name in (CAPITALS | {"Ω": "Omega"}).items()}
# Latin letters that LaTeX's default font encoding cannot compose.
UNPRINTABLE = frozenset("ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")
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
\begin{document}
"""


def write(store: Store, frame: pd.DataFrame | None = None, siunitx: bool = False) -> list[Path]:
    """Write one quality and one cost table a dataset and `all.tex`, a document with all of them, to `<root>/tables`."""
    frame = leaderboard.build(store) if frame is None else frame
    tables: dict[str, str] = {}
    for name, part in leaderboard.groups(frame):
        tables[name] = quality_table(part, f"tab:{name}")
        tables[f"{name}_cost"] = cost_table(part, f"tab:{name}-cost")
    inputs = "".join(f"\\input{{{name}}}\n" for name in tables) or "There are no results yet.\n"
    folder = store.root / "tables"
    files = {folder / f"{name}.tex": text for name, text in tables.items()} | {
        folder / "all.tex": f"{PREAMBLE}{inputs}\\end{{document}}\n"
    }
    for path, text in files.items():
        write_atomically(path, text.encode())
    return list(files)


def quality_table(part: pd.DataFrame, label: str) -> str:
    """The indices of one table of the leaderboard, mean and standard deviation, as a float with caption and notes."""
    columns = {split: index_columns(part, split) for split in SPLITS}
    groups = [(title, columns[split]) for split, title in SPLITS.items() if columns[split]]
    caption = (
        f"{data_title(part)}. Mean ± standard deviation over {counts(part)}. Best in bold, second best underlined. "
        f"Protocol {part.iloc[0]['protocol']}."
    )
    notes = dict.fromkeys((column.title, column.convention) for _, group in groups for column in group if column.convention)
    text = " ".join(f"{symbol(title)}: {escape(convention)}." for title, convention in notes)
    zoo = " ".join(f"{escape(line)}." for line in origins(part))
    return _float(part, groups, caption, label, f"{f'Conventions of the indices. {text}' if text else ''} {zoo}".strip())


def cost_table(part: pd.DataFrame, label: str) -> str:
    """Parameters, operations, latency and memory of one table of the leaderboard."""
    row = part.iloc[0]
    caption = (
        f"Cost on {data_title(part)}: MACs, FLOPs and latency for a guide of 256 × 256 pixels (batch 1), peak memory for "
        f"512 × 512. {machines(part) or 'Nothing was measured'}. Protocol {row['protocol']}."
    )
    return _float(part, [("", cost_columns(part))], caption, label, "")


def _float(part: pd.DataFrame, groups: list[tuple[str, list[Column]]], caption: str, label: str, notes: str) -> str:
    lines = [r"\begin{table*}[p]", r"\centering", f"\\caption{{{_loud(escape(caption))}}}", f"\\label{{{label}}}"]
    lines += [f"\\resizebox{{{SHRUNK}}}{{!}}{{%", f"{_tabular(part, groups).strip()}%", "}"]
    if notes:
        lines += [r"\par\smallskip", f"\\parbox{{\\textwidth}}{{\\footnotesize {notes}}}"]
    return "\n".join([*lines, r"\end{table*}", ""])


def _loud(caption: str) -> str:
    simulated = escape(SOURCES["simulated"])
    return caption.replace(simulated, f"\\textbf{{{simulated}}}")


def _tabular(part: pd.DataFrame, groups: list[tuple[str, list[Column]]]) -> str:
    good = part[part["status"] == "ok"]
    cells = {("", "Method"): [escape(title) for title in good["title"]]}
    for title, columns in groups:
        cells |= {(title, _header(column)): _cells(good, column) for column in columns}
    if len(cells) == 1:
        cells["", "Result"] = ["no index was computed"] * len(good)
    body = pd.DataFrame(cells, dtype=object)
    width = body.shape[1] - 1
    text = str(body.style.hide(axis="index").to_latex(column_format="l" + "r" * width, hrules=True, multicol_align="c"))
    if any(title for title, _ in groups):
        text = _add_rules(text, [len(columns) for _, columns in groups])
    else:
        text = re.sub(r"(?<=\\toprule\n).*\\\\\n", "", text, count=1)
    failed = [
        (title, textwrap.shorten(reason, REASON, placeholder=" ...")) for title, reason in remarks(part[part["status"] != "ok"])
    ]
    span = f"\\multicolumn{{{width}}}{{l}}"
    rows = "".join(f"{escape(title)} & {span}{{failed: {escape(reason)}}} \\\\\n" for title, reason in failed)
    return text.replace("\\bottomrule", f"{rows}\\bottomrule")


def _add_rules(text: str, widths: list[int]) -> str:
    """Short rules below the two headings, which Styler cannot draw."""
    rules, first = "", 2
    for width in widths:
        rules += f"\\cmidrule(lr){{{first}-{first + width - 1}}}"
        first += width
    return re.sub(r"(\\toprule\n.*\\\\\n)", lambda found: f"{found[1]}{rules}\n", text, count=1)


def _header(column: Column) -> str:
    unit = f" ({escape(column.unit)})" if column.unit else ""
    return f"{symbol(column.title)}{unit} {escape(column.arrow)}".strip()


def _cells(part: pd.DataFrame, column: Column) -> list[str]:
    values = column.values(part)
    spread = part.get(f"{column.name}_std", pd.Series(float("nan"), part.index))
    marks = {row: (r"\textbf{%s}", r"\underline{%s}")[place - 1] for row, place in places(column, values).items()}
    cells: list[str] = []
    for (row, value), deviation in zip(values.items(), spread, strict=True):
        text = "--" if pd.isna(value) else column.text(value)
        mean = marks.get(row, "%s") % text
        cells.append(mean if pd.isna(deviation) else f"{mean} {{\\scriptsize $\\pm$ {column.text(deviation)}}}")
    return cells


def symbol(title: str) -> str:
    """A title whose first underscore starts a subscript, in LaTeX: D_λ,K becomes a D with the index λ,K."""
    base, underscore, index = title.partition("_")
    return f"{escape(base)}$_{{\\mathrm{{{_plain(index)}}}}}$" if underscore and index else escape(title)


def _plain(text: str) -> str:
    """Text inside math mode."""
    return escape(text).replace("$", "")


def escape(text: str) -> str:
    """Any text as LaTeX that pdflatex compiles; characters it cannot print become "?"."""
    return "".join(SPECIAL.get(character) or _printable(character) for character in text)


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    if character.isascii() or (character.isalpha() and character < "\u0180" and character not in UNPRINTABLE):
        return character if character.isprintable() else "?"
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(SPECIAL.get(letter, letter) for letter in plain) if plain.isprintable() and plain else "?"
