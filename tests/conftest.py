"""What holds for all tests."""

from __future__ import annotations

import pytest
import torch


def pytest_collection_modifyitems(config, items):
    """Timings run with --benchmark-only (`make bench`) and nowhere else: beside other work they would say nothing."""
    if not config.getoption("benchmark_only", default=False):
        for item in items:
            if "benchmark" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="a timing; make bench runs it"))


@pytest.fixture
def one_thread():
    """Small images on shared cores: more threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def short_adaptations(request, monkeypatch):
    """Methods that adapt to every image take minutes as published; what holds for every method is tested with two steps."""
    from waldbench.methods.adaptive import Adaptive

    if request.path.name == "test_adaptive_methods.py":
        return
    create = Adaptive.__init__

    def shortened(self, *, iterations=None, **options):
        create(self, iterations=iterations, **options)
        self.iterations = self.iterations if iterations is not None else min(self.iterations, 2)

    monkeypatch.setattr(Adaptive, "__init__", shortened)
