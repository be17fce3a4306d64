"""Plugins: each under a name of its own, and a broken one is one line while everything else works."""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata

import pytest

from waldbench import datasets, methods, metrics
from waldbench.bench import cli, plugins, protocol
from waldbench.bench.errors import UsageError
from waldbench.bench.results.store import Cell, Store
from waldbench.bench.run.plan import plan
from waldbench.bench.run.settings import Settings
from waldbench.catalogue import Catalogue
from waldbench.datasets.base import DatasetError
from waldbench.imaging import sensors

METHOD = """
from waldbench.methods import register
from waldbench.methods.base import Method

@register("{key}", tasks={{"ms"}}, year=2025, paper="me")
class Net(Method):
    {body}

    def forward(self, ms, lms, guide):
        return lms + {shift}
"""
DATASET = """
from waldbench import datasets
from waldbench.datasets.base import Dataset, Split
from waldbench.imaging import Scene, interp23, sensors
import torch

class Images(Split):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def read(self, indices):
        gt = torch.rand(len(indices), 4, 64, 64) * 1000 + 100
        ms = gt[..., ::4, ::4].contiguous()
        return Scene(ms, interp23(ms, 4), gt.mean(1, keepdim=True), gt)

@datasets.register("mine", task="ms", sensor="qb", title="mine")
class Mine(Dataset):
    key, task, source, fingerprint, notices, sensor = "mine", "ms", "user", "f" * 64, [], sensors.get("qb")

    @classmethod
    def open(cls, root=None, source="auto"):
        return cls()

    def split(self, name):
        return Images(2 if name == "reduced" else 0)
"""


def method(key="mine", shift=1, body="x = 1"):
    return METHOD.format(key=key, shift=shift, body=body)


