"""Groups of methods: every key is there and made for the task."""

from __future__ import annotations

import pytest

from waldbench import methods
from waldbench.bench.run.settings import expand_methods
from waldbench.methods.groups import GROUPS, NAMES, members


@pytest.mark.parametrize(("group", "task"), [(group, task) for group, tasks in GROUPS.items() for task in tasks])
def test_a_group_holds_methods_of_its_task(group, task):
    assert set(members(group, task)) <= set(methods.names(task))


def test_the_comparison_of_the_paper_is_whole():
    assert len(members("cf2n-paper", "ms")) == 15
    assert expand_methods(["cf2n-paper"], "hs") == ("exp", "cnmf", "gfpca", "psrt", "dbdenet", "hyper-dsnet", "cf2n")
    assert members("cf2n-paper", None) == members("cf2n-paper", "ms")


def test_classic_and_deep_make_up_all():
    for task in (None, "ms", "hs", "sar"):
        assert sorted(members("all-classic", task) + members("all-deep", task)) == members("all", task)
    assert "all-deep" in NAMES
