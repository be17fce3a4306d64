import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from tests.bench.fake_store import PROTOCOL, SCORES, add, fail
from waldbench.bench.reports import latex
from waldbench.bench.results import leaderboard
from waldbench.bench.results.columns import SPLITS, cost_columns, index_columns
from waldbench.bench.results.store import Store

NAME = f"{PROTOCOL}_wv2-simulated"
HOSTILE = 'A_b & 100% #1 $x {y} \\z ~ ^ <|> " λ Ω µ ° ± ≤ é ß Ł ż 网 \u200b \x07 ...'


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    for method in SCORES:
        add(store, method)
    return store


def rows(text):
    """Cells of every body row of the first tabular."""
    body = text.split("\\midrule")[1].split("\\bottomrule")[0]
    return [[cell.strip() for cell in line.strip().removesuffix("\\\\").split(" & ")] for line in body.strip().splitlines()]


def numbers(cell):
    return [float(number) for number in re.findall(r"\d+\.\d+", cell)]


def compile_tables(folder):
    missing = [tool for tool in ("pdflatex", "pdftoppm") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed; tables are checked as text only")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    log = done.stdout.decode("latin-1")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log
    assert "undefined" not in log
    subprocess.run(["pdftoppm", "-r", "40", "-png", "all.pdf", "page"], cwd=folder, timeout=60, check=True)
    return sorted(folder.glob("page*.png"))


def test_printed_numbers_are_those_of_the_csv(store):
    leaderboard.write(store)
    latex.write(store)
    csv = pd.read_csv(store.root / "leaderboard.csv")
    printed = rows((store.root / "tables" / f"{NAME}.tex").read_text())
    stems = ["reduced_sam", "reduced_ergas", "reduced_psnr", "full_d_lambda_k", "full_d_s", "full_hqnr"]
    assert [row[0] for row in printed] == csv["title"].tolist()
    for (_, expected), row in zip(csv.iterrows(), printed, strict=True):
        assert len(row) == 1 + len(stems)
        for stem, cell in zip(stems, row[1:], strict=True):
            decimals = 3 if stem == "reduced_psnr" else 4
            wanted = [expected[f"{stem}_{name}"] for name in ("mean", "std")]
            assert numbers(cell) == [round(value, decimals) for value in wanted if pd.notna(value)]


def test_best_is_bold_second_underlined_in_the_direction_of_each_index(store):
    latex.write(store)
    net, gsa, exp = rows((store.root / "tables" / f"{NAME}.tex").read_text())
    assert net[2].startswith(r"\textbf{4.0000} {\scriptsize $\pm$ 1.4142}")
    assert gsa[2].startswith(r"\underline{4.5000}")
    assert exp[2].startswith("7.0000")
    assert net[3].startswith(r"\textbf{35.500}")
    assert (exp[4], net[4], gsa[4]) == (r"\textbf{0.0200}", r"\underline{0.0300}", "0.0500")


def test_values_that_print_alike_share_a_mark(tmp_path):
    store = Store(tmp_path)
    for method, value in (("exp", 2.00001), ("gsa", 2.00002), ("net", 3.0)):
        add(store, method, {"ergas": [value]})
    latex.write(store)
    cells = [row[1] for row in rows((tmp_path / "tables" / f"{NAME}.tex").read_text())]
    assert cells == [r"\textbf{2.0000}", r"\textbf{2.0000}", r"\underline{3.0000}"]


def test_header_and_caption_name_units_source_counts_and_conventions(store):
    latex.write(store)
    text = (store.root / "tables" / f"{NAME}.tex").read_text()
    assert r"\multicolumn{3}{c}{Reduced resolution} & \multicolumn{3}{c}{Full resolution}" in text
    assert r"SAM ($^\circ$) $\downarrow$ & ERGAS $\downarrow$ & PSNR (dB) $\uparrow$ & D$_{\mathrm{\lambda,K}}$" in text
    caption = re.search(r"\\caption\{(.*)\}\n", text)[1]
    for part in (r"\textbf{SIMULATED data}", "2 reduced and 1 full images, 1 seed", f"Protocol {PROTOCOL}."):
        assert part in caption
    assert f"\\label{{tab:{NAME}}}" in text
    assert "SAM: DLPan: degrees" in text


def test_published_data_are_not_called_simulated(tmp_path):
    store = Store(tmp_path)
    add(store, "net", dataset="wv3-published")
    latex.write(store)
    text = (tmp_path / "tables" / f"{PROTOCOL}_wv3-published.tex").read_text()
    assert "published data" in text
    assert "SIMULATED" not in text


def test_a_failed_method_is_a_row_with_its_reason(store):
    fail(store, "broken", "50% of 3_000 & more")
    latex.write(store)
    last = rows((store.root / "tables" / f"{NAME}.tex").read_text())[-1]
    assert " & ".join(last) == r"BROKEN & \multicolumn{6}{l}{failed: 50\% of 3\_000 \& more}"


def test_a_long_reason_is_shortened_so_that_numbers_stay_legible(store):
    fail(store, "broken", "word " * 100)
    latex.write(store)
    last = rows((store.root / "tables" / f"{NAME}.tex").read_text())[-1][1]
    assert last.endswith("word ...}")
    assert len(last) < 130


def test_cost_table_prints_units_and_machine(store):
    latex.write(store)
    text = (store.root / "tables" / f"{NAME}_cost.tex").read_text()
    assert r"Method & Params (k) & MACs (G) & FLOPs (G) & CPU (ms) $\downarrow$" in text
    assert rows(text)[0] == ["NET", "466", "28.0", "57.0", r"\underline{612}", "310", "101"]
    assert "CPU Test 1 CPU, 2 threads" in text


def test_costs_of_two_machines_are_called_not_comparable(store):
    add(store, "other", SCORES["net"], environment={"processor": "Another CPU"})
    latex.write(store)
    assert "NOT COMPARABLE" in (store.root / "tables" / f"{NAME}_cost.tex").read_text()


def test_the_document_compiles_whatever_the_names(store):
    add(store, "hostile", SCORES["gsa"], method={"title": HOSTILE})
    fail(store, "broken", HOSTILE * 3)
    fail(store, "nothing", "alone", dataset="scene_1~a=b-user")
    paths = latex.write(store)
    assert paths[-1].name == "all.tex"
    assert all(path.is_file() for path in paths)
    assert len(compile_tables(store.root / "tables")) >= 1


@pytest.fixture
def many(tmp_path):
    """Eight images and three methods that differ on each of them."""
    store = Store(tmp_path)
    hard = np.random.default_rng(0).normal(5, 1, 8)
    for number, (method, costs) in enumerate((("net", 1234.5), ("gsa", 7.25), ("exp", 0.004321))):
        scores = {"ergas": hard + number, "psnr": 36 - hard - number, "sam": [10.0] * 8, "hqnr": [0.9 - number / 10] * 4}
        add(store, method, scores, counts={"reduced": 8, "full": 4}, cost={"cpu_ms_256": costs})
    return store


def test_groups_are_letters_behind_the_names_and_notes_say_what_cannot_be_concluded(many):
    latex.write(many)
    text = (many.root / "tables" / f"{NAME}.tex").read_text()
    assert [row[0] for row in rows(text)] == [
        f"{name}$^{{\\mathrm{{{letter}}}}}$" for name, letter in zip(("NET", "GSA", "EXP"), "abc", strict=False)
    ]
    assert "cannot be told apart" in text
    assert "4 images at full resolution cannot show" in text
    assert rows((many.root / "tables" / f"{NAME}_cost.tex").read_text())[0][0] == "NET"


@pytest.mark.parametrize("siunitx", [False, True])
def test_the_rows_of_the_compiled_pdf_are_those_of_the_csv(many, siunitx):
    leaderboard.write(many)
    latex.write(many, siunitx=siunitx)
    folder = many.root / "tables"
    compile_tables(folder)
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext not installed; the document was compiled only")
    done = subprocess.run(["pdftotext", "-layout", "all.pdf", "-"], cwd=folder, capture_output=True, text=True, check=True)
    printed: dict[str, list[list[str]]] = {}
    for line in done.stdout.splitlines():
        if name := re.match(r"\s*(NET|GSA|EXP)[abc]?\s", line):
            printed.setdefault(name[1], []).append(re.findall(r"\d+(?:\.\d+)?", line[name.end() :]))
    csv = pd.read_csv(many.root / "leaderboard.csv")
    assert list(printed) == csv["title"].tolist()
    indices = [column for split in SPLITS for column in index_columns(csv, split)]
    for _, row in csv.iterrows():
        quality, cost = printed[row["title"]]
        assert quality == [column.text(row[f"{column.name}_{part}"]) for column in indices for part in ("mean", "std")]
        assert cost == [column.text(row[column.name]) for column in cost_columns(csv) if pd.notna(row[column.name])]


def test_siunitx_columns_are_as_wide_as_their_numbers_and_marks_stay(many):
    latex.write(many, siunitx=True)
    text = (many.root / "tables" / f"{NAME}.tex").read_text()
    assert r"S[table-format=2.3]@{\,}l" in text
    assert r"\bfseries" in text
    cost = (many.root / "tables" / f"{NAME}_cost.tex").read_text()
    assert "S[table-format=4.5]" in cost
    assert r"{\underline{7.25}\phantom{000}}" in cost
    assert r"\usepackage{siunitx}" in (many.root / "tables" / "all.tex").read_text()


def test_an_empty_store_gives_a_document_that_compiles(tmp_path):
    store = Store(tmp_path)
    assert latex.write(store) == [tmp_path / "tables" / "all.tex"]
    assert len(compile_tables(tmp_path / "tables")) == 1


def test_the_notes_follow_the_convention_of_the_protocol():
    from waldbench.bench.results.columns import _index

    assert _index("sam", "dlpan").unit == "°"
    toolbox = _index("d_lambda_k", "hs-toolbox")
    assert toolbox.convention.startswith("hs-toolbox: 1 - Q2n of ms")
    assert _index("sam", "torchmetrics-compatible").unit == "rad"
