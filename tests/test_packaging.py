"""What is installed: a wheel of real files under one import name, beside whatever else is on the path."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import waldbench
from waldbench.bench import environment
from waldbench.bench.errors import UsageError
from waldbench.catalogue import PACKAGES

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests" / "bench" / "toy_plugin.py"
PATHS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")
# Names that this project's packages have under `waldbench`, and one of the standard library that every worker needs.
HOSTILE = ("metrics.py", "random.py", "imaging.py", "methods/__init__.py", "datasets/__init__.py", "bench/__init__.py")


def _call(*words, cwd, **variables):
    """Run a program as it would run in a shell that knows nothing of this checkout."""
    known = {name: value for name, value in os.environ.items() if name not in PATHS}
    known |= {"OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | variables
    words = [str(word) for word in words]
    return subprocess.run(words, cwd=cwd, env=known, capture_output=True, text=True, timeout=240, check=False)


def _succeed(*words, cwd, **variables):
    done = _call(*words, cwd=cwd, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _files(folder):
    """Every file that belongs to the six packages of a tree, by its path in `waldbench`."""
    found = (path for name in PACKAGES for path in (folder / name).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Folder of two wheels: of this project, built from a copy so that no build folder is left, and of a stand-in `datasets`."""
    source = tmp_path_factory.mktemp("source")
    for name in ("waldbench", *PACKAGES):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    other = tmp_path_factory.mktemp("other")
    (other / "pyproject.toml").write_text('[project]\nname = "datasets"\nversion = "9.9"\n')
    (other / "datasets").mkdir()
    (other / "datasets" / "__init__.py").write_text("WHOSE = 'stand-in'\n")
    folder = tmp_path_factory.mktemp("wheels")
    isolation = [] if _setuptools() < 77 else ["--no-build-isolation"]
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "--wheel-dir", folder)
    _succeed(*pip, source, other, cwd=folder)
    return folder


def _setuptools():
    """Major version of the installed setuptools; 0 if there is none, and pip must fetch one to build with."""
    try:
        return int(metadata.version("setuptools").split(".")[0])
    except metadata.PackageNotFoundError:
        return 0


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory):
    """Scripts folder of a fresh environment with both wheels; other packages come from the environment of the tests."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, system_site_packages=False, with_pip=False, symlinks=os.name != "nt")
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--quiet", "--no-deps", "--no-index")
    _succeed(*pip, "--no-compile", *wheels.glob("*.whl"), cwd=folder)
    # A path in a .pth file comes after the environment's own packages, and the .pth files of that path are not read: they
    # would bring an editable installation of this project along.
    shared = [entry for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages"}]
    own = Path(_succeed(scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (own / "shared.pth").write_text("\n".join(shared))
    return scripts


@pytest.fixture
def hostile(tmp_path):
    """A working folder whose files raise when they are imported."""
    folder = tmp_path / "hostile"
    for name in HOSTILE:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise RuntimeError(f'{__file__} was imported')\n")
    return folder


def test_the_wheel_holds_every_file_of_the_tree(wheels):
    tree = _files(ROOT)
    assert {Path(name).suffix for name in tree} >= {".py", ".yaml", ".html", ".js", ".css", ".csv"}
    with zipfile.ZipFile(next(wheels.glob("waldbench-*.whl"))) as archive:
        assert [entry.filename for entry in archive.infolist() if stat.S_ISLNK(entry.external_attr >> 16)] == []
        assert {name.split("/")[0] for name in archive.namelist() if ".dist-info/" not in name} == {"waldbench"}
        packed = {name.removeprefix("waldbench/"): archive.read(name) for name in archive.namelist()}
    assert {name for name in packed if ".dist-info/" not in name} == {"__init__.py", *tree}
    assert [name for name, path in tree.items() if packed[name] != path.read_bytes()] == []


def test_the_version_is_that_of_the_wheel(wheels, installed, tmp_path):
    assert next(wheels.glob("waldbench-*.whl")).name.split("-")[1] == waldbench.__version__
    code = "import waldbench; from importlib.metadata import version; print(waldbench.__version__, version('waldbench'))"
    assert _succeed(installed / "python", "-c", code, cwd=tmp_path).split() == [waldbench.__version__] * 2


def test_the_import_takes_the_standard_library_and_nothing_else(installed, tmp_path):
    code = "import sys; before = set(sys.modules); import waldbench; print(*sorted(set(sys.modules) - before))"
    new = _succeed(installed / "python", "-c", code, cwd=tmp_path).split()
    assert [name for name in new if name.split(".")[0] not in sys.stdlib_module_names] == ["waldbench"]
    assert len(new) < 40


def test_public_names_are_loaded_when_they_are_used(installed, tmp_path):
    code = """
