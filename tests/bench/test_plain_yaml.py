"""YAML of strangers: numbers as people write them, and nothing that is more than plain values."""

from __future__ import annotations

import math
import os
import time

import pytest
import yaml

from waldbench.bench import protocol
from waldbench.bench.plain_yaml import PlainYamlError, parse, read

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1.e3", 1000.0),
        (".5", 0.5),
        ("-2", -2),
        ("010", 10),
        (".inf", math.inf),
        ("yes", True),
        ("off", False),
        ("~", None),
        ("", None),
        ("2026-01-01", "2026-01-01"),
        ("1:30", "1:30"),
        ("NA", "NA"),
        ("'1e-3'", "1e-3"),
        ("[1, a]", [1, "a"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("<<: 1", {"<<": 1}),
        ("{a: &x [1], b: *x}", {"a": [1], "b": [1]}),
    ],
)
def test_plain_values(text, value):
    found = parse(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a [*a]",
        "[" * 100_000,
        "!!timestamp 2026-01-01",
        "!!binary aGk=",
        "!!python/object/apply:os.getcwd []",
        "!!set {a, b}",
        "{a: 1, a: 2}",
        "{1: 2}",
        "? [a]\n: 1",
        "a: [1",
        "a: 1\n---\nb: 2",
        "*nothing",
        "!!int fast",
        "\x00",
    ],
)
def test_anything_else_is_one_line_at_once(text):
    start = time.monotonic()
    with pytest.raises(PlainYamlError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 5


def test_files_are_looked_at_before_they_are_read(tmp_path):
    for name, make in {"pipe": os.mkfifo, "folder": os.mkdir}.items():
        make(tmp_path / name)
        with pytest.raises(PlainYamlError, match="expected a file, found something else"):
            read(tmp_path / name)
    (tmp_path / "large").write_text("a" * (1 << 20) + "aa")
    with pytest.raises(PlainYamlError, match="at most 1 MiB"):
        read(tmp_path / "large")
    (tmp_path / "latin").write_bytes("ä".encode("latin-1"))
    with pytest.raises(PlainYamlError, match="cannot be read"):
        read(tmp_path / "latin")


@pytest.mark.parametrize("name", protocol.presets())
def test_the_own_files_read_as_before(name):
    path = protocol.PRESETS / f"{name}.yaml"
    assert read(path) == yaml.safe_load(path.read_text())
