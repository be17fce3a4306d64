"""Methods with constructor options on the command line."""

from __future__ import annotations

import csv

import pytest

from waldbench import methods
from waldbench.bench.errors import UsageError
from waldbench.bench.run import names
from waldbench.bench.run.settings import expand_methods
from waldbench.catalogue import UnknownNameError


def test_a_name_keeps_its_options_in_one_order():
    assert names.canonical("gsa") == "gsa"
    name = names.canonical("cf2n:iterations=2,channels=16")
    assert name == names.canonical("cf2n:channels=16,iterations=2")
    assert names.parse(name) == ("cf2n", {"channels": 16, "iterations": 2})
    assert expand_methods(["tv:variant=toolbox", "tv"]) == ("tv~variant=toolbox", "tv")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tv:varient=toolbox", "tv takes tuned_for, variant, got 'varient'; nearest: variant"),
        ("exp:a=1", "exp takes no options, got 'a'"),
        ("tv:toolbox", "expected KEY:name=value"),
        ("tv:variant=[1]", "with plain values"),
    ],
)
def test_a_wrong_option_is_named(word, message):
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        names.canonical(word)


def test_an_unknown_key_is_named_without_its_options():
    with pytest.raises(UnknownNameError, match="gsa"):
        names.canonical("gssa:x=1")


def test_options_are_found_through_constructors_that_pass_keywords_on():
    assert methods.options("cf2n") == {"channels": None, "iterations": 4}
    assert "variant" in methods.options("tv")


def test_a_run_keeps_variants_apart(call, tmp_path):
    done = call("--methods", "hpf", "hpf:match=true", "--dataset", "toy", "--figures", "none")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader((tmp_path / "results" / "leaderboard.csv").read_text().splitlines()))
    assert {row["method"]: row["title"] for row in rows} == {"hpf": "HPF", "hpf~match=true": "HPF (match True)"}
    assert len({row["reduced_ergas_mean"] for row in rows}) == 2
