"""A short campaign of every reader that holds, and that the harness itself tells the verdicts apart."""

from __future__ import annotations

import pytest

from tests.fuzz import campaign
from tests.fuzz.cases import VERDICTS, _read
from tests.fuzz.subjects import WrongError, table
from waldbench.datasets.base import DatasetError

SEED = 14
CASES = 300
# Readers that the long campaign found without a traceback, a hang or a wrong image; others join when they hold.
HOLD = ("hyperpan", "pancollection", "pth", "safetensors", "sen12mscr", "zoo")


def test_no_damaged_file_ends_in_a_traceback_a_hang_or_a_wrong_image():
    results = list(campaign.run(campaign.cases(SEED, HOLD, CASES)))
    bad = [f"python -m tests.fuzz --repeat {one.case}: {one.verdict}" for one in results if one.verdict not in {"clear", "right"}]
    assert not bad, "\n".join(bad)
    assert len(results) == CASES
    assert {one.case.split("/")[1] for one in results if one.verdict == "clear"} == set(HOLD)
    assert max(one.peak for one in results) < 2 << 30


def raising(error):
    def read(_folder):
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "hopeless", "verdict"),
    [
        (lambda _folder: None, False, "right"),
        (lambda _folder: None, True, "wrong"),
        (raising(WrongError("x")), False, "wrong"),
        (raising(DatasetError("x.h5: damaged")), False, "clear"),
        (raising(DatasetError("x.h5:\ndamaged")), False, "traceback"),
        (raising(DatasetError("x" * 5000)), False, "traceback"),
        (raising(KeyError("x")), False, "traceback"),
        (raising(SystemExit(3)), False, "traceback"),
    ],
)
def test_verdicts(tmp_path, read, hopeless, verdict):
    assert _read(read, tmp_path, hopeless)[0] == verdict
    assert verdict in VERDICTS


def test_a_hang_is_ended(tmp_path, monkeypatch):
    from tests.fuzz import cases

    monkeypatch.setattr(cases, "LIMIT", 1)

    def read(_folder):
        while True:
            pass

    assert _read(read, tmp_path, False)[0] == "hang"


@pytest.mark.parametrize("name", sorted(table()))
def test_sound_files_are_right(name, tmp_path):
    subject = table()[name]
    subject.write(tmp_path)
    assert _read(subject.read, tmp_path, False) == ("right", "")
