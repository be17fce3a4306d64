"""Published HDF5 files as damage, conversion and malice leave them: refused in one line that names the array."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.datasets.published import arrays, write
from waldbench import datasets
from waldbench.datasets.base import DatasetError

NAME = "test_qb_multiExm1.h5"
Change = Callable[[h5py.File], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / NAME, arrays("qb", "reduced", count=3, side=32))


def refusal(path: Path) -> str:
    """The line with which a file is refused when it is opened or read."""
    with pytest.raises(DatasetError) as caught:
        datasets.open("qb", root=path.parent, source="published").split("reduced")[:]
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert NAME in message
    return message


def refusals(path: Path) -> list[str]:
    """Lines with which a file is refused; empty if it is accepted."""
    try:
        datasets.open("qb", root=path.parent, source="published").split("reduced")[:]
    except DatasetError as error:
        return str(error).splitlines()
    return []


def scaled(name: str, factor: float) -> Change:
    def change(file: h5py.File) -> None:
        file[name][...] = file[name][:] * factor

    return change


def pixel(name: str, image: int, value: float) -> Change:
    def change(file: h5py.File) -> None:
        file[name][image, 0, 0, 0] = value

    return change


def replaced(name: str, make: Callable[[np.ndarray], object]) -> Change:
    def change(file: h5py.File) -> None:
        values = file[name][:]
        del file[name]
        file[name] = make(values)

    return change


def declared(name: str, count: int, **options: object) -> Change:
    def change(file: h5py.File) -> None:
        shape = (count, *file[name].shape[1:])
        del file[name]
        file.create_dataset(name, shape, "f4", **options)

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 1, 32, 32), "f4")
    layout[...] = h5py.VirtualSource("/etc/hostname", "x", (3, 1, 32, 32))
    del file["pan"]
    file.create_virtual_dataset("pan", layout)


def outside(file: h5py.File) -> None:
    del file["pan"]
    file.create_dataset("pan", (3, 1, 32, 32), "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def grouped(file: h5py.File) -> None:
    del file["lms"]
    file.create_group("lms")


CASES: dict[str, tuple[Change, str]] = {
    f"{name} of fractions": (scaled(name, 1 / 2047), f"'{'gt' if name == 'ms' else name}'") for name in ("ms", "gt", "lms", "pan")
}
CASES |= {f"{name} of zeros": (scaled(name, 0), f"'{name}' has no positive values") for name in ("ms", "gt", "lms", "pan")}
CASES |= {f"negative {name}": (scaled(name, -1), f"'{name}' has (no positive )?values") for name in ("ms", "gt", "lms", "pan")}
CASES |= {
    "gt of another scale": (scaled("gt", 20), "the mean of 'gt' is .* that of 'ms'"),
    "one negative pixel": (pixel("gt", 1, -3), "'gt' has values from -3 .* first in image 1; expected 0 to 65535"),
    "one huge pixel": (pixel("pan", 2, 3e38), r"'pan' has values .* to 3e\+38, first in image 2"),
    "one NaN": (pixel("lms", 1, np.nan), "'lms' has 1 NaN or infinite values, first in image 1"),
    "one infinity": (pixel("pan", 2, np.inf), "'pan' has 1 NaN or infinite values, first in image 2"),
    "complex": (replaced("gt", lambda values: values * 1j), "'gt' holds complex128; expected an array of real numbers"),
    "truth values": (replaced("pan", lambda values: values > 0), "'pan' holds bool"),
    "text": (replaced("gt", lambda values: np.full(values.shape, b"1")), "'gt' holds"),
    "nothing": (replaced("gt", lambda _: h5py.Empty("f4")), "'gt' holds nothing"),
    "a lone number": (replaced("ms", lambda _: np.float32(3)), "'ms' has shape"),
    "a rank too many": (replaced("gt", lambda values: values[None]), "'gt' has shape"),
    "no pixel": (replaced("ms", lambda values: values[..., :0]), "no pixel"),
    "a link to nowhere": (replaced("gt", lambda _: h5py.SoftLink("/none")), "'gt' cannot be opened"),
    "a link in a circle": (replaced("gt", lambda _: h5py.SoftLink("/gt")), "'gt' cannot be opened"),
    "a link into another file": (replaced("gt", lambda _: h5py.ExternalLink("/etc/hostname", "/x")), "a link into another file"),
    "a group": (grouped, "'lms' is a group; expected an array"),
    "values in another file": (outside, "the values of 'pan' lie in other files"),
    "a virtual array": (virtual, "the values of 'pan' lie in other files"),
    "1e9 images in some kB": (
        declared("gt", 10**9, chunks=(1, 4, 32, 32), compression="gzip"),
        r"'gt' declares shape \(1000000000, .*TiB, of which 0 bytes were written",
    ),
    "never written": (declared("pan", 3), "'pan' declares shape .* of which 0 bytes were written"),
    "a block of 3 GiB": (declared("pan", 3, chunks=(3, 1, 2**14, 2**14), maxshape=(None,) * 4), "'pan' declares"),
}


@pytest.mark.parametrize("case", CASES)
def test_damage_is_one_line_that_names_the_array(path: Path, case: str) -> None:
    change, message = CASES[case]
    with h5py.File(path, "r+") as file:
        change(file)
    assert re.search(message, refusal(path)), refusal(path)


def test_a_pipe_or_folder_in_place_of_a_file_is_not_opened(path: Path, tmp_path: Path) -> None:
    from waldbench.datasets.hdf5 import ImageFile

    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DatasetError, match="expected an HDF5 file, found a pipe"):
        ImageFile(path)
    with pytest.raises(DatasetError, match="expected an HDF5 file, found a folder"):
        ImageFile(tmp_path)


def test_a_damaged_heap_is_one_line(path: Path) -> None:
    content = path.read_bytes()
    refused = 0
    for place in range(0, 1200, 80):
        path.write_bytes(content[:place] + b"\xff" * 12 + content[place + 12 :])
        lines = refusals(path)
        assert len(lines) <= 1, place
        refused += len(lines)
    assert refused > 5


def test_a_damaged_image_of_a_sound_file_is_found_when_it_is_read(tmp_path: Path) -> None:
    content = arrays("qb", "reduced", count=5, side=32)
    content["gt"][1] = -5
    path = write(tmp_path / NAME, content)
    split = datasets.open("qb", root=path.parent, source="published").split("reduced")
    assert split[[0, 2, 3, 4]].gt is not None
    with pytest.raises(DatasetError, match=r"'gt' has values from -5 to .*, first in image 1"):
        split[:]
