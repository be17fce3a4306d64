"""What a run gives to Python: its tables as DataFrames, LaTeX, figures, and a display in notebooks."""

from __future__ import annotations

import html
import io
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from waldbench.bench.results import leaderboard, sweeps
from waldbench.bench.results.scores import samples
from waldbench.bench.results.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Result:
    """The results of one run.

    Attributes:
        folder: where they are kept.
        ok: whether every cell succeeded.
        leaderboard: one row a protocol, dataset and method, as `leaderboard.csv` has it (docs/results.md).
        scores: one row a protocol, dataset, method, seed, image and index, as `scores.csv` has it.
    """

    def __init__(self, store: Store, wanted: Collection[tuple[str, str]], ok: bool) -> None:
        self._store, self.folder, self.ok = store, store.root, ok
        self._samples = samples(store)
        frame = leaderboard.build(store, self._samples)
        frame = pd.concat([frame, sweeps.build(store, frame, self._samples)], ignore_index=True)
        keys = zip(frame["protocol"], frame["dataset"], strict=True)
        self.leaderboard = frame[[key in wanted for key in keys]].reset_index(drop=True)
        known = {name for joint, ids in sweeps.known(store).items() for name in (joint, *ids) if self._has(joint)}
        mine = self._samples["protocol"].isin({*self.leaderboard["protocol"], *known})
        here = mine & self._samples["dataset"].isin(self.leaderboard["dataset"])
        self.scores = self._samples[here].drop(columns=["source", "fingerprint"]).reset_index(drop=True)

    def _has(self, protocol: str) -> bool:
        return bool((self.leaderboard["protocol"] == protocol).any())

    @property
    def failed(self) -> dict[str, str]:
        """Reason by method of what failed, wholly or for some seeds."""
        rows = self.leaderboard[self.leaderboard["reason"] != ""]
        return dict(zip(rows["method"], rows["reason"], strict=True))

    def to_latex(self, siunitx: bool = False) -> str:
        """The tables of indices as LaTeX; they need the packages `booktabs` and `graphicx`."""
        from waldbench.bench.reports.latex import quality_table

        return "\n".join(quality_table(part, f"tab:{name}", siunitx) for name, part in leaderboard.groups(self.leaderboard))

    def figure(self, kind: str = "cost", dataset: str | None = None) -> Figure:
        """Draw one figure of a table.

        Args:
            kind: as in docs/results.md: "cost", "cuda", "flops", "parameters", "boxes", "ranks", "training", an image such as
                "reduced-0", or "reduced-0_detail".
            dataset: label of the table where there are several; the first by default.

        Raises:
            ValueError: for a kind that there is not, naming those there are, or one with nothing to show.
        """
        from waldbench.bench.figures import style, writer

        found = {name: part for name, part in leaderboard.groups(self.leaderboard) if dataset in {None, part.iloc[0]["dataset"]}}
        if not found:
            raise ValueError(f"no table of '{dataset}'; expected one of {', '.join(self.leaderboard['dataset'].unique())}")
        name, part = next(iter(found.items()))
        drawings = dict(writer.drawings(self._store, name, part, self._samples))
        if kind not in drawings:
            raise ValueError(f"no figure '{kind}'; expected one of {', '.join(drawings)}")
        with style.settings():
            figure = drawings[kind].draw()
        if figure is None:
            raise ValueError(f"figure '{kind}' has nothing to show here; docs/results.md says what it needs")
        return figure

    def __repr__(self) -> str:
        from rich.console import Console

        from waldbench.bench.reports import terminal

        stream = io.StringIO()
        terminal.show(self.leaderboard, Console(file=stream, markup=False, highlight=False, width=120))
        return stream.getvalue().strip()

    def _repr_html_(self) -> str:
        """The tables for a notebook; best values bold, second best underlined."""
        return "\n".join(_html(part) for _, part in leaderboard.groups(self.leaderboard)) or "<p>No results.</p>"


def _html(part: pd.DataFrame) -> str:
    from waldbench.bench.results.columns import counts, data_title
    from waldbench.bench.site import model

    table = model.table(part)
    columns = [column for group in table["groups"] for column in group["columns"]]
    heads = "".join(f"<th>{html.escape(' '.join((column['title'], column['arrow'])))}</th>" for column in columns)
    rows = []
    for row in table["rows"]:
        cells = "".join(f"<td>{_marked(cell['text'], cell['mark'])}</td>" for cell in row["cells"])
        if row["failed"]:
            cells = f'<td colspan="{len(columns)}">failed: {html.escape(str(row["reason"]))}</td>'
        place = "" if row["rank"] is None else f"{row['rank']}{row['group']}"
        rows.append(f"<tr><td>{place}</td><td>{html.escape(str(row['title']))}</td>{cells}</tr>")
    caption = f"{data_title(part)}; protocol {part.iloc[0]['protocol']}, {counts(part)}"
    head = f"<thead><tr><th>#</th><th>Method</th>{heads}</tr></thead>"
    return f"<table><caption>{html.escape(caption)}</caption>{head}<tbody>{''.join(rows)}</tbody></table>"


def _marked(text: str, mark: str) -> str:
    tag = {"best": "b", "second": "u"}.get(mark)
    return f"<{tag}>{html.escape(text)}</{tag}>" if tag else html.escape(text)


def of(folder: Path) -> Result:
    """Everything in a results folder.

    Raises:
        ValueError: if there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"results folder '{folder}' not found")
    store = Store(folder)
    frame = leaderboard.build(store)
    wanted = set(zip(frame["protocol"], frame["dataset"], strict=True))
    return Result(store, wanted, bool((frame["reason"] == "").all()))
