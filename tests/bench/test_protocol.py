from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from waldbench import metrics
from waldbench.bench import protocol
from waldbench.bench.errors import UsageError
from waldbench.bench.protocol import layers
from waldbench.imaging.tracks import TRACKS

RULES = {"border": 0, "block": 32, "convention": "dlpan", "reduced": ["sam"], "full": []}
EXAMPLES = Path(__file__).parents[2] / "examples"
# As they stand in results/reference and in published tables: they never change.
KNOWN = {
    ("quick", "ms"): "quick-6b5c7ba8",
    ("quick", "hs"): "quick-8d340aac",
    ("quick", "sar-cr"): "quick-5f7c7eb3",
    ("quick", "sar-sharp"): "quick-75b1f514",
    ("full", "ms"): "full-90d4e75f",
    ("full", "hs"): "full-2559c67f",
    (str(EXAMPLES / "long.yaml"), "ms"): "long-a90b9802",
    (str(EXAMPLES / "longer.yaml"), "ms"): "longer-c0e822ca",
}


@pytest.mark.parametrize(("name", "track"), KNOWN)
def test_ids_that_stand_in_results_stay(name, track):
    assert protocol.load(name).on(track).id == KNOWN[name, track]


def test_a_field_that_is_added_later_leaves_the_id_alone_at_its_default():
    @dataclass(frozen=True)
    class Later(protocol.Protocol):
        averaging: float = 0.0

    facts = vars(protocol.load("quick"))
    assert Later(**facts).on("ms").id == "quick-6b5c7ba8"
    assert Later(**facts, averaging=0.5).on("ms").id != "quick-6b5c7ba8"


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
        ({"batch": 0}, "batch: expected a whole number from 1 on, got 0"),
        ({"lr": "fast"}, "lr: expected a number above 0, got 'fast'"),
        ({"lr": float("nan")}, "lr: expected a number above 0, got nan"),
        ({"lr": True}, "lr: expected a number above 0, got True"),
        ({"steps": 1.5}, "steps: expected a whole number from 1 on, or null .*, got 1.5"),
        ({"betas": [2, 3]}, r"betas: expected two numbers .*, got \[2, 3\]"),
        ({"betas": 0.9}, "betas: expected two numbers .*, got 0.9"),
        ({"patch": 16.5}, "patch: expected a whole number from 1 on, got 16.5"),
        ({"flips": "false"}, "flips: expected true or false, got 'false'"),
        ({"rotations": 1}, "rotations: expected true or false, got 1"),
        ({"milestones": [100, 50]}, "milestones: expected a rising list of epochs"),
        ({"warmup": 1}, "warmup: expected a number from 0 to below 1, got 1"),
        ({"weight_decay": -1e-4}, "weight_decay: expected a number from 0 on"),
        ({"validate_every": 0}, "validate_every: expected a whole number from 1 on, or null"),
        ({"reduced_images": "8"}, "reduced_images: expected a whole number from 1 on, or null .all., got '8'"),
        ({"holdout": 0.95}, "holdout: expected a number from 0 to 0.8, got 0.95"),
        ({"select": ["ergas"]}, "select: expected one of ergas, sam"),
        ({"name": "../../x"}, "name: expected a name of letters"),
        ({"name": "/etc/x"}, "name: expected a name of letters"),
        ({"extends": 3}, "extends: expected the name of a protocol"),
        ({"accumulate": 3}, "batch 4 must be a multiple of accumulate 3"),
        ({"scoring": {}}, "scoring must map tracks"),
        ({"scoring": {"ms": {"border": 21}}}, "scoring of ms must have the fields block, border"),
        ({"scoring": {"ms": RULES | {"border": -1}}}, "scoring of ms: border: expected a whole number from 0 on, got -1"),
        (
            {"scoring": {"ms": RULES | {"reduced": "sam"}}},
            "scoring of ms: reduced: expected a list of keys, each once, got 'sam'",
        ),
        ({"scoring": {"ms": RULES | {"full": [["sam"]]}}}, "scoring of ms: full: expected a list of keys"),
    ],
)
def test_a_wrong_field_is_named(toy_fields, change, message):
    with pytest.raises(UsageError, match=message):
        protocol.from_dict(toy_fields | change, "mine")


