import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.bench.fake_store import SCORES, add, fail
from waldbench.bench.reports import terminal
from waldbench.bench.results import leaderboard
from waldbench.bench.results.store import Store

WIDE = {key: [0.9 + 0.01 * number] for number, key in enumerate(["sam", "ergas", "q2n", "scc", "psnr", "ssim"])}
WIDE |= {key: [0.1] for key in ("d_lambda_k", "d_s", "hqnr")}


@pytest.fixture
def frame(tmp_path):
    store = Store(tmp_path)
    for method in SCORES:
        add(store, method)
    fail(store, "broken", "OutOfMemoryError: tried to allocate far more memory than this small machine has ever had, by a lot")
    return leaderboard.build(store)


def plain(frame):
    stream = io.StringIO()
    terminal.show(frame, Console(file=stream))
    return stream.getvalue()


def coloured(frame, width):
    stream = io.StringIO()
    terminal.show(frame, Console(file=stream, force_terminal=True, width=width, legacy_windows=False))
    return stream.getvalue()


def stripped(text):
    return Console(file=io.StringIO()).render_str("").from_ansi(text).plain


def test_a_pipe_gets_plain_text_with_everything(frame):
    text = plain(frame)
    assert "\x1b" not in text
    assert "…" not in text
    lines = text.splitlines()
    row = next(line.split() for line in lines if line.startswith("1 NET"))
    assert row == ["1", "NET", "3.5000", "4.0000", "35.500", "|", "0.0300", "0.0400", "0.9312"]
    assert any(line.split()[:3] == ["#", "Method", "SAM↓"] for line in lines)
    assert "WorldView-2, wv2-simulated, SIMULATED data" in text
    assert "protocol quick-0123abcd, 2 reduced and 1 full images, 1 seed" in text
    assert any(line.startswith("Failed: BROKEN: OutOfMemoryError") and line.rstrip().endswith("by a lot") for line in lines)


def test_costs_have_units_and_three_digits(frame):
    lines = plain(frame).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Cost"))
    row = next(line.split() for line in lines[start:] if line.startswith("1 NET"))
    assert row == ["1", "NET", "466", "28.0", "57.0", "612", "310", "101"]
    exp = next(line.split() for line in lines[start:] if "EXP" in line)
    assert exp == ["3", "EXP", "0", "0", "0.00300", "5.50", "310", "-"]


def test_best_is_bold_and_second_underlined(frame):
    text = coloured(frame, 100)
    assert "\x1b[1m4.0000\x1b[0m" in text  # ERGAS of NET
    assert "\x1b[4m4.5000\x1b[0m" in text  # ERGAS of GSA
    assert "\x1b[1m0.0200\x1b[0m" in text  # D_lambda,K of EXP
    assert "\x1b[1m310\x1b[0m" not in text  # equal for all: no best


@pytest.mark.parametrize("width", [100, 80, 60, 40])
def test_nothing_is_wider_than_the_terminal_nor_cut(tmp_path, width):
    store = Store(tmp_path)
    for method in SCORES:
        add(store, method, WIDE)
    text = stripped(coloured(leaderboard.build(store), width))
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for title in ("SAM↓", "ERGAS↓", "Q2n↑", "SCC↑", "PSNR↑", "SSIM↑", "D_λ,K↓", "HQNR↑", "CPU↓"):
        assert text.count(title) == 1
    assert text.count("0.9400") == 3


def test_titles_are_text_not_markup(tmp_path):
    store = Store(tmp_path)
    add(store, "net", method={"title": "[red]Net[/]"})
    assert "[red]Net[/]" in plain(leaderboard.build(store))


def test_an_index_without_a_card_is_shown_by_its_key(tmp_path):
    store = Store(tmp_path)
    add(store, "net", {"gone_index": [0.5]})
    assert "gone_index" in plain(leaderboard.build(store))


def test_an_empty_store_says_how_to_begin(tmp_path):
    assert "run_bench.py" in plain(leaderboard.build(Store(tmp_path)))
