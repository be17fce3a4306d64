from __future__ import annotations

import pytest

from waldbench.bench import cli
from waldbench.bench.errors import UsageError
from waldbench.bench.protocol import load
from waldbench.bench.results.store import Store
from waldbench.bench.run.plan import dataset_options, plan
from waldbench.bench.run.settings import Settings, expand_methods
from waldbench.imaging.tracks import TRACKS


def settings(tmp_path, **changes):
    given = {"methods": ("input-copy", "gs", "cf2n"), "datasets": ("sen12mscr",), "protocol": load("quick")}
    return Settings(**given | {"data_root": tmp_path, "results": tmp_path / "results"} | changes)


def cells(planned):
    return [cell.method for cell in planned.cells]


def test_a_track_decides_what_runs_and_how_it_is_scored(tmp_path):
    found = {}
    for track in ("sar-cr", "sar-sharp"):
        asked = settings(tmp_path, track=track)
        planned = plan(asked, Store(asked.results))
        found[track] = (cells(planned), [cell.method for cell, _ in planned.skipped])
        (job, *_) = planned.jobs
        assert job.dataset_options["track"] == track
        assert job.facts["track"] == track
        assert list(job.protocol.scoring) == [track]
        assert job.cell.dataset == f"sen12mscr-{track}-simulated"
    assert found["sar-cr"] == (["input-copy", "cf2n"], ["gs"])
    assert found["sar-sharp"] == (["gs", "cf2n"], ["input-copy"])


def test_cloud_removal_is_the_default_track(tmp_path):
    assert dataset_options(settings(tmp_path), "sen12mscr")["track"] == "sar-cr"
    assert "track" not in dataset_options(settings(tmp_path, track="sar-cr"), "wv3")


def test_ablation_adds_a_row_for_networks_only(tmp_path):
    asked = settings(tmp_path, ablate=("guide",), seeds=(1, 2))
    planned = plan(asked, Store(asked.results))
    assert cells(planned) == ["input-copy", "cf2n", "cf2n", "cf2n~no-guide", "cf2n~no-guide"]
    assert [(job.method, job.ablate) for job in planned.jobs][-1] == ("cf2n", "guide")
    assert planned.jobs[1].ablate is None


@pytest.mark.parametrize(
    ("task", "track", "key"), [("hs", None, "hs"), ("sar", None, "sar-cr"), ("sar", "sar-sharp", "sar-sharp")]
)
def test_a_selection_stands_in_where_no_method_is_named(task, track, key):
    assert expand_methods([], task, track) == TRACKS[key].methods


def test_without_task_or_method_nothing_can_run():
    with pytest.raises(UsageError, match="--task sar"):
        expand_methods([])


@pytest.mark.parametrize(
    "words",
    [["--task", "hs", "--track", "sar-cr", "--dataset", "wdc"], ["--track", "sar-cr", "--dataset", "wv3", "--methods", "exp"]],
)
def test_a_track_of_another_task_is_refused(words, capsys, tmp_path):
    assert cli.main([*words, "--dry-run", "--results", str(tmp_path / "none")]) == 2
    assert "--track sar-cr" in capsys.readouterr().err
