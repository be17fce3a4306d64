"""The command line: finds the command and runs it. Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from waldbench.bench.commands import COMMANDS
from waldbench.bench.errors import UsageError
from waldbench.catalogue import UnknownNameError

PROGRAM = "run_bench.py"
EXAMPLES = """examples:
  run_bench.py --methods cf2n fusionnet --dataset wv3          train, evaluate and rank two networks
  run_bench.py --methods all-classic --dataset scene:my.mat    every classic method on your own scene
  run_bench.py --methods cf2n --dataset wv3 --sweep lr=3e-4,1e-3   one row a learning rate, in one table
  run_bench.py --config run.yaml                               a run as a file
  run_bench.py --task hs --dataset wdc                         a fast selection on hyperspectral images
  run_bench.py list                                            methods, indices, datasets, sensors, protocols
  run_bench.py info cf2n                                       what is published and what is inferred
  run_bench.py data wv3                                        which files are expected, found, broken
  run_bench.py check my_net.py                                 test a plugin before it is trained
  run_bench.py sharpen --methods gsa --dataset scene:ms.tif,pan.tif --output fused.tif
  run_bench.py cost --methods gsa fusionnet --sensor wv3       latency, memory and energy over sizes and threads
  run_bench.py report --results results                        derive leaderboard, tables and figures again
  run_bench.py report --compare old new                        what changed between two results folders

run_bench.py COMMAND --help shows the options of a command."""


class Parser(argparse.ArgumentParser):
    """Errors are one line with the nearest words."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with one line."""
        if message.startswith("unrecognized arguments:"):
            message = self._unknown(message.split(":", 1)[1].split()[0])
        raise UsageError(message)

    def _unknown(self, word: str) -> str:
        name = word.partition("=")[0]
        if not name.startswith("-"):
            return f"unexpected word '{word}'; a command comes first: {PROGRAM} {'|'.join(COMMANDS)}"
        near = difflib.get_close_matches(name, _option_names(self), n=2, cutoff=0.4)
        text = f"unknown option {name}" + (f"; nearest: {', '.join(near)}" if near else "; see --help")
        if difflib.get_close_matches(name, near, cutoff=0.9):  # a slip of the keyboard, whatever other commands call theirs
            return text
        owners = [command for command in COMMANDS if name in _option_names(_parser_of(command))]
        return f"{name} is an option of {' and '.join(owners)}, not of {self.prog.split()[-1]}" if owners else text


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of a command line, with the command's name in `command`; options without a command belong to `run`.

    Raises:
        UsageError: for an unknown command or wrong options.
        SystemExit: 0 after help.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in {"-h", "--help", "--version"}:
        _overview().parse_args(words)
        _overview().print_help()
        raise SystemExit(0)
    command = "run" if words[0].startswith("-") else words.pop(0)
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.3) or list(COMMANDS)
        raise UsageError(f"unknown command '{command}'; expected {', '.join(COMMANDS)} (nearest: {near[0]})")
    options = _with_file(command, words)
    options.command = command
    return options


def _with_file(command: str, words: list[str]) -> argparse.Namespace:
    """Options of a command's words, and before them those of the file that `--config` names."""
    parser = _parser_of(command)
    options = parser.parse_args(words)
    path = getattr(options, "config", None)
    if path is None:
        return options
    from waldbench.bench.commands import configuration

    return parser.parse_args([*configuration.words(configuration.read(path), parser, str(path)), *words])


def from_python(content: Mapping[str, Any]) -> argparse.Namespace:
    """Options of a run by their names, as `waldbench.run` takes them; checked as the words of a command line are.

    Raises:
        UsageError: for an unknown option or a wrong value.
    """
    from waldbench.bench.commands import configuration

    parser = _parser_of("run")
    options = parser.parse_args(configuration.words(content, parser, "run"))
    options.command = "run"
    return options


def _overview() -> Parser:
    lines = "\n".join(f"  {name:<10}{what}" for name, what in COMMANDS.items())
    parser = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [COMMAND] [OPTION ...]",
        description="Train and evaluate image-fusion methods under one protocol; write leaderboard, LaTeX tables and figures.",
        epilog=f"commands:\n{lines}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    from waldbench import __version__

    parser.add_argument("--version", action="version", version=f"waldbench {__version__}")
    return parser


def _module(command: str) -> ModuleType:
    return import_module(f"waldbench.bench.commands.{command}")


def _parser_of(command: str) -> Parser:
    parser = Parser(prog=f"{PROGRAM} {command}", description=COMMANDS[command].capitalize() + ".", allow_abbrev=False)
    _module(command).add_options(parser)
    return parser


def _option_names(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns 0 if everything succeeded, 1 if a cell failed, 2 for a wrong request, 130 after Ctrl-C."""
    from waldbench.bench.screen import patient

    if arguments is None and "_ARGCOMPLETE" in os.environ:
        _complete()
    with patient() as out, _safe_path():
        code = fail_softly(lambda: _main(arguments))
        out.flush()
        if out.full:
            print(f"error: standard output could not be written: {out.lost}", file=sys.stderr)
    return max(code, 1) if out.full else code


@contextmanager
def _safe_path() -> Iterator[None]:
    """Interpreters that this one starts do not import what happens to lie in the current folder."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = before or "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PYTHONSAFEPATH", None)


def _complete() -> None:
    """Words for the shell, where argcomplete is installed (the extra `completion`); ends the process if the shell asked."""
    try:
        import argcomplete
    except ImportError:
        return
    parser = _overview()
    _add_run_and_others(parser)
    argcomplete.autocomplete(parser, always_complete_options=True)


def _add_run_and_others(parser: argparse.ArgumentParser) -> None:
    """Every command as a subparser; a command line that begins with an option is that of `run`."""
    words = os.environ.get("COMP_LINE", "").split()[1:2]
    if words and words[0].startswith("-"):
        _module("run").add_options(parser)
        _add_completers(parser)
        return
    commands = parser.add_subparsers()
    for name in COMMANDS:
        known = commands.add_parser(name, allow_abbrev=False)
        _module(name).add_options(known)
        _add_completers(known)


def _add_completers(parser: argparse.ArgumentParser) -> None:
    """Keys where an option or a word takes such."""
    from waldbench import datasets, methods, metrics
    from waldbench.bench import protocol

    keys = {"methods": methods.names, "dataset": datasets.names, "protocol": protocol.presets}
    everything = lambda: [*methods.names(), *metrics.names(), *datasets.names()]  # noqa: E731
    for action in parser._actions:
        names = keys.get(action.dest) or (everything if action.dest == "key" else None)
        if names is not None:
            action.completer = lambda names=names, **_asked: names()  # type: ignore[attr-defined]


def _main(arguments: Sequence[str] | None) -> int:
    options = parse(arguments)
    add_plugins(getattr(options, "plugin", []))
    code: int = _module(options.command).run(options)
    return code


def fail_softly(work: Callable[[], int]) -> int:
    """Run a command; what the user can mend becomes one line and an exit code, never a traceback."""
    try:
        return work()
    except (UsageError, UnknownNameError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def add_plugins(files: Iterable[str]) -> None:
    """Load plugin files and tell of problems, one line each."""
    from waldbench.bench import plugins

    for name in files:
        if not Path(name).is_file():
            raise UsageError(f"plugin '{name}' not found")
    plugins.add(files)
    for problem in plugins.problems():
        print(f"warning: {problem}", file=sys.stderr)
