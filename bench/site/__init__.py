"""The web page of the results: one folder that opens from disk, without a server and without a network.

`index.html` holds the tables themselves, so that it can be read, searched and printed where scripts are off. What only scripts
need (numbers of the charts, scores per image, pictures) lies beside it as `.js` files: a browser that opens a page from disk may
load scripts, but no JSON. Pictures keep the name of their content; one that did not change is linked from the page before.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from waldbench.bench.results import leaderboard
from waldbench.bench.results.scores import samples
from waldbench.bench.results.store import Store
from waldbench.bench.site import cards, model, pictures
from waldbench.imaging.tracks import TASKS

HERE = Path(__file__).parent
Context = dict[str, Any]


def write(store: Store, frame: pd.DataFrame | None = None) -> list[Path]:
    """Write the page of a store to `<root>/site`, replacing the one before as a whole.

    Args:
        store: the results.
        frame: the leaderboard, where it has been built already.

    Returns:
        Path of `index.html`.

    Raises:
        OSError: if the folder cannot be written; the page before is left as it was.
    """
    frame = leaderboard.build(store) if frame is None else frame
    site = store.root / "site"
    cells, found = list(store.cells()), samples(store)
    with _replaced(site) as folder:
        chart = _copy_assets(folder / "assets")
        parts = [(name, part, model.members(part, cells)) for name, part in leaderboard.groups(frame)]
        groups = [_group(store, folder, name, part, members, found) for name, part, members in parts]
        (folder / "index.html").write_text(_render(groups, chart), encoding="utf-8")
    return [site / "index.html"]


def _group(store: Store, folder: Path, name: str, part: pd.DataFrame, members: cards.Members, found: pd.DataFrame) -> Context:
    """Everything about one table: its context for the template; data and pictures are written on the way."""
    shots = pictures.write(store, part, members, folder / "images" / name, store.root / "site" / "images" / name)
    data = model.chart_data(part) | {"pictures": shots, "scores": model.image_scores(part, found)}
    _write_script(folder / "data" / f"{name}.js", name, data)
    return {"id": name} | model.heading(part) | {"table": model.table(part)} | cards.facts(part, members)


def _write_script(path: Path, name: str, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    path.write_text(f"waldbench.receive({json.dumps(name)},{text});\n", encoding="utf-8")


def _copy_assets(folder: Path) -> bool:
    """Copy style, scripts and plotly's own script; False where plotly is not installed, and the chart is left out."""
    shutil.copytree(HERE / "assets", folder)
    plotly = find_spec("plotly")  # finds the files without importing them: a second saved in every run
    source = Path(plotly.origin).parent / "package_data" / "plotly.min.js" if plotly and plotly.origin else None
    if source is None or not source.is_file():
        return False
    shutil.copyfile(source, folder / "plotly.min.js")
    return True


def _render(groups: list[Context], chart: bool) -> str:
    import jinja2

    loader = jinja2.FileSystemLoader(HERE / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"symbol": _symbol, "ticks": _ticks}
    found = dict.fromkeys(group["task"] for group in groups)
    order = [*(task for task in TASKS if task in found), *(task for task in found if task not in TASKS)]
    tasks = [
        {"id": f"task-{task or 'none'}", "title": TASKS.get(task, task or "Unknown task"), "groups": members}
        for task in order
        if (members := [group for group in groups if group["task"] == task])
    ]
    return environment.get_template("index.html").render(tasks=tasks, chart=chart)


def _symbol(title: str) -> Any:
    """A title whose first underscore starts a subscript: D_λ,K becomes a D with the index λ,K."""
    from markupsafe import Markup

    base, underscore, index = title.partition("_")
    return Markup("{}<sub>{}</sub>").format(base, index) if underscore and index else title


def _ticks(text: str) -> Any:
    """Text whose parts between backticks are set as code."""
    from markupsafe import Markup

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return text
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts))


@contextmanager
def _replaced(site: Path) -> Iterator[Path]:
    """A fresh folder beside `site` that takes its place at the end; if anything fails, nothing changes."""
    site.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (site.with_name(f".site.{os.getpid()}.{name}") for name in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        yield fresh
        with suppress(FileNotFoundError):
            os.replace(site, old)
        try:
            os.replace(fresh, site)
        except OSError:
            with suppress(OSError):
                os.replace(old, site)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
