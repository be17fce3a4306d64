from __future__ import annotations

import pytest
import yaml

from waldbench import metrics
from waldbench.bench import protocol
from waldbench.bench.errors import UsageError
from waldbench.imaging.tracks import TRACKS


@pytest.mark.parametrize("name", protocol.presets())
def test_presets_load_and_name_known_indices(name):
    rules = protocol.load(name)
    assert rules.id.startswith(f"{name}-")
    assert set(rules.scoring) == set(TRACKS)
    assert {key for scoring in rules.scoring.values() for key in scoring.reduced + scoring.full} <= set(metrics.names())


def test_full_is_the_published_recipe():
    rules = protocol.load("full")
    assert (rules.patch, rules.batch, rules.loss, rules.lr, rules.epochs) == (64, 32, "l1", 3e-4, 600)
    assert (rules.scoring["ms"].border, rules.scoring["ms"].block) == (21, 32)


def test_the_id_follows_content_not_name(toy_fields):
    first, second = protocol.from_dict(toy_fields, "a"), protocol.from_dict(toy_fields, "b")
    assert first.id.removeprefix("a") == second.id.removeprefix("b")
    assert protocol.from_dict(toy_fields | {"lr": 5e-4}, "a").id != first.id


def test_the_id_of_a_track_does_not_follow_what_other_tracks_print(toy_fields):
    other = {"hs": toy_fields["scoring"]["hs"] | {"border": 5}}
    first, second = (protocol.from_dict(toy_fields | {"scoring": toy_fields["scoring"] | part}, "a") for part in ({}, other))
    assert first.on("ms").id == second.on("ms").id
    assert first.on("hs").id != second.on("hs").id
    with pytest.raises(UsageError, match="no scoring for sar-cr"):
        first.on("hs").on("sar-cr")


def test_round_trip_through_plain_data(toy_protocol):
    assert protocol.from_dict(toy_protocol.to_dict(), "x").id.split("-")[1] == toy_protocol.id.split("-")[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lrr": 1}, "unknown field 'lrr'; nearest: lr"),
        ({"loss": "l3"}, "expected one of l1, mse"),
        ({"steps": None}, "exactly one of steps and epochs"),
        ({"batch": 0}, "batch must be a positive number"),
        ({"lr": "fast"}, "lr must be a positive number"),
        ({"holdout": 0.95}, "holdout must lie in"),
        ({"accumulate": 3}, "batch 4 must be a multiple of accumulate 3"),
        ({"scoring": {}}, "scoring must map tracks"),
        ({"scoring": {"ms": {"border": 21}}}, "scoring of ms must have the fields block, border"),
    ],
)
def test_a_wrong_field_is_named(toy_fields, change, message):
    with pytest.raises(UsageError, match=message):
        protocol.from_dict(toy_fields | change, "mine")


def test_a_missing_field_is_named(toy_fields):
    without = {key: value for key, value in toy_fields.items() if key != "holdout"}
    with pytest.raises(UsageError, match="missing field\\(s\\) holdout"):
        protocol.from_dict(without, "mine")


def test_unknown_preset_and_broken_file(tmp_path):
    with pytest.raises(UsageError, match="nearest: quick"):
        protocol.load("quik")
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1")
    with pytest.raises(UsageError, match="is not a YAML file"):
        protocol.load(str(path))
    path.write_text(yaml.safe_dump([1, 2]))
    with pytest.raises(UsageError, match="expected fields of a protocol"):
        protocol.load(str(path))
