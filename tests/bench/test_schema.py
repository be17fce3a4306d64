"""`leaderboard.csv` of a real run against its documented schema."""

import csv
import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.bench.fake_store import add
from waldbench.bench.results import leaderboard
from waldbench.bench.results.store import Store

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "leaderboard.schema.json").read_text(encoding="utf-8"))
FIELDS = {field["name"]: field for field in SCHEMA["fields"]}
READ = {"integer": int, "number": float, "string": str, "datetime": datetime.fromisoformat}


def describe(name):
    """The field that describes a column; an error if not exactly one does."""
    if name in FIELDS:
        return FIELDS[name]
    (field,) = (field for field in SCHEMA["patternFields"] if re.fullmatch(field["pattern"], name))
    return field


def problems(field, text):
    """What is wrong with a cell."""
    rules = field.get("constraints", {})
    if text in SCHEMA["missingValues"]:
        return ["missing"] if rules.get("required") else []
    try:
        value = READ[field["type"]](text)
    except ValueError as error:
        return [str(error)]
    found = [f"{text} not in {rules['enum']}"] if "enum" in rules and text not in rules["enum"] else []
    found += [f"{text} is not {rules['pattern']}"] if "pattern" in rules and not re.fullmatch(rules["pattern"], text) else []
    return found + ([f"{text} < {rules['minimum']}"] if "minimum" in rules and value < rules["minimum"] else [])


def check(path):
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        columns, rows = list(reader.fieldnames), list(reader)
    fixed = [name for name in columns if name in FIELDS]
    assert fixed == list(FIELDS)
    start = columns.index("images_full") + 1
    assert columns[:start] + columns[columns.index("parameters") :] == fixed
    found = {(name, text) for row in rows for name, text in row.items() if problems(describe(name), text)}
    assert found == set()
    keys = [tuple(row[name] for name in SCHEMA["primaryKey"]) for row in rows]
    assert len(set(keys)) == len(keys)
    return rows


def test_a_real_run_follows_the_schema(straight, tmp_path):
    store = Store(straight)
    path = tmp_path / "leaderboard.csv"
    leaderboard.build(store).to_csv(path, index=False)
    rows = check(path)
    assert {row["method"] for row in rows} == {"toy-net", "toy-copy"}
    assert {row["status"] for row in rows} == {"ok"}


def test_several_seeds_follow_the_schema(tmp_path):
    store = Store(tmp_path)
    for seed in (1, 2):
        add(store, "net", {"ergas": [3.0, 4.0, 5.0, 4.0, 3.5, 4.5]}, seed=seed)
    leaderboard.write(store)
    (row,) = check(tmp_path / "leaderboard.csv")
    assert row["reduced_ergas_seed_std"] == "0.0"
    assert float(row["reduced_ergas_ci_low"]) < 4 < float(row["reduced_ergas_ci_high"])


@pytest.mark.parametrize(
    ("name", "text"), [("rank", "0"), ("task", "pan"), ("date", "yesterday"), ("method", ""), ("train_s", "long")]
)
def test_the_check_can_fail(name, text):
    assert problems(describe(name), text)


def test_the_schema_names_every_fixed_column_in_order():
    assert list(FIELDS) == [*leaderboard.LEADING, *leaderboard.TRAILING]
