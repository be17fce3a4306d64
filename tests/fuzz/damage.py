"""Damage that any file can have, whatever its format. Each function takes the folder of a case and a random generator."""

from __future__ import annotations

import json
import math
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What a header may say instead of a size: zero, one, the ends of every integer type, 160 GiB to 7 TiB in bytes and in elements.
NUMBERS = (0, 1, 3, 255, 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, 160 << 30, 7 << 40, 2**63 - 1, 2**64 - 1)
# What may stand instead of a value, in JSON and YAML.
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    math.inf,
    -math.inf,
    math.nan,
    10**30,
    "",
    "x",
    "nan",
    "1e5",
    "../../x",
)
VALUES += ("\u202e\x00[/x]", "a" * 5000, [], [1, [2]], {}, {"x": {"y": 1}}, ["x"] * 300, "=1+1", "line\nline", [None], {"": None})


def files(folder: Path) -> list[Path]:
    """All files of a case, in an order that does not depend on the disk."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def one_file(folder: Path, draw: random.Random) -> Path:
    """One of the files of a case."""
    return draw.choice(files(folder))


def flip_bits(folder: Path, draw: random.Random) -> str:
    """Flip 1 to 64 bits, in half of the cases near the start, where the headers are."""
    path = one_file(folder, draw)
    content = bytearray(path.read_bytes())
    end = len(content) if draw.random() < 0.5 else min(len(content), draw.choice((64, 512, 4096)))
    count = draw.choice((1, 2, 8, 64))
    for _ in range(count if end else 0):
        content[draw.randrange(end)] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return f"{path.name}: {count} bits flipped"


def replace_number(folder: Path, draw: random.Random) -> str:
    """Replace 2, 4 or 8 bytes of the headers by an extreme number, in either order of bytes."""
    path = one_file(folder, draw)
    content = bytearray(path.read_bytes())
    width, number = draw.choice((2, 4, 8)), draw.choice(NUMBERS)
    place = draw.randrange(max(min(len(content), draw.choice((64, 512, 4096))) - width, 1)) // 2 * 2
    content[place : place + width] = (number % 2 ** (8 * width)).to_bytes(width, draw.choice(("little", "big")))
    path.write_bytes(content)
    return f"{path.name}: {number} in {width} bytes at {place}"


def truncate(folder: Path, draw: random.Random) -> str:
    """Cut the end off."""
    path = one_file(folder, draw)
    size = path.stat().st_size
    keep = draw.choice((0, 1, 8, size // 3, size - 1, draw.randrange(size + 1)))
    path.write_bytes(path.read_bytes()[:keep])
    return f"{path.name}: cut to {keep} of {size} bytes"


def overwrite(folder: Path, draw: random.Random) -> str:
    """Put random, repeated or foreign bytes in place of a part."""
    path = one_file(folder, draw)
    content = bytearray(path.read_bytes())
    place, length = draw.randrange(len(content) + 1), draw.choice((4, 64, 1024))
    what = draw.choice((draw.randbytes(length), b"\0" * length, b"\xff" * length, b"<html>" * (length // 6), b" " * 20000))
    content[place : place + len(what)] = what
    path.write_bytes(content)
    return f"{path.name}: {len(what)} bytes written at {place}"


def no_file(folder: Path, draw: random.Random) -> str:
    """Put a pipe, folder, socket, device or a link in a circle in place of a file, or nothing."""
    path = one_file(folder, draw)
    path.unlink()
    kind = draw.choice(("pipe", "folder", "circle", "device", "socket", "nothing"))
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "circle":
        path.symlink_to(path.name)
    elif kind == "device":
        path.symlink_to(draw.choice(("/dev/zero", "/dev/full", "/dev/null")))
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as held:
            held.bind(os.path.relpath(path))
    return f"{path.name}: {kind} instead"


ANY: tuple[Callable[[Path, random.Random], str], ...] = (flip_bits, flip_bits, replace_number, truncate, overwrite, no_file)


def change_tree(tree: Any, draw: random.Random) -> tuple[Any, str]:
    """Replace, remove or add one value somewhere in nested lists and dictionaries; returns the tree and what was done."""
    places: list[tuple[Any, Any, str]] = []

    def collect(node: Any, name: str) -> None:
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            places.append((node, key, f"{name}.{key}"))
            if isinstance(value, dict | list):
                collect(value, f"{name}.{key}")

    collect(tree, "")
    if not places or draw.random() < 0.03:
        value = draw.choice(VALUES)
        return value, f"the whole is {str(value)[:30]!r}"
    node, key, name = draw.choice(places)
    if draw.random() < 0.15:
        del node[key]
        return tree, f"{name} removed"
    node[key] = draw.choice(VALUES)
    return tree, f"{name} is {str(node[key])[:30]!r}"


def change_json(folder: Path, draw: random.Random) -> str:
    """Change one value of a JSON file."""
    path = draw.choice([path for path in files(folder) if path.suffix == ".json"])
    tree, done = change_tree(json.loads(path.read_text()), draw)
    path.write_text(json.dumps(tree))
    return f"{path.name}: {done}"


def nest_json(folder: Path, draw: random.Random) -> str:
    """Nest lists or mappings deeper than any parser's stack."""
    path = draw.choice([path for path in files(folder) if path.suffix == ".json"])
    depth = draw.choice((500, 5000, 200_000))
    path.write_text("[" * depth + "]" * depth if draw.random() < 0.5 else '{"a":' * depth + "1" + "}" * depth)
    return f"{path.name}: {depth} deep"
