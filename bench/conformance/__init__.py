"""What every method, index and dataset must do, in this project or in a plugin: the suite of `run_bench.py check`.

Each check is a function that returns what it found, or raises CheckError with the reason; one that does not apply returns None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from waldbench.bench.conformance import of_datasets, of_indices, of_methods
from waldbench.bench.conformance.common import CheckError, Result
from waldbench.catalogue import Entry

__all__ = ["SUITES", "CheckError", "Result", "check"]

# What stands for an entry under test, and the checks, by registry.
SUITES: dict[str, tuple[Callable[[str], Any], tuple[Callable[[Any], str | None], ...]]] = {
    "methods": (of_methods.MethodSubject, of_methods.CHECKS),
    "metrics": (of_indices.IndexSubject, of_indices.CHECKS),
    "datasets": (of_datasets.DatasetSubject, of_datasets.CHECKS),
}


def check(entry: Entry) -> list[Result]:
    """Run the suite of an entry's kind."""
    make, checks = SUITES[entry.package]
    try:
        subject = make(entry.key)
    except Exception as error:  # of the plugin
        return [Result("card", False, f"{type(error).__name__}: {error}".split("\n")[0])]
    return list(_run(subject, checks))


def _run(subject: Any, checks: Iterable[Callable[[Any], str | None]]) -> Iterator[Result]:
    for function in checks:
        name = function.__name__.removeprefix("check_").replace("_", " ")
        try:
            text = function(subject)
            yield Result(name, None if text is None else True, text or "does not apply")
        except CheckError as error:
            yield Result(name, False, str(error))
        except Exception as error:  # of the plugin
            yield Result(name, False, f"{type(error).__name__}: {error}".split("\n")[0])
