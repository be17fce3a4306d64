"""Outputs of all kinds: encodings, closed pipes, full disks, names in brackets, narrow terminals."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from tests.bench.conftest import ROOT
from tests.bench.fake_store import SCORES, add, fail
from waldbench.bench import screen
from waldbench.bench.reports import latex, terminal
from waldbench.bench.results import leaderboard
from waldbench.bench.results.store import Store

PROGRAM = [sys.executable, "run_bench.py"]


def call(*words, output=subprocess.PIPE, **variables):
    known = {name: value for name, value in os.environ.items() if name != "HOME"}
    known |= {"PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(
        [*PROGRAM, *words], cwd=ROOT, env=known, stdout=output, stderr=subprocess.PIPE, timeout=120, check=False
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_text_survives_an_encoding_without_arrows(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    patient = screen.Patient(stream)
    patient.write("D_λ,K↓ Q2n↑ … ä 漢\n")
    patient.flush()
    text = stream.buffer.getvalue().decode(encoding)
    assert text.startswith("D_l,Kv Q2n^ . ") or text.startswith("D_l,Kv Q2n^ … ")
    assert text.endswith("?\n")


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, {"TERM": "dumb"}, {"COLUMNS": "20"}])
def test_no_output_ends_a_command(variables):
    done = call("list", **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"SAM" in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = call("list", output=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_by_line_and_exit_code():
    with open("/dev/full", "w") as full:
        done = call("list", output=full)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("error: standard output could not be written: ")
    assert done.stderr.count(b"\n") == 1


def test_a_stream_that_is_gone_does_not_stop_the_work():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "gone")

    patient = screen.Patient(Gone())
    assert patient.write("a") == 1
    patient.flush()
    assert patient.lost is not None
    assert not patient.full


def test_brackets_are_letters(tmp_path, capsys):
    from waldbench.bench import cli

    folder = tmp_path / "[/x] [bold]"
    add(Store(folder), "gsa", method={"title": "[red]GSA[/]"})
    fail(Store(folder), "net", "no [/memory]")
    assert cli.main(["report", "--results", str(folder), "--figures", "none"]) == 0
    text = capsys.readouterr().out
    assert str(folder) in text
    assert "[red]GSA[/]" in text
    assert "no [/memory]" in text


@pytest.mark.parametrize("width", [20, 10])
def test_a_narrow_terminal_loses_no_name(tmp_path, width):
    store = Store(tmp_path)
    for method in SCORES:
        add(store, method, method={"title": f"A rather long name of {method}"})
    stream = io.StringIO()
    terminal.show(leaderboard.build(store), Console(file=stream, force_terminal=True, width=width, color_system=None))
    text = stream.getvalue()
    assert "…" not in text
    for name in ("SAM↓", "D_λ,K↓", "A rather long name of net", "Memory↓"):
        assert name in text


def test_a_row_that_begins_with_a_bracket_is_no_argument(tmp_path):
    store = Store(tmp_path)
    add(store, "gsa", method={"title": "[1cm] GSA"})
    fail(store, "net", "broken", method={"title": "*net"})
    rows = latex.quality_table(leaderboard.build(store), "tab:x").splitlines()
    assert any(row.startswith("{}[1cm] GSA") for row in rows)
    assert any(row.startswith("{}*net &") for row in rows)


@pytest.mark.parametrize(("text", "width", "result"), [("abcdefgh", 8, "abcdefgh"), ("abcdefgh", 5, "ab…gh"), ("abc", 1, "a…")])
def test_names_lose_their_middle(text, width, result):
    assert screen.shortened(text, width) == result


def test_ctrl_c_in_the_first_seconds_is_one_line(tmp_path):
    words = ["--methods", "gsa", "--dataset", "wv3", "--source", "simulated", "--results", str(tmp_path), "--device", "cpu"]
    known = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen([*PROGRAM, *words], cwd=ROOT, env=known, **pipes) as process:
        # The server that cells are forked from has begun to import torch.
        time.sleep(2.5)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert errors in {"interrupted\n", ""}