@pytest.fixture
def add(tmp_path):
    """Write a plugin file and make it known to all registries, as --plugin does."""
    added = []

    def write(text, name="mine.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        plugins.add([str(path)])
        added.append(path)
        return path

    yield write
    for path in added:
        for package in plugins.PACKAGES:
            package.catalogue.remove_file(path)


def planned(tmp_path, *keys, dataset="qb", **more):
    rules = more.pop("rules", protocol.load("quick"))
    settings = Settings(keys, (dataset,), rules, results=tmp_path / "results", source="simulated", **more)
    return plan(settings, Store(settings.results))


def test_two_files_of_one_name_stay_apart(add):
    add(method("first", 1), "a/net.py")
    add(method("second", 2), "b/net.py")
    found = [methods.create(key, sensor=sensors.get("qb"))(None, 0, None) for key in ("first", "second")]
    assert found == [1, 2]


def test_a_plugin_called_like_a_standard_module_is_itself_and_may_import_it(add):
    add("import random\n" + method("chance", 3).replace("lms + 3", "lms + random.Random(0).randint(3, 3)"), "random.py")
    assert methods.create("chance", sensor=sensors.get("qb"))(None, 0, None) == 3
    assert sys.modules["random"].__file__ == importlib.util.find_spec("random").origin


def test_a_network_beside_a_classic_of_one_class_name(add):
    add("import torch\n" + method("classic").replace("Net(", "Same("), "a/same.py")
    body = "def __init__(self, **k):\n        super().__init__(**k)\n        self.w = torch.nn.Parameter(torch.ones(1))"
    add("import torch\n" + method("network", body=body).replace("Net(", "Same("), "b/same.py")
    made = {key: methods.create(key, sensor=sensors.get("qb")) for key in ("classic", "network")}
    assert {key: value.trainable for key, value in made.items()} == {"classic": False, "network": True}


@pytest.mark.parametrize("how", ["import helper", "from .helper import gain", "from helper import gain", "import helper as h"])
def test_two_plugins_may_each_import_their_own_helper(add, tmp_path, how):
    call = {"import helper": "helper.gain()", "import helper as h": "h.gain()"}.get(how, "gain()")
    found = []
    for folder, value in (("a", 5), ("b", 7)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper.py").write_text("from deeper import VALUE\ndef gain():\n    return VALUE\n")
        (tmp_path / folder / "deeper.py").write_text(f"VALUE = {value}\n")
        add(f"{how}\n" + method(f"uses-{folder}", call), f"{folder}/net.py")
        found.append(methods.create(f"uses-{folder}", sensor=sensors.get("qb"))(None, 0, None))
    assert found == [5, 7]
    assert "helper" not in sys.modules


def test_a_helper_that_is_imported_late_is_found(add, tmp_path):
    (tmp_path / "late.py").write_text("def gain():\n    return 4\n")
    add(method("lazy", "__import__('x')").replace("return lms +", "from late import gain\n        return lms + gain() or"))
    assert methods.create("lazy", sensor=sensors.get("qb"))(None, 0, None) == 4


BROKEN = {
    "lacks year, paper": '@register("bad", tasks={"ms"})\nclass A: ...',
    "tasks must be a set such as {\"ms\"}, got 'ms'": '@register("bad", tasks="ms", year=1, paper="p")\nclass A: ...',
    "year must be a year": '@register("bad", tasks={"ms"}, year="x", paper="p")\nclass A: ...',
    "key '../../evil' becomes the name of a folder": '@register("../../evil", tasks={"ms"}, year=1, paper="p")\nclass A: ...',
    "must be a literal": "@register(KEY)\nclass A: ...",
}


@pytest.mark.parametrize(("message", "text"), BROKEN.items())
def test_an_incomplete_card_is_one_line_and_the_rest_works(add, capsys, message, text):
    add("from waldbench.methods import register\n" + text, "bad.py")
    add(method("good"), "good.py")
    [problem] = plugins.problems()
    assert "bad.py skipped" in problem
    assert message in problem
    assert "\n" not in problem
    assert "good" in methods.names(task="ms")
    assert cli.main(["list"]) == 0
    assert cli.main(["info", "good"]) == 0
    assert "good" in capsys.readouterr().out


def test_an_incomplete_index_or_dataset_is_one_line(add):
    add("from waldbench.metrics import register\n@register(title='x')\ndef f(fused, gt): ...", "index.py")
    add("from waldbench.datasets import register\n@register('d', title='x')\nclass D: ...", "data.py")
    found = plugins.problems()
    assert [line.rpartition(": ")[2] for line in found] == [
        "@register of 'f' lacks direction, best, convention, reference; expected title, direction, best, convention, reference",
        "@register of 'd' lacks task, sensor; expected task, sensor, title",
    ]
    assert "sam" in metrics.names()
    assert "wv3" in datasets.names()


def test_a_file_that_registers_nothing_is_told(add):
    path = add("x = 1\n", "nothing.py")
    assert plugins.problems() == [
        f"plugin {path} registers nothing; expected @register(...) imported from waldbench.methods, waldbench.metrics, "
        "waldbench.datasets on a class or function"
    ]


def test_a_plugin_that_exits_at_import_is_a_failed_row(add, tmp_path):
    add("import sys\nsys.exit(3)\n" + method("leaves"))
    found = planned(tmp_path, "leaves", "exp")
    [record] = found.broken
    assert "mine.py ends the program when it is imported (sys.exit(3))" in record.reason
    assert [job.method for job in found.jobs] == ["exp"]


def test_an_installed_package_that_cannot_be_imported_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "leaving").mkdir()
    (tmp_path / "leaving" / "__init__.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    point = metadata.EntryPoint("leaving", "leaving.net", "waldbench.methods")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point] if group == "waldbench.methods" else [])
    found = Catalogue("methods")
    assert "exp" in found.names()
    assert found.problems == ["plugin leaving skipped: module 'leaving.net' cannot be found or imported"]


def test_a_constructor_that_fails_keeps_its_traceback_under_the_seeds_asked(add, tmp_path):
    body = "def __init__(self, **k):\n        raise ValueError('no such file')"
    add(method("broken", body=body))
    found = planned(tmp_path, "broken", seeds=(7, 8))
    assert [cell.seed for cell, _ in found.failed] == [7, 8]
    assert found.broken[0].reason == "ValueError: no such file"
    assert 'mine.py", line' in found.broken[0].details
    assert not (tmp_path / "results").exists()


def test_bands_for_their_number_is_explained(add):
    body = "def __init__(self, **k):\n        super().__init__(**k)\n        self.c = torch.nn.Conv2d(self.sensor.bands, 4, 3)"
    add("import torch\n" + method("bands", body=body))
    with pytest.raises(TypeError, match=r"\(sensor\.bands is the tuple of the bands' names; their number is sensor\.count\)$"):
        methods.create("bands", sensor=sensors.get("qb"))


def test_images_without_names_are_called_by_their_places(add):
    add(DATASET)
    split = datasets.open("mine").split("reduced")
    assert split[1].name == ("1",)
    assert split[:].name == ("0", "1")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Mine(Dataset)", "Mine", None),
        ("def open(", "def opens(", r"must define the class method open\(root, source\) -> Dataset"),
        ("return cls()", "return None", "open returned NoneType; expected a waldbench.datasets.base.Dataset"),
        ('"f" * 64', '""', "its attribute fingerprint must be a str, got ''"),
        ('"f" * 64, []', '"f" * 64, None', "its attribute notices must be a list, got None"),
        ('"mine", "ms", "user"', '"mine", "xy", "user"', "its track 'xy' is unknown; expected one of ms"),
        (
            '"mine", "ms", "user"',
            '"../mine", "ms", "user"',
            r"label of the dataset '\.\./mine-user' becomes the name of a folder",
        ),
        ("return Images(", "return (", r"split\('train'\) returned int; expected a waldbench.datasets.base.Split"),
        ("def split(", "def splits(", None),
    ],
)
def test_a_dataset_without_the_contract_is_one_line(add, tmp_path, old, new, message):
    assert old in DATASET
    add(DATASET.replace(old, new))
    with pytest.raises((DatasetError, TypeError), match=message):
        datasets.open("mine")
    found = planned(tmp_path, "exp", dataset="mine")
    assert found.jobs == []
    assert "mine" in found.broken[0].reason
    assert "\n" not in found.broken[0].reason


@pytest.mark.parametrize("name", ["../../x", "/abs", "..", "", "a/b", "a\nb", "x" * 200, ".hidden"])
def test_names_that_would_leave_the_results_folder_are_refused(name, tmp_path):
    with pytest.raises(UsageError, match=r"becomes the name of a folder: expected a letter or digit, then"):
        Cell(name or "..", "data", "exp", 0)
    for place in range(3):
        names = ["rules", "data", "exp"]
        names[place] = name or ".."
        with pytest.raises(UsageError, match="becomes the name of a folder"):
            Cell(*names, 0)


def test_a_protocol_may_not_name_a_place_outside(tmp_path, toy_content):
    with pytest.raises(UsageError, match=r"name: expected a name of letters, digits .* got '\.\./\.\./x'"):
        planned(tmp_path, "exp", rules=protocol.from_dict(toy_content, "../../x"))
    assert not list(tmp_path.parent.glob("x-*"))


@pytest.fixture
def toy_content():
    import yaml

    return yaml.safe_load((protocol.PRESETS / "quick.yaml").read_text())
