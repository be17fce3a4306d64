"""Imports plugin files under names of their own, so that none takes the place of another module.

A plugin may import files that lie beside it, as `import helper` or `from .helper import block`: they are loaded as parts of that
plugin, so that two plugins may each have a `helper.py`. What the standard library calls the same stays the standard library's.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

PREFIX = "waldbench_plugin_"
# Never taken from a plugin's folder, whatever lies there.
RESERVED = sys.stdlib_module_names | {"waldbench", "torch", "numpy"}


def plugin_module(path: Path) -> str:
    """Module name of a plugin file: its own, whatever module or other plugin has the name of the file."""
    stem = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    return f"{PREFIX}{stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"


def sibling(folder: Path, name: str) -> Path | None:
    """The file that a plugin in `folder` means by the module `name`; None if that is not a file beside it."""
    first, *rest = name.split(".")
    if first in RESERVED or not (rest or first):
        return None
    stem = folder.joinpath(first, *rest)
    for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def load_module(module: str, path: Path) -> ModuleType:
    """Import a module of this project, an installed package or a plugin file.

    Raises:
        ImportError: where the file ends the program when it is imported.
    """
    if module in sys.modules:
        return sys.modules[module]
    try:
        return _load_plugin(module, path) if module.startswith(PREFIX) else importlib.import_module(module)
    except SystemExit as error:
        raise ImportError(f"{path} ends the program when it is imported (sys.exit({error.code!r})); remove that call") from error


def _load_plugin(module: str, path: Path) -> ModuleType:
    if not any(isinstance(finder, _SiblingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _SiblingFinder())
    # A package whose parts are the files beside it: `from .helper import x` finds them.
    spec = importlib.util.spec_from_file_location(
        module, path, loader=_PluginLoader(module, str(path)), submodule_search_locations=[]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load plugin {path}")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[module]
        raise
    return loaded


class _SiblingFinder(MetaPathFinder):
    """Finds `waldbench_plugin_<name>.<module>` beside the plugin."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        plugin, _, name = fullname.partition(".")
        if not plugin.startswith(PREFIX) or not name or plugin not in sys.modules:
            return None
        found = sibling(Path(str(sys.modules[plugin].__file__)).parent, name)
        if found is None:
            return None
        inside: list[str] | None = [] if found.name == "__init__.py" else None
        loader = _PluginLoader(fullname, str(found))
        return importlib.util.spec_from_file_location(fullname, found, loader=loader, submodule_search_locations=inside)


class _PluginLoader(SourceFileLoader):
    """Compiles a file of a plugin; imports of its siblings become imports of parts of the plugin."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile anew, imports of siblings redirected; `__pycache__` belongs to the file as it stands, outside of a plugin."""
        plugin = fullname.partition(".")[0]
        folder = Path(str(sys.modules[plugin].__file__)).parent
        tree = _Redirected(plugin, folder).visit(ast.parse(self.get_data(self.path), filename=self.path))
        code: CodeType = compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)
        return code


class _Redirected(ast.NodeTransformer):
    def __init__(self, plugin: str, folder: Path) -> None:
        self.plugin, self.folder = plugin, folder

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        """`from helper import x` becomes `from <plugin>.helper import x`."""
        if node.level or node.module is None or sibling(self.folder, node.module.split(".")[0]) is None:
            return node
        return ast.copy_location(ast.ImportFrom(f"{self.plugin}.{node.module}", node.names, 0), node)

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        """`import helper` becomes `from <plugin> import helper`; `import helper.part` loads the part too."""
        return [ast.copy_location(statement, node) for alias in node.names for statement in self._import(alias)]

    def _import(self, alias: ast.alias) -> list[ast.stmt]:
        first, _, rest = alias.name.partition(".")
        if sibling(self.folder, first) is None:
            return [ast.Import([alias])]
        if not rest:
            return [ast.ImportFrom(self.plugin, [ast.alias(first, alias.asname)], 0)]
        parent, _, last = alias.name.rpartition(".")
        if alias.asname:
            return [ast.ImportFrom(f"{self.plugin}.{parent}", [ast.alias(last, alias.asname)], 0)]
        name = f"_{self.plugin}_{last}"  # binds nothing that the file could mean
        load = ast.ImportFrom(f"{self.plugin}.{parent}", [ast.alias(last, name)], 0)
        return [load, ast.ImportFrom(self.plugin, [ast.alias(first, None)], 0)]
