"""Readers of images: published HDF5 files, Sentinel patches, and users' scenes in every format."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
import torch

from tests.fuzz import damage
from tests.fuzz.subjects import Subject, WrongError, check_dataset
from waldbench import datasets

Arrays = dict[str, np.ndarray]


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Smooth digital numbers of 11 bits."""
    draw = np.random.default_rng(seed)
    coarse = np.kron(draw.uniform(200, 1200, (*shape[:-2], shape[-2] // 4, shape[-1] // 4)), np.ones((4, 4)))
    return coarse + draw.uniform(0, 200, shape)


# Published HDF5 files --------------------------------------------------------------------------------------------------------
@cache
def published(bands: int, ratio: int, low: int, count: int) -> Arrays:
    """Arrays gt, ms, lms, pan of one file, as published."""
    from waldbench.imaging import interp23

    gt = noise((count, bands, low * ratio, low * ratio))
    ms = gt.reshape(count, bands, low, ratio, low, ratio).mean((3, 5))
    lms = interp23(torch.from_numpy(ms), ratio).numpy()
    made = {"gt": gt, "ms": ms, "lms": lms, "pan": gt[:, : bands // 2].mean(1, keepdims=True)}
    return {name: array.astype(np.float32) for name, array in made.items()}


def write_h5(path: Path, arrays: Arrays, **options: Any) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **options)


def write_qb(folder: Path) -> None:
    arrays = published(4, 4, 8, 3)
    write_h5(folder / "test_qb_multiExm1.h5", arrays)
    write_h5(folder / "train_qb.h5", arrays, compression="gzip", chunks=True)
    write_h5(folder / "test_qb_OrigScale_multiExm1.h5", {name: array for name, array in arrays.items() if name != "gt"})


def write_fr1(folder: Path) -> None:
    arrays = published(69, 6, 4, 2)
    write_h5(folder / "Test_FR1.h5", {name.upper(): array for name, array in arrays.items()})
    write_h5(folder / "Train_FR1.h5", {name.upper(): array for name, array in arrays.items()}, compression="gzip")


def read_published(key: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        dataset = datasets.open(key, root=folder, source="published")
        check_dataset(dataset)

    return read


def _hdf5(folder: Path, draw: random.Random) -> tuple[Path, str]:
    """A file, and the name of one of its arrays."""
    path = damage.one_file(folder, draw)
    with h5py.File(path) as file:
        return path, draw.choice(sorted(file))


def h5_values(folder: Path, draw: random.Random) -> str:
    """Fractions, zeros, negatives, another scale, NaN or infinity in one array."""
    path, name = _hdf5(folder, draw)
    kind = draw.choice(("fractions", "zero", "negative", "nan", "inf", "huge", *(("scale",) if name.lower() != "pan" else ())))
    with h5py.File(path, "r+") as file:
        values = file[name][:]
        if kind in {"nan", "inf", "huge"}:
            values.reshape(-1)[draw.randrange(values.size)] = {"nan": np.nan, "inf": np.inf, "huge": 3e38}[kind]
        else:
            values *= {"fractions": 1 / 2047, "zero": 0, "negative": -1, "scale": 20}[kind]
        file[name][...] = values
    return f"{path.name}: {name} {kind}"


def h5_node(folder: Path, draw: random.Random) -> str:
    """Something else in place of one array: another type or rank, links to nowhere and to other files, groups, nothing."""
    path, name = _hdf5(folder, draw)
    kinds = ("complex", "bool", "text", "compound", "rank3", "rank5", "empty", "scalar", "group", "dangling", "loop", "outside")
    kind = draw.choice((*kinds, "object", "virtual"))
    with h5py.File(path, "r+") as file:
        values = file[name][:]
        del file[name]
        made: dict[str, Any] = {"complex": values * 1j, "bool": values > 0, "rank3": values[0], "rank5": values[None]}
        made |= {"text": np.full(values.shape, b"12"), "empty": values[:0], "scalar": np.float32(3)}
        made |= {"compound": np.zeros(values.shape, [("a", "f4"), ("b", "i4")])}
        if kind in made:
            file[name] = made[kind]
        elif kind == "object":
            file.create_dataset(name, (2,), dtype=h5py.string_dtype())
        elif kind == "group":
            file.create_group(name)
        elif kind == "virtual":
            layout = h5py.VirtualLayout(values.shape, values.dtype)
            layout[...] = h5py.VirtualSource("/etc/hostname", "x", values.shape)
            file.create_virtual_dataset(name, layout)
        else:
            links = {"dangling": h5py.SoftLink("/none"), "loop": h5py.SoftLink(f"/{name}")}
            file[name] = links.get(kind) or h5py.ExternalLink("/etc/hostname", "/x")
    return f"{path.name}: {name} is {kind}"


def h5_declared(folder: Path, draw: random.Random) -> str:
    """Arrays that declare thousands of millions of images, or terabytes, in some kB; and arrays that were never written."""
    path, _ = _hdf5(folder, draw)
    count = draw.choice((3, 10**6, 10**9, 2**40))
    with h5py.File(path, "r+") as file:
        for name in list(file):
            tail = file[name].shape[1:]
            del file[name]
            if count == 3 and draw.random() < 0.5:
                file.create_dataset(name, (count, *tail), dtype="f4")
            else:
                file.create_dataset(name, (count, *tail), dtype="f4", chunks=(1, *tail), compression="gzip")
    return f"{path.name}: {count} images declared, none written"


# Sentinel patches ------------------------------------------------------------------------------------------------------------
def write_sentinel(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for kind, bands in (("s1", 2), ("s2_cloudfree", 13), ("s2_cloudy", 13)):
        (folder / kind).mkdir()
        for patch in (1, 2):
            low, high = (-30, 0) if bands == 2 else (200, 3000)
            image = draw.uniform(low, high, (32, 32, bands)).astype("f4" if bands == 2 else "u2")
            tifffile.imwrite(folder / kind / f"ROIs1158_spring_{patch}_p3.tif", image, photometric="minisblack")
    lines = "1,s1,s2_cloudfree,s2_cloudy,ROIs1158_spring_1_p3.tif\n3,s1,s2_cloudfree,s2_cloudy,ROIs1158_spring_2_p3.tif\n"
    (folder / "splits.csv").write_text(lines)


def read_sentinel(folder: Path) -> None:
    check_dataset(datasets.open("sen12mscr", root=folder, source="published"))


def sentinel_values(folder: Path, draw: random.Random) -> str:
    """A patch of fractions, of nothing but NaN, of other types, sizes or numbers of bands."""
    path = draw.choice([path for path in damage.files(folder) if path.suffix == ".tif"])
    image = tifffile.imread(path)
    kind = draw.choice(("fractions", "all NaN", "complex", "bool", "other size", "other bands", "plane", "several pages"))
    made: dict[str, Any] = {
        "fractions": np.asarray(image / 3000, "f4") if image.shape[-1] == 13 else image[:8],
        "plane": image[..., 0],
    }
    made |= {"all NaN": np.full(image.shape, np.nan, "f4"), "complex": image.astype("c8"), "bool": image > 0}
    made |= {"other size": image[:16], "other bands": image[..., :1], "several pages": np.stack([image] * 2)}
    tifffile.imwrite(path, made[kind], photometric="minisblack")
    return f"{path.name}: {kind}"


def sentinel_table(folder: Path, draw: random.Random) -> str:
    """Other lines in the table of splits."""
    lines = (
        "\0\n",
        '"\n',
        "9,a,b,c,d\n",
        "1,a\n",
        ",,,,\n",
        "1,a,b,c,../../x.tif\n",
        "\udcff\n",
        "1," * 70000 + "\n",
        '"' * 200_000,
    )
    line = draw.choice(lines)
    path = folder / "splits.csv"
    path.write_text(path.read_text() + line, errors="surrogateescape")
    return f"{path.name}: {line[:30]!r} added"


# Scenes ----------------------------------------------------------------------------------------------------------------------
MS, PAN = noise((4, 32, 32)).astype("u2"), noise((128, 128), 1).astype("u2")
CUBE = noise((24, 32, 32)).astype("u2")


def read_scene(*names: str) -> Callable[[Path], None]:
    """Read a scene by the first of several names as `--dataset scene:` does, or as `sharpen` does."""

    def read(folder: Path) -> None:
        from waldbench.datasets.memory_mapped import open_mapped

        path = ",".join(str(folder / name) for name in names)
        check_dataset(datasets.open(f"scene:{path}"))
        if len(names) == 2:
            mapped = open_mapped(path)
            # Arrays, or rasters that hold them.
            ms, pan = (getattr(image, "image", image).shape for image in (mapped.ms, mapped.pan))
            if ms[0] != mapped.sensor.count or min(*ms, *pan) < 1:
                raise WrongError(f"mapped: {ms} and {pan}")

    return read


def write_npy(folder: Path) -> None:
    np.save(folder / "a_ms.npy", MS)
    np.save(folder / "a_pan.npy", PAN)


def npy_header(folder: Path, draw: random.Random) -> str:
    """Another shape or type in the header, or no dictionary at all."""
    path = damage.one_file(folder, draw)
    content = path.read_bytes()
    size = int.from_bytes(content[8:10], "little")
    shapes = (
        "(0,)",
        "(4, 0, 32)",
        "(-1, 4)",
        "(4, 32, 10000000000)",
        "(1000000, 1000000)",
        "(True, 4)",
        "(4.5, 3)",
        "('x',)",
        "()",
    )
    shapes += ("(" * 200 + ")" * 200, "[4]", "(32,)", "(4, 32, 31)", "(1e9, 1)", f"({'1, ' * 70})")
    kinds = ("<u2", "|O", "<c8", "|b1", "<U4", "<M8[s]", "|V8", "x", "<f2", "<i9", ",".join(["u2"] * 9), ">u2")
    shape, kind = (draw.choice(shapes), "<u2") if draw.random() < 0.6 else ("(4, 32, 32)", draw.choice(kinds))
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    if draw.random() < 0.15:
        text = draw.choice(("{" * 5000, "__import__('os').getpid()", "1" * 9000, "[1, 2]", "{'descr': [", "{1: 2}"))
    header = text.encode()[: 2**16 - 2] + b"\n"
    path.write_bytes(content[:8] + len(header).to_bytes(2, "little") + header + content[10 + size :])
    return f"{path.name}: header {text[:80]}"


def write_tif(folder: Path) -> None:
    tifffile.imwrite(folder / "a_ms.tif", MS.transpose(1, 2, 0), photometric="minisblack")
    tifffile.imwrite(folder / "a_pan.tif", PAN, photometric="minisblack", compression="zlib")


def tif_tags(folder: Path, draw: random.Random) -> str:
    """Another type, count or value in one entry of the first directory."""
    path = draw.choice([path for path in damage.files(folder) if path.suffix == ".tif"])
    content = bytearray(path.read_bytes())
    start = int.from_bytes(content[4:8], "little")
    entries = int.from_bytes(content[start : start + 2], "little")
    entry = start + 2 + 12 * draw.randrange(entries)
    code, field = int.from_bytes(content[entry : entry + 2], "little"), draw.choice((2, 4, 8, 8, 8))
    width, number = (2 if field == 2 else 4), draw.choice(damage.NUMBERS)
    content[entry + field : entry + field + width] = (number % 2 ** (8 * width)).to_bytes(width, "little")
    path.write_bytes(content)
    return f"{path.name}: tag {code} field {field} is {number}"


def tif_kind(folder: Path, draw: random.Random) -> str:
    """Sound TIFF files that hold no image of this kind."""
    path = damage.one_file(folder, draw)
    image = tifffile.imread(path)
    made = {
        "complex": image.astype("c8"),
        "bool": image > 0,
        "one pixel": image[:1, :1],
        "nan": np.full(image.shape, np.nan, "f4"),
    }
    made |= {"negative": -image.astype("f4"), "zero": image * 0, "rank 5": image[None, None], "signed": image.astype("i1")}
    kind = draw.choice(sorted(made))
    tifffile.imwrite(path, made[kind], photometric="minisblack")
    return f"{path.name}: {kind}"


def write_envi(folder: Path) -> None:
    fields = (
        "samples = 32\nlines = 32\nbands = 24\nheader offset = 0\nfile type = ENVI Standard\ndata type = 12\ninterleave = bsq\n"
    )
    waves = ", ".join(f"{450 + 20 * band}" for band in range(24))
    listed = f"byte order = 0\nwavelength units = nm\nwavelength = {{{waves}}}\nfwhm = {{{', '.join(['10'] * 24)}}}\n"
    more = f"bbl = {{{', '.join(['1'] * 24)}}}\ndata ignore value = -9999\n"
    (folder / "cube.hdr").write_text("ENVI\n" + fields + listed + more)
    (folder / "cube.img").write_bytes(CUBE.tobytes())


def envi_field(folder: Path, draw: random.Random) -> str:
    """Another value of one field of the header."""
    path = folder / "cube.hdr"
    lines = path.read_text().splitlines()
    values = [
        "",
        "x",
        "nan",
        "inf",
        "-1",
        "0",
        "1e9",
        "4j",
        "{1, 2}",
        "{",
        "99999999999",
        "1.5",
        "32 ",
        "{nan}",
        " " * 20000,
        "0x20",
    ]
    values += [
        "{" + ", ".join(["x"] * 24) + "}",
        "{" + ", ".join(["nan"] * 24) + "}",
        "{" + ", ".join(["0"] * 24) + "}",
        "1" * 5000,
    ]
    number = draw.randrange(1, len(lines))
    name = lines[number].partition("=")[0].strip()
    value = draw.choice(values)
    lines[number] = f"{name} = {value}"
    path.write_text("\n".join(lines))
    return f"{name} = {value[:40]!r}"


def envi_sizes(folder: Path, draw: random.Random) -> str:
    """Sizes that are not those of the data."""
    path = folder / "cube.hdr"
    name, value = draw.choice(
        (("samples", 31), ("lines", 30), ("bands", 23), ("bands", 25), ("samples", 10**9), ("data type", 1))
    )
    before = {"samples": 32, "lines": 32, "bands": 24, "data type": 12}[name]
    path.write_text(path.read_text().replace(f"{name} = {before}", f"{name} = {value}"))
    return f"{name} = {value}"


VARIABLES: tuple[Any, ...] = (
    np.nan,
    np.inf,
    -1,
    0,
    1.5,
    1e300,
    3j,
    "x",
    "",
    [],
    [1, 2],
    [[3, 2, 1]],
    [9, 9, 9],
    [1.5, 2, 3],
    True,
)


def write_mat(folder: Path) -> None:
    import scipy.io

    lone = {"I_MS": MS.transpose(1, 2, 0), "I_PAN": PAN, "ratio": 4, "L": 11, "RGB_indexes": [[3, 2, 1]], "sensor": "QB"}
    scipy.io.savemat(folder / "a.mat", lone, do_compression=True)


def mat_variable(folder: Path, draw: random.Random) -> str:
    """Another value of one variable of a MATLAB file of version 5."""
    import scipy.io

    path = folder / "a.mat"
    content = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
    name = draw.choice((*content, "ratio", "L", "RGB_indexes", "nrow", "I_GT"))
    arrays = {
        "empty": np.zeros((0, 3)),
        "complex": MS * 1j,
        "logical": MS > 0,
        "struct": {"a": 1},
        "cell": np.array([1, "x"], object),
    }
    arrays |= {"plane": MS[0], "nan": np.full(MS.shape, np.nan), "rank 5": MS[None, None], "fractions": MS / 2047.0}
    value = draw.choice([*arrays.values(), *VARIABLES, *VARIABLES])
    content[name] = value
    scipy.io.savemat(path, content, do_compression=True)
    return f"{name} is {str(value)[:30]!r}"


def write_mat73(folder: Path) -> None:
    with h5py.File(folder / "a.mat", "w", userblock_size=512) as file:
        file["I_MS"], file["I_PAN"] = MS.transpose(0, 2, 1), PAN.T
        file["ratio"], file["L"] = np.array([[4.0]]), np.array([[11.0]])
        file["sensor"] = np.array([[ord("Q")], [ord("B")]], "u2")
        file["sensor"].attrs["MATLAB_class"] = np.bytes_("char")
    head = b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM"
    path = folder / "a.mat"
    path.write_bytes(head + path.read_bytes()[len(head) :])


def mat73_variable(folder: Path, draw: random.Random) -> str:
    """Another value of one variable of a MATLAB file of version 7.3."""
    with h5py.File(folder / "a.mat", "r+") as file:
        name = draw.choice((*sorted(file), "RGB_indexes", "other"))
        if name in file:
            del file[name]
        if draw.random() < 0.2:
            file.create_dataset(name, (10**9, 50, 50), "f8", chunks=(1, 50, 50))
            return f"{name} declares 18 TiB"
        value = draw.choice([value for value in VARIABLES if value != []] + [np.zeros((0, 3)), MS * 1j, MS > 0, MS[0]])
        file[name] = value
        if draw.random() < 0.2:
            file[name].attrs["MATLAB_class"] = np.bytes_("char")
    return f"{name} is {str(value)[:30]!r}"


def mat73_node(folder: Path, draw: random.Random) -> str:
    """A group, or a link to nowhere or to another file, in place of one variable."""
    with h5py.File(folder / "a.mat", "r+") as file:
        name = draw.choice(sorted(file))
        del file[name]
        kind = draw.choice(("dangling", "outside", "loop", "group"))
        if kind == "group":
            file.create_group(name)
        else:
            links = {"dangling": h5py.SoftLink("/none"), "outside": h5py.ExternalLink("/etc/hostname", "/x")}
            file[name] = links.get(kind) or h5py.SoftLink(f"/{name}")
    return f"{name} is {kind}"


def write_response(folder: Path) -> None:
    (folder / "pan.csv").write_text("".join(f"{nm}, {0.5 + nm % 7 / 20}\n" for nm in range(400, 900, 20)))


def read_response(folder: Path) -> None:
    from waldbench.datasets import cube_preparation

    table = cube_preparation.read_response(folder / "pan.csv")
    if not np.isfinite(table).all() or table.ndim != 2 or min(table.shape) < 2:
        raise WrongError(f"a response of shape {table.shape} that is not finite")


# Damage after which nothing can be right.
HOPELESS = frozenset({"h5_values", "h5_node", "h5_declared", "envi_sizes"})
SUBJECTS = {
    "pancollection": Subject(write_qb, read_published("qb"), (h5_values, h5_node, h5_declared), HOPELESS),
    "hyperpan": Subject(write_fr1, read_published("fr1"), (h5_values, h5_node, h5_declared), HOPELESS),
    "sen12mscr": Subject(write_sentinel, read_sentinel, (tif_tags, sentinel_values, sentinel_table), HOPELESS),
    "scene-npy": Subject(write_npy, read_scene("a_ms.npy", "a_pan.npy"), (npy_header,), HOPELESS),
    "scene-tiff": Subject(write_tif, read_scene("a_ms.tif", "a_pan.tif"), (tif_tags, tif_kind), HOPELESS),
    "scene-envi": Subject(write_envi, read_scene("cube.hdr"), (envi_field, envi_sizes), HOPELESS),
    "scene-mat": Subject(write_mat, read_scene("a.mat"), (mat_variable,), HOPELESS),
    "response": Subject(write_response, read_response),
    "scene-mat73": Subject(write_mat73, read_scene("a.mat"), (mat73_variable, mat73_node), HOPELESS),
}
