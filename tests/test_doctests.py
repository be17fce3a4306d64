"""The examples of the docstrings print what they say, each with the imports that it shows and no others."""

from __future__ import annotations

import doctest
import importlib
import io

import pytest

from waldbench import methods, metrics

MODULES = ("waldbench", "waldbench.imaging.scene", "waldbench.methods", "waldbench.metrics")
INDICES = sorted({entry.module for entry in metrics.catalogue})
PUBLIC = {(entry.module, entry.attribute) for entry in metrics.catalogue}
PUBLIC |= {("waldbench.metrics", name) for name in ("names", "card", "compute")}
PUBLIC |= {("waldbench.methods", name) for name in ("names", "card", "supports", "create", "options")}
PUBLIC |= {("waldbench.imaging.scene", "Scene")}


def _examples(module):
    """The examples of a module by the name of their object, with an empty namespace: a reader has no other."""
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module), module, globs={})
    return {test.name: test for test in found if test.examples}


EXAMPLES = {name: test for module in (*MODULES, *INDICES) for name, test in _examples(module).items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_it_says(name):
    said = io.StringIO()
    failed, tried = doctest.DocTestRunner(verbose=False).run(EXAMPLES[name], out=said.write)
    assert failed == 0, said.getvalue()
    assert tried > 1


def test_every_public_function_has_an_example():
    assert {f"{module}.{name}" for module, name in PUBLIC} - set(EXAMPLES) == set()
    assert {name for name in methods.__all__ if name.islower()} - {"catalogue", "register"} == {
        name for module, name in PUBLIC if module == "waldbench.methods"
    }
