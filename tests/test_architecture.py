"""The pictures of docs/architecture.md hold against the code: every package is there, and every import goes down."""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import pytest

TEXT = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURES = re.findall(r"```mermaid\n(.*?)```", TEXT, flags=re.DOTALL)
PARENTS = ("waldbench", "waldbench.bench")
PAIRS = list(zip(PARENTS, PICTURES, strict=True))


def lines(picture):
    """Names of each line of a picture, from the top."""
    blocks = re.findall(r"subgraph \w+ \[.*?\]\n(.*?)\n  end", picture, flags=re.DOTALL)
    return [block.split() for block in blocks]


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("waldbench", cache_dir=None)


@pytest.mark.parametrize(("parent", "picture"), PAIRS, ids=PARENTS)
def test_every_package_is_in_the_picture_once(graph, parent, picture):
    drawn = [name for line in lines(picture) for name in line]
    assert sorted(drawn) == sorted(child.rpartition(".")[2] for child in graph.find_children(parent))


@pytest.mark.parametrize(("parent", "picture"), PAIRS, ids=PARENTS)
def test_every_import_goes_down(graph, parent, picture):
    place = {name: number for number, line in enumerate(lines(picture)) for name in line}
    wrong = [
        f"{upper} imports {lower}"
        for upper in place
        for lower in place
        if place[lower] <= place[upper] and lower != upper
        if _inside(graph, parent, upper, lower)
    ]
    assert wrong == []
    assert sum(bool(_inside(graph, parent, upper, lower)) for upper in place for lower in place if upper != lower) >= 5


def _inside(graph, parent, upper, lower):
    """Modules of `lower` that modules of `upper` import."""
    above = {f"{parent}.{upper}", *graph.find_descendants(f"{parent}.{upper}")}
    below = {f"{parent}.{lower}", *graph.find_descendants(f"{parent}.{lower}")}
    return {found for module in above for found in graph.find_modules_directly_imported_by(module)} & below
