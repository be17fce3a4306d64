"""The command `sharpen`: one method, one scene in files, one fused file."""

from __future__ import annotations

import argparse
from pathlib import Path

from waldbench.bench.commands import options as shared


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--methods", nargs="+", metavar="KEY", default=[], help="one method")
    parser.add_argument("--dataset", nargs="+", metavar="scene:PATH", default=[], help="one scene: scene:MS.tif,PAN.tif")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the fused image, .tif or .npy")
    parser.add_argument("--sensor", metavar="KEY", help="sensor of the scene (default: from its bands)")
    parser.add_argument("--weights", metavar="PATH", help="of a network")
    shared.add_device(parser)
    shared.add_threads(parser, "of torch (default: one a core)")
    parser.add_argument("--force", action="store_true", help="replace the output")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    shared.add_plugins(parser)


def run(options: argparse.Namespace) -> int:
    """Fuse the scene into one file; returns 0."""
    from waldbench.bench.products.sharpen import sharpen

    return sharpen(options)
