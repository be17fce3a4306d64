"""What holds for all tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config, items):
    """Timings run with --benchmark-only (`make bench`) and nowhere else: beside other work they would say nothing."""
    if not config.getoption("benchmark_only", default=False):
        for item in items:
            if "benchmark" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="a timing; make bench runs it"))
