"""Fingerprints of source code: what changes them and what does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import pytest

from waldbench import methods, metrics
from waldbench.catalogue import PACKAGES, ROOT, Catalogue, sources

NET = '''"""Heading."""

from waldbench.methods import register
from waldbench.methods.base import Method

from helper import gain


@register("first", tasks={"ms"}, year=2025, paper="me")
class First(Method):
    """Docstring."""

    def forward(self, ms, lms, guide):
        """Another."""
        return lms * gain()


@register("second", tasks={"ms"}, year=2025, paper="me")
class Second(Method):
    def forward(self, ms, lms, guide):
        return lms - 1
'''
HELPER = "def gain():\n    return 1.0\n"


def _digests(folder, key="first", net=NET, helper=HELPER):
    folder.mkdir(exist_ok=True)
    (folder / "net.py").write_text(net)
    (folder / "helper.py").write_text(helper)
    found = Catalogue("methods")
    found.add_file(folder / "net.py")
    return sources.of_entry(found[key])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Docstring."""', '"""Other words."""'),
        ('        """Another."""\n', ""),
        ("lms * gain()", "(lms   *   gain())  # a comment"),
        ("lms - 1", "lms - 2"),  # of another method, which this one does not use
        ('paper="me")\nclass First', 'paper="another", title="A title", faithful="x")\nclass First'),
        ('"""Heading."""\n', '"""Heading."""\n\n# comment\n'),
    ],
)
def test_what_does_not_change_a_number_does_not_change_the_fingerprint(tmp_path, old, new):
    assert NET.replace(old, new) != NET
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b", net=NET.replace(old, new))


@pytest.mark.parametrize(
    ("net", "helper"),
    [
        (NET.replace("lms * gain()", "lms + gain()"), HELPER),
        (NET, HELPER.replace("1.0", "1.5")),
        (NET.replace("lms * gain()", "Second.forward(self, ms, lms, guide)"), HELPER),
    ],
)
def test_what_changes_a_number_changes_it(tmp_path, net, helper):
    assert _digests(tmp_path / "a") != _digests(tmp_path / "b", net=net, helper=helper)


def test_a_used_neighbour_in_the_same_file_counts(tmp_path):
    using = NET.replace("lms * gain()", "Second.forward(self, ms, lms, guide)")
    assert _digests(tmp_path / "a", net=using) != _digests(tmp_path / "b", net=using.replace("lms - 1", "lms - 2"))


def test_relative_imports_and_packages_beside_the_plugin_count(tmp_path):
    net = NET.replace("from helper import gain", "from .parts.inner import gain")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "inner.py").write_text("from .deeper import gain\n")
    (tmp_path / "parts" / "deeper.py").write_text(HELPER)
    before = _digests(tmp_path, net=net)
    assert {"net.py", "parts/inner.py", "parts/deeper.py", "methods/base.py"} <= set(before)
    assert "helper.py" not in before
    (tmp_path / "parts" / "deeper.py").write_text(HELPER + "EXTRA = 1\n")
    assert _digests(tmp_path, net=net)["parts/deeper.py"] != before["parts/deeper.py"]


def test_a_method_counts_what_it_computes_with_and_not_how_it_is_listed():
    files = sources.of_entry(methods.catalogue["gsa"])
    assert {"methods/component_substitution/gsa.py", "methods/base.py", "imaging/sensors.py"} <= set(files)
    assert not [name for name in files if name.startswith(("bench", "catalogue", "metrics"))]


def test_an_index_counts_its_own_function_only(tmp_path):
    path = ROOT / "metrics" / "spectral.py"
    text = path.read_text()
    assert text.count("\n@register(") > 1
    keys = [entry.key for entry in metrics.catalogue if entry.path == path]
    digests = {key: sources.of_entry(metrics.catalogue[key])["metrics/spectral.py"] for key in keys}
    assert len(set(digests.values())) == len(keys)


def test_a_copy_elsewhere_gives_the_same_fingerprints(tmp_path):
    """As a wheel does: the same files in site-packages."""
    target = tmp_path / "site" / "waldbench"
    target.mkdir(parents=True)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    (target / "__init__.py").write_text((ROOT / "waldbench" / "__init__.py").read_text())
    code = "from waldbench import methods; from waldbench.catalogue import sources, ROOT; "
    code += "print(ROOT.name, sources.combine(sources.of_entry(methods.catalogue['cf2n'])), "
    code += "sources.combine(sources.of_modules(['bench.training.loop'], ('bench.training', 'imaging'))))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=target.parent, capture_output=True, text=True, timeout=120, check=True
    )
    here = sources.combine(sources.of_entry(methods.catalogue["cf2n"]))
    engine = sources.combine(sources.of_modules(["bench.training.loop"], ("bench.training", "imaging")))
    assert done.stdout.split() == ["waldbench", here, engine]


def test_fingerprints_of_all_methods_are_cheap():
    methods.names()
    started = time.process_time()
    for entry in methods.catalogue:
        sources.of_entry(entry)
    assert time.process_time() - started < 2  # 0.3 s on a quiet machine