def test_a_missing_field_is_named(toy_fields):
    without = {key: value for key, value in toy_fields.items() if key != "holdout"}
    with pytest.raises(UsageError, match="missing field\\(s\\) holdout"):
        protocol.from_dict(without, "mine")


def write(path, text):
    path.write_text(text)
    return str(path)


def test_a_protocol_says_only_what_differs(tmp_path):
    path = write(tmp_path / "my rules.yaml", "extends: quick\nlr: 2e-3\nscoring: {ms: {border: 0}}\n")
    rules, quick = protocol.load(path), protocol.load("quick")
    assert (rules.name, rules.lr, rules.steps) == ("my-rules", 2e-3, quick.steps)
    assert (rules.scoring["ms"].border, rules.scoring["ms"].reduced) == (0, quick.scoring["ms"].reduced)
    assert rules.scoring["hs"] == quick.scoring["hs"]
    child = protocol.load(write(tmp_path / "child.yaml", "extends: my rules.yaml\nepochs: 3\n"))
    assert (child.lr, child.steps, child.epochs) == (2e-3, None, 3)


def test_protocols_in_a_circle_are_one_line(tmp_path):
    path = write(tmp_path / "a.yaml", "extends: a.yaml\n")
    with pytest.raises(UsageError, match="is there a circle"):
        protocol.load(path)


def test_words_change_fields_name_and_id():
    quick = protocol.load("quick")
    # The hash is that of results/reference/cf2n_readings.
    assert protocol.change(quick, ["lr=2e-3"]).on("ms").id == "quick-lr0.002-f7a23ddd"
    assert protocol.change(quick, ["training.lr=3e-4"]).on("ms").id == "quick-lr0.0003-2d3c7390"
    assert protocol.change(quick, ["steps=400"]) == quick
    assert protocol.change(quick, ["epochs=3"]).name == "quick-epochs3"
    assert protocol.change(quick, ["scoring.ms.border=0"]).scoring["ms"].border == 0


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lr", "expected FIELD=VALUE"),
        ("lrr=1", "unknown field 'lrr'; nearest: lr"),
        ("lr=fast", "lr: expected a number above 0"),
        ("lr=[1", "lr=\\[1: line 1"),
        ("scoring.ms.bordr=1", "scoring of ms must have the fields"),
        ("name=x=y=/", "unknown field|name: expected"),
    ],
)
def test_a_wrong_word_is_one_line(word, message):
    with pytest.raises(UsageError, match=message):
        protocol.change(protocol.load("quick"), [word])


def test_a_sweep_is_every_combination_once():
    found = protocol.sweep(protocol.load("quick"), ["lr=1e-4,1e-3,1e-3", "betas=[0.9, 0.999],[0.5, 0.9]"])
    assert [(rules.lr, rules.betas) for rules in found] == [
        (1e-4, (0.9, 0.999)),
        (1e-4, (0.5, 0.9)),
        (1e-3, (0.9, 0.999)),
        (1e-3, (0.5, 0.9)),
    ]
    assert len({rules.id for rules in found}) == 4
    assert found[2].on("ms").id == "quick-6b5c7ba8"


def test_what_differs_is_named():
    quick = protocol.load("quick").to_dict()
    found = layers.differing(quick, protocol.change(protocol.load("quick"), ["lr=2e-3", "scoring.ms.border=0"]).to_dict())
    assert found == {"lr": (1e-3, 2e-3), "scoring.ms.border": (21, 0)}
    assert layers.only_training(["lr", "steps"])
    assert not layers.only_training(found)


def test_unknown_preset_and_broken_file(tmp_path):
    with pytest.raises(UsageError, match="nearest: quick"):
        protocol.load("quik")
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1")
    with pytest.raises(UsageError, match=r"broken\.yaml is not a YAML file of plain values: line 1"):
        protocol.load(str(path))
    path.write_text(yaml.safe_dump([1, 2]))
    with pytest.raises(UsageError, match="expected fields of a protocol"):
        protocol.load(str(path))
