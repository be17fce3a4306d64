"""A run as a file."""

from __future__ import annotations

import pytest
import yaml

from waldbench.bench import cli
from waldbench.bench.commands import configuration, run
from waldbench.bench.errors import UsageError

FILE = """
methods: [gsa, 'tv:variant=toolbox']
dataset: wv3
protocol: {extends: quick, steps: 800}
seeds: [1, 2]
data-root: /data
force: true
"""


def parsed(path, *words):
    return cli.parse(["run", "--config", str(path), *words])


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(FILE)
    return file


def test_options_by_name_are_options_of_the_command_line(path):
    options = parsed(path)
    assert options.methods == ["gsa", "tv:variant=toolbox"]
    assert (options.dataset, options.seeds, options.force, str(options.data_root)) == (["wv3"], [1, 2], True, "/data")
    assert run._settings(options).protocol.steps == 800


def test_words_win_over_the_file(path):
    options = parsed(path, "--methods", "exp", "--protocol", "full", "--seeds", "7")
    assert (options.methods, options.protocol, options.seeds) == (["exp"], "full", [7])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: [gsa]", "unknown option 'method'; nearest: methods"),
        ("- gsa", "expected options by name"),
        ("seeds: [a]", "expected a whole number, 0 to"),
        ("seeds: [1.5]", "expected a whole number, 0 to"),
        ("source: nowhere", "invalid choice: 'nowhere'"),
        ("source: [auto, published]", "source: expected text or a number"),
        ("force: yes please", "force: expected true or false"),
        ("methods: [{a: 1}]", "methods: expected a list of texts or numbers"),
        ("methods: true", "methods: expected a list of texts or numbers"),
        ("config: other.yaml", "unknown option 'config'"),
        ("[1", "not a YAML file of plain values"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, message):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        parsed(file)
    assert "\n" not in str(caught.value)


def test_a_resolved_run_is_the_same_run(path, tmp_path):
    options = parsed(path, "--set", "lr=2e-3", "--sweep", "batch=2,4", "--timeout", "60")
    settings = run._settings(options)
    text = configuration.resolved(options, run.parser(), settings)
    (tmp_path / "resolved.yaml").write_text(text)
    again = parsed(tmp_path / "resolved.yaml")
    assert run._settings(again) == run._settings(parsed(path, "--set", "lr=2e-3")).__class__(**vars(settings) | {"force": False})
    assert (again.sweep, again.timeout, again.force) == (["batch=2,4"], 60, False)
    assert configuration.resolved(again, run.parser(), run._settings(again)) == text
    content = yaml.safe_load(text)
    assert content["protocol"]["name"] == settings.protocol.name
    assert content["protocol"]["lr"] == 0.002


def test_save_config_writes_the_run(tmp_path, capsys):
    target = tmp_path / "saved.yaml"
    words = ["--methods", "gsa", "--dataset", "toy", "--dry-run", "--results", str(tmp_path / "r"), "--device", "cpu"]
    assert cli.main([*words, "--save-config", str(target)]) == 0
    assert "run: gsa on toy-simulated" in capsys.readouterr().out
    assert cli.main(["--config", str(target), "--dry-run"]) == 0
    assert "run: gsa on toy-simulated" in capsys.readouterr().out
    assert cli.main([*words, "--save-config", str(tmp_path)]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "lrr=1"], "unknown field 'lrr'; nearest: lr"),
        (["--sweep", "scoring.ms.border=0,21"], "--sweep goes over fields of the training"),
        (["--sweep", "lr=1e-3,,2"], "expected values between commas"),
        (["--timeout", "0"], "expected a whole number, at least 1"),
        (["--timeout", "5", "--executor", "dask"], "--timeout goes with --executor local"),
    ],
)
def test_wrong_words_are_one_line(tmp_path, capsys, words, message):
    code = cli.main(["--methods", "gsa", "--dataset", "toy", "--dry-run", "--results", str(tmp_path), *words])
    assert code == 2
    assert message in capsys.readouterr().err


def test_a_sweep_says_what_runs(tmp_path, capsys):
    words = ["--methods", "gsa", "toy-net", "--dataset", "toy", "--dry-run", "--results", str(tmp_path), "--device", "cpu"]
    assert cli.main([*words, "--sweep", "lr=1e-4,1e-3"]) == 0
    out = capsys.readouterr().out
    assert out.count("toy-net on toy-simulated, seed 42, quick-") == 2
    assert out.count("gsa on toy-simulated, seed 0, quick-") == 1
    assert "2 trainings: " in out
