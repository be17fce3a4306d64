"""What a training shows while it runs."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from tests.bench.fake_store import add
from waldbench.bench.commands import announce
from waldbench.bench.results.store import Cell, Store
from waldbench.bench.run.progress import Live

JOB = SimpleNamespace(cell=Cell("toy-1", "toy-simulated", "toy-net", 42))
EVENT = {"step": 4, "steps": 12, "epoch": 2, "epochs": 4, "loss": 0.05}


def test_the_line_of_a_terminal_shows_epoch_loss_scores_speed_and_eta():
    console = Console(file=io.StringIO(), force_terminal=True, width=220)
    with Live(console, quiet=False) as live:
        live(JOB, EVENT | {"step": 2} | {"ergas": 3.5, "sam": 4.25})
        live(JOB, EVENT | {"step": 3})
        live(JOB, EVENT)
        (task,) = live.progress.tasks
        assert "epoch 2/4" in task.fields["detail"]
        assert "loss 0.0500" in task.fields["detail"]
        assert "valid ERGAS 3.500, SAM 4.250" in task.fields["detail"]
        assert "it/s" in task.fields["detail"]
        assert (task.completed, task.total) == (4, 12)
        live.progress.refresh()
    assert "ETA" in console.file.getvalue()


def test_a_pipe_gets_one_line_a_validation():
    console = Console(file=io.StringIO(), width=120)
    with Live(console, quiet=False) as live:
        live(JOB, EVENT)
        live(JOB, EVENT | {"ergas": 3.5, "sam": 4.25})
    lines = console.file.getvalue().splitlines()
    assert lines == ["  toy-net on toy-simulated, seed 42: step 4/12, loss 0.0500, valid ERGAS 3.500, SAM 4.250"]


@pytest.mark.parametrize(("width", "bar"), [(80, 12), (120, 24), (40, 6)])
def test_the_bar_keeps_its_width_and_names_lose_their_middle(width, bar):
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    job = SimpleNamespace(cell=Cell("quick-1", "scene-(a)-very-long-name-9a1fbb", "fusionnet~variant=toolbox", 42))
    with Live(console, quiet=False) as live:
        live(job, EVENT | {"ergas": 3.5, "sam": 4.25})
        lines = console.render_lines(live.progress.get_renderable())
    (line,) = ["".join(part.text for part in line) for line in lines]
    assert len(line) == width
    assert line.count("━") + line.count("╸") + line.count("╺") == bar
    assert line.startswith("fusion")
    assert "seed 42" in line or width < 80
    assert "4/12" in line
    assert "…" in line


def test_a_dumb_terminal_gets_lines():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, _environ={"TERM": "dumb"})
    with Live(console, quiet=False) as live:
        live(JOB, EVENT | {"ergas": 3.5, "sam": 4.25})
    assert "step 4/12" in console.file.getvalue()
    assert "\x1b[2K" not in console.file.getvalue()


def test_what_will_be_trained_and_how_long_it_took_last_time(tmp_path, toy_protocol):
    store = Store(tmp_path)
    add(store, "net", timings={"train_s": 100.0}, training={"steps": 50})
    job = SimpleNamespace(cell=Cell(toy_protocol.id, "wv2-simulated", "net", 42), trains=True, protocol=toy_protocol)
    other = SimpleNamespace(cell=Cell(toy_protocol.id, "wv2-simulated", "new", 7), trains=True, protocol=toy_protocol)
    # 12 steps at 2 s each.
    assert announce.trainings([job], store) == ["1 training, as long as last time: net seed 42 (24 s)"]
    (line,) = announce.trainings([job, other, job], store)
    assert line.endswith("net seed 42 (24 s), new seed 7 (not timed yet), net seed 42 (24 s); about 48 s one after another")
    assert announce.trainings([], store) == []
    assert [announce.duration(seconds) for seconds in (3, 200, 8000)] == ["3 s", "3 min", "2 h 13 min"]
