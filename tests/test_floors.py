"""Each layer imports only the layers below it; packages of one layer never import each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grimp

from waldbench.catalogue import PACKAGES

ROOT = Path(__file__).parents[1]


def _modules():
    """Dotted names of all Python files of the six packages."""
    paths = (path.relative_to(ROOT).with_suffix("") for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    parts = (path.parent.parts if path.name == "__init__" else path.parts for path in paths)
    return {".".join(("waldbench", *part)) for part in parts}


def test_layers():
    code = "from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Analyzed {len(_modules()) + 1} files" in done.stdout


def test_every_file_is_seen_by_the_check():
    # A folder without __init__.py is no package, and what its files import would stay unseen.
    assert grimp.build_graph("waldbench", cache_dir=None).modules == {"waldbench", *_modules()}
