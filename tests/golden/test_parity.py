from __future__ import annotations

import re

import pytest

from tests.golden.parity import DOCUMENT, Row, rows, table


@pytest.fixture(scope="module")
def lines() -> list[Row]:
    return list(rows())


def test_every_row_is_within_its_tolerance(lines, capsys):
    with capsys.disabled():
        print("\n" + table(lines).split("\n\n")[-1])
    far = [row for row in lines if not row.worst <= row.tolerance]
    assert not far


def test_document_lists_the_same_rows(lines):
    cells = re.findall(r"^\| (\w+) \| (.+?) \| .+? \| (.+?) \|$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    written = [cell for cell in cells if cell[0] != "kind"]
    assert written == [(row.group, row.name, f"{row.tolerance:.0e}") for row in lines], "run python -m tests.golden.parity"
