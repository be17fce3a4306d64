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
