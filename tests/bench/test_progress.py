"""What a training shows while it runs."""

from __future__ import annotations

import io
from types import SimpleNamespace

from rich.console import Console

from waldbench.bench.results.store import Cell
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
