"""The command `sharpen`: methods, one scene in files, one fused file each."""

from __future__ import annotations

import argparse
from pathlib import Path

from waldbench.bench.commands import options as shared


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    from waldbench.bench.products.choices import COMPRESSIONS, FORMATS, PHASES, TYPES

    parser.add_argument("--methods", nargs="+", metavar="KEY", default=[], help="one method or more; several write FILE-KEY each")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the fused image, .tif or .npy")
    parser.add_argument("--sensor", metavar="KEY", help="sensor of the scene (default: from its bands)")
    parser.add_argument("--weights", metavar="PATH", help="of a network")
    scene = parser.add_argument_group("scene")
    scene.add_argument("--dataset", nargs="+", metavar="scene:PATH", default=[], help="one scene: scene:MS.tif,PAN.tif")
    scene.add_argument("--ms", nargs="+", type=Path, default=[], metavar="FILE", help="instead of a path: MS, or its bands")
    scene.add_argument("--pan", nargs=1, type=Path, default=[], metavar="FILE", help="and PAN")
    scene.add_argument("--key", nargs="+", default=[], metavar="ROLE=NAME", help="variables of a .mat or .h5: ms=NAME pan=NAME")
    scene.add_argument("--bands", nargs="+", default=[], metavar="N", help="bands of MS: numbers from 1, and ranges 1-3")
    scene.add_argument(
        "--window", nargs=4, type=shared.whole(0), metavar="N", help="of PAN alone: top row, left column, rows, columns"
    )
    scene.add_argument("--ratio", type=shared.whole(2), metavar="N", help="PAN over MS (default: from the files)")
    scene.add_argument("--align", action="store_true", help="warp MS onto the grid of PAN where they are not parallel")
    scene.add_argument("--phase", choices=PHASES, help="MS on PAN (default: the geotransforms decide, else wald)")
    file = parser.add_argument_group("file")
    file.add_argument("--format", choices=FORMATS, default="GTiff", help="GeoTIFF, or cloud-optimised (default: GTiff)")
    file.add_argument("--compress", choices=COMPRESSIONS, default="deflate", help="default: deflate")
    file.add_argument("--dtype", choices=TYPES, help="type of the pixels (default: that of MS)")
    file.add_argument("--overviews", action="store_true", help="add smaller copies for display")
    file.add_argument("--force", action="store_true", help="replace the output")
    shared.add_device(parser)
    shared.add_threads(parser, "of torch (default: one a core)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    shared.add_plugins(parser)


def run(options: argparse.Namespace) -> int:
    """Fuse the scene into one file a method; returns 0."""
    from waldbench.bench.products.sharpen import sharpen

    return sharpen(options)
