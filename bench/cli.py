"""The command line: finds the command and runs it. Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from waldbench.bench.commands import COMMANDS
from waldbench.bench.errors import UsageError
from waldbench.catalogue import UnknownNameError

PROGRAM = "run_bench.py"
EXAMPLES = """examples:
  run_bench.py --methods cf2n fusionnet --dataset wv3          train, evaluate and rank two networks
  run_bench.py --methods all-classic --dataset scene:my.mat    every classic method on your own scene
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
        owners = [command for command in COMMANDS if name in _option_names(_parser_of(command))]
        if owners:
            return f"{name} is an option of {' and '.join(owners)}, not of {self.prog.split()[-1]}"
        near = difflib.get_close_matches(name, _option_names(self), n=2, cutoff=0.4)
        return f"unknown option {name}" + (f"; nearest: {', '.join(near)}" if near else "; see --help")


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
    options = _parser_of(command).parse_args(words)
    options.command = command
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
    # Interpreters that this one starts must not import what happens to lie in the current folder.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    return fail_softly(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    options = parse(arguments)
    _add_plugins(getattr(options, "plugin", []))
    code: int = _module(options.command).run(options)
    return code


def fail_softly(work: Callable[[], int]) -> int:
    """Run a command; what the user can mend becomes one line and an exit code, never a traceback."""
    try:
        return work()
    except (UsageError, UnknownNameError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _add_plugins(files: Iterable[str]) -> None:
    from waldbench.bench import plugins

    for name in files:
        if not Path(name).is_file():
            raise UsageError(f"plugin '{name}' not found")
    plugins.add(files)
    for problem in plugins.problems():
        print(f"warning: {problem}", file=sys.stderr)
