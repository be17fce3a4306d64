import numpy as np
import pytest

from tests.bench.fake_store import SCORES, add
from waldbench.bench.results import cautions, leaderboard
from waldbench.bench.results.store import Store

HARD = np.random.default_rng(0).normal(5, 1, 9)


def frame(tmp_path, images=9, **facts):
    store = Store(tmp_path)
    for number, (method, shift) in enumerate((("net", 0.0), ("gsa", 0.001), ("exp", 1.0))):
        noise = np.random.default_rng(number).normal(0, 0.01, images)
        add(
            store,
            method,
            {"ergas": HARD[:images] + shift + noise, "hqnr": [0.9 + shift / 100]},
            counts={"reduced": images},
            **facts,
        )
    return leaderboard.build(store)


def test_enough_images_give_letters_and_say_what_they_mean(tmp_path):
    part = frame(tmp_path)
    assert part["rank"].tolist() == [1, 2, 3]
    assert cautions.letters(part)[2] == "b"
    assert cautions.letters(part)[:2] == ["a", "a"]
    found = cautions.cautions(part)
    assert found[0].startswith("Methods that share a letter cannot be told apart")
    assert "ERGAS" in found[0]
    assert "9 images" in found[0]


def test_few_images_give_no_letters_and_say_how_many_are_needed(tmp_path):
    part = frame(tmp_path, images=5)
    assert cautions.places_with_groups(part) == ["1", "2", "3"]
    assert cautions.cautions(part)[0] == (
        "5 images at reduced resolution cannot show that one of 3 methods is better than the others (at least 7 are needed)."
    )
    assert cautions.cautions(part)[1].startswith("1 image at full resolution cannot")


def test_one_seed_of_a_trained_method_is_said(tmp_path):
    assert "3 methods were trained with one seed" in cautions.cautions(frame(tmp_path, recipe="unified"))[-1]
    store = Store(tmp_path / "two")
    for seed in (1, 2):
        add(store, "net", SCORES["net"], seed=seed, recipe="unified")
    assert cautions.cautions(leaderboard.build(store)) == []


@pytest.mark.parametrize(("number", "text"), [(1, "a"), (26, "z"), (27, "aa"), (52, "az"), (53, "ba")])
def test_letters_go_on_after_z(number, text):
    assert cautions.letter(number) == text


def test_missing_data_is_noted(tmp_path):
    store = Store(tmp_path)
    add(store, "gsa", counts={"reduced": 2, "full": 1, "valid_share": 0.875})
    frame = leaderboard.build(store)
    assert frame["valid_share"].tolist() == [0.875]
    assert "87.5% of the pixels have data; the others were left out of every index." in cautions.cautions(frame)
