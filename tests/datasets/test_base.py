from __future__ import annotations

import doctest
from pathlib import Path
from types import SimpleNamespace

from waldbench import datasets
from waldbench.datasets.base import facts

FOLDER = Path(datasets.__file__).parent


def test_the_example_of_open_runs() -> None:
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(datasets.open, "open", globs={}):
        runner.run(example)
    assert (runner.failures, runner.tries) == (0, 4)


def test_facts_of_a_record() -> None:
    made = SimpleNamespace(
        key="k", task="ms", track="ms", sensor=SimpleNamespace(key="qb"), source="user", fingerprint="f", notices=("a", "b")
    )
    expected = {"key": "k", "task": "ms", "track": "ms", "sensor": "qb", "source": "user", "fingerprint": "f"}
    assert facts("name", made) == expected | {"notices": ["a", "b"]}
    assert facts("name", None) == dict.fromkeys(expected, "") | {"key": "name", "notices": []}


def test_every_folder_is_a_package_with_one_line_of_description() -> None:
    for folder in (FOLDER, *(path for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__")):
        assert (folder / "__init__.py").read_text().startswith('"""')
