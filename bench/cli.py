"""The command line: arguments -> one Experiment. Heavy libraries are imported by the verbs that need them."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from waldbench.bench.errors import UsageError
from waldbench.catalogue import UnknownNameError

VERBS = ("run", "list", "info", "data", "report", "sharpen", "cost")
EXAMPLE = """examples:
  run_bench.py --methods cf2n fusionnet --dataset wv3          train, evaluate and rank two networks
  run_bench.py --methods all-classic --dataset scene:my.mat    every classic method on your own scene
  run_bench.py --task hs --dataset wdc                         a fast selection on hyperspectral images
  run_bench.py list                                            methods, indices, datasets, sensors, protocols
  run_bench.py info cf2n                                       what is published and what is inferred
  run_bench.py data wv3                                        which files are expected, found, broken
  run_bench.py sharpen --methods gsa --dataset scene:ms.tif,pan.tif --output fused.tif
  run_bench.py cost --methods gsa fusionnet --sensor wv3       latency, memory and energy over sizes and threads
  run_bench.py report --results results                        derive leaderboard, tables and figures again
  run_bench.py report --compare old new                        what changed between two results folders"""


class Parser(argparse.ArgumentParser):
    """Errors are one line with the nearest words, and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print one line and leave with 2."""
        known = [option for action in self._actions for option in action.option_strings]
        if message.startswith("unrecognized arguments:"):
            word = message.split(":")[1].split()[0]
            near = difflib.get_close_matches(word, known, n=2, cutoff=0.4)
            message = f"unknown option {word}" + (f"; nearest: {', '.join(near)}" if near else "; see --help")
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2)


def build_parser() -> Parser:
    """The parser of every verb; the option names are the same everywhere."""
    parser = Parser(
        prog="run_bench.py",
        description="Train and evaluate image-fusion methods under one protocol; write leaderboard, LaTeX tables and figures.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs = "|".join(VERBS)
    parser.add_argument("verb", nargs="?", default="run", metavar=verbs, help="what to do (default: run)")
    parser.add_argument("key", nargs="?", help="of info and data: a method, index, dataset, sensor or protocol")
    what = parser.add_argument_group("what runs")
    what.add_argument(
        "--methods",
        nargs="+",
        metavar="KEY",
        default=[],
        help="keys (options: tv:variant=toolbox), or all, all-classic, all-deep (with --task hs or sar: a selection)",
    )
    what.add_argument("--dataset", nargs="+", metavar="KEY", default=[], help="keys, or scene:PATH for your own images")
    what.add_argument("--task", choices=("ms", "hs", "sar"), help="multispectral, hyperspectral or SAR-optical")
    what.add_argument("--track", choices=("sar-cr", "sar-sharp"), help="of SAR-optical data: cloud removal or sharpening")
    what.add_argument("--ablate", choices=("guide",), nargs="+", default=[], help="also train networks without a guide")
    what.add_argument("--protocol", default="quick", metavar="NAME", help="quick (default), full, or a YAML file")
    what.add_argument("--seeds", nargs="+", type=int, default=[42], metavar="N", help="seeds of the training (default: 42)")
    what.add_argument("--weights", metavar="zoo|PATH", help="evaluate with these weights instead of training")
    what.add_argument("--plugin", nargs="+", default=[], metavar="FILE", help="Python files with more methods, indices, datasets")
    where = parser.add_argument_group("data and results")
    where.add_argument("--source", choices=("auto", "published", "simulated"), default="auto", help="published files or twin")
    where.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the published files")
    where.add_argument("--sensor", metavar="KEY", help="sensor, or spectrometer, of a scene:PATH")
    where.add_argument("--ratio", type=int, metavar="N", help="PAN sides over MS sides of a scene (default: from the sizes; 4)")
    where.add_argument("--response", type=Path, metavar="FILE", help="PAN's spectral response (nm, PAN) for a cube without PAN")
    where.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="output (default: results)")
    where.add_argument("--output", type=Path, metavar="FILE", help="of sharpen: the fused image, .tif or .npy")
    _add_report_options(parser)
    how = parser.add_argument_group("how it runs")
    how.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:1")
    how.add_argument("--threads", type=int, metavar="N", help="of a cell (default: 1 to train on a CPU, else cores / workers)")
    how.add_argument("--workers", type=int, metavar="N", help="cells at a time (default: one a core; one on a GPU)")
    how.add_argument("--executor", choices=("local", "dask"), default="local", help="processes here, or a Dask cluster")
    how.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster")
    how.add_argument("--compile", action="store_true", help="train with torch.compile; of cost: measure that form too")
    how.add_argument("--sizes", nargs="+", type=int, metavar="N", help="of cost: sides of the guide (default: 64 256 512 2048)")
    how.add_argument(
        "--precision", nargs="+", choices=("fp32", "bf16", "fp16"), default=["fp32"], metavar="fp32|bf16|fp16", help="of cost"
    )
    how.add_argument("--layout", choices=("auto", "channels-last", "contiguous"), default="auto", help="of images in memory")
    how.add_argument("--deterministic", action="store_true", help="refuse operations that give other bits each time (GPU)")
    how.add_argument("--force", action="store_true", help="run finished cells again")
    how.add_argument("--dry-run", action="store_true", help="say what would run, and stop")
    how.add_argument("--quiet", action="store_true", help="only failures and the final table")
    return parser


def _add_report_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("reports")
    group.add_argument("--compare", nargs=2, metavar=("A", "B"), help="of report: what changed between two results folders")
    group.add_argument("--figures", choices=("all", "fast", "none"), help="which are drawn (default: fast; report: all)")
    group.add_argument("--siunitx", action="store_true", help="LaTeX tables aligned at the decimal point by siunitx")
    group.add_argument(
        "--export", nargs="+", choices=("benchopt",), default=[], metavar="benchopt", help="results for other tools"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns 0 if everything succeeded, 1 if a cell failed, 2 for a wrong request, 130 after Ctrl-C."""
    return fail_softly(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    if options.verb not in VERBS:
        near = difflib.get_close_matches(options.verb, VERBS, n=1, cutoff=0.3) or list(VERBS)
        raise UsageError(f"unknown verb '{options.verb}'; expected {', '.join(VERBS)} (nearest: {near[0]})")
    _check(options)
    _add_plugins(options.plugin)
    from waldbench.bench import verbs

    return verbs.call(options)


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


def _check(options: argparse.Namespace) -> None:
    if options.verb in {"info", "data"} and not options.key:
        raise UsageError(f"{options.verb} needs a key: run_bench.py {options.verb} KEY (all keys: run_bench.py list)")
    if options.verb in {"run", "list", "report", "sharpen", "cost"} and options.key:
        raise UsageError(f"{options.verb} takes no key, got '{options.key}'; methods are named with --methods")
    if options.verb == "run" and not options.dataset:
        raise UsageError("no dataset named; expected --dataset wv3, or --dataset scene:PATH (all keys: run_bench.py list)")
    if options.compare and options.verb != "report":
        raise UsageError("--compare goes with report: run_bench.py report --compare A B")
    for name in ("threads", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, got {value}")
    if options.track and options.task not in {None, "sar"}:
        raise UsageError(f"--track {options.track} goes with --task sar, got --task {options.task}")
    if options.ratio is not None and options.ratio < 2:
        raise UsageError(f"--ratio must be at least 2, got {options.ratio}")
    if options.response is not None and not options.response.is_file():
        raise UsageError(f"--response: no such file: {options.response}")
    if options.scheduler and options.executor != "dask":
        raise UsageError("--scheduler goes with --executor dask")
    if any(not 0 <= seed < 2**31 for seed in options.seeds):
        raise UsageError(f"--seeds must lie in 0..2147483647, got {' '.join(map(str, options.seeds))}")


def _add_plugins(files: list[str]) -> None:
    from waldbench.bench import plugins

    for name in files:
        if not Path(name).is_file():
            raise UsageError(f"plugin '{name}' not found")
    plugins.add(files)
    for package in plugins.PACKAGES:
        package.catalogue.names()
        for problem in dict.fromkeys(package.catalogue.problems):
            print(f"warning: {problem}", file=sys.stderr)