import sys, waldbench
from waldbench import datasets, methods, metrics, sensors
assert "torch" not in sys.modules
from waldbench import Scene, interp23
import torch
ms = torch.rand(1, 8, 4, 4)
scene = Scene(ms=ms, lms=interp23(ms, 4), guide=torch.rand(1, 1, 16, 16))
fused = methods.create("exp", sensor=sensors.get("wv3"))(scene.ms, scene.lms, scene.guide)
assert torch.equal(fused, scene.lms)
assert "sam" in metrics.names() and "wv3" in datasets.names()
assert dir(waldbench) == sorted(waldbench.__all__)
assert not hasattr(waldbench, "bench_press")
print(waldbench.__file__, datasets.__file__)
"""
    places = _succeed(installed / "python", "-c", code, cwd=tmp_path).split()
    assert all(Path(place).is_relative_to(installed.parent) for place in places)


def test_the_command_works_beside_another_datasets_and_in_a_hostile_folder(installed, hostile, tmp_path):
    assert "mtf-glp" in _succeed(installed / "waldbench", "list", cwd=hostile)
    code = "import datasets, waldbench.datasets as own; print(datasets.WHOSE, *own.names())"
    assert _succeed(installed / "python", "-c", code, cwd=tmp_path).startswith("stand-in ")
    # Python searches the current folder first here; only a module of the standard library must not be shadowed.
    (hostile / "random.py").unlink()
    _succeed(installed / "python", "-c", "import waldbench.datasets, waldbench.metrics, waldbench.bench.cli", cwd=hostile)


@pytest.mark.parametrize("how", ["installed", "checkout"])
def test_cells_run_in_a_hostile_folder(how, installed, hostile):
    program = [installed / "waldbench"] if how == "installed" else [sys.executable, ROOT / "run_bench.py"]
    words = ["--methods", "toy-copy", "--dataset", "toy", "--plugin", PLUGIN, "--figures", "none", "--device", "cpu"]
    _succeed(*program, *words, "--threads", "1", cwd=hostile)
    board = (hostile / "results" / "leaderboard.csv").read_text().splitlines()
    assert [line.split(",").count("ok") for line in board[1:]] == [1]


def test_a_worker_of_another_tree_refuses(installed, tmp_path):
    code = "import sys; from waldbench.bench import environment; environment.check_code(sys.argv[1])"
    check = (installed / "python", "-c", code, environment.code())
    _succeed(*check, cwd=tmp_path)
    own = Path(_succeed(installed / "python", "-c", "import waldbench; print(waldbench.__file__)", cwd=tmp_path).strip()).parent
    shutil.copytree(own, tmp_path / "other" / "waldbench")
    with (tmp_path / "other" / "waldbench" / "imaging" / "wald.py").open("a") as file:
        file.write("# another tree\n")
    done = _call(*check, cwd=tmp_path, PYTHONPATH=str(tmp_path / "other"))
    assert done.returncode == 1
    assert f"loaded waldbench from {tmp_path / 'other' / 'waldbench'} " in done.stderr.splitlines()[-1]


def test_the_refusal_is_one_line_that_names_both_trees():
    environment.check_code(environment.code())
    with pytest.raises(UsageError, match=rf"code {environment.code()}\).*planned with code 0123456789ab; [^\n]*$"):
        environment.check_code("0123456789ab")
