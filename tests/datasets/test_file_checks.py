"""What a path is, what a header declares, what a file states: looked at before anything is opened or allocated."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import numpy as np
import pytest

from waldbench.datasets.base import DatasetError, DatasetNotFoundError
from waldbench.datasets.file_checks import check_declared, free_memory, require_file, size_text
from waldbench.datasets.stated_numbers import stated_integer, stated_integers, stated_number


def test_a_regular_file_has_its_size(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"12345")
    (tmp_path / "link.h5").symlink_to(tmp_path / "a.h5")
    assert require_file(tmp_path / "a.h5", "an HDF5 file") == require_file(tmp_path / "link.h5", "an HDF5 file") == 5


def test_everything_else_is_named_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    held = socket.socket(socket.AF_UNIX)
    held.bind(os.path.relpath(tmp_path / "socket"))
    names = {"pipe": "a pipe", "folder": "a folder", "circle": "cannot look at it", "nowhere": "a link that leads nowhere"}
    for name, found in (names | {"socket": "a socket"}).items():
        with pytest.raises(DatasetError, match=f"{name}: expected an image, .*{found}"):
            require_file(tmp_path / name, "an image")
    held.close()
    with pytest.raises(DatasetError, match="a device"):
        require_file(Path("/dev/zero"), "an image")
    with pytest.raises(DatasetNotFoundError, match="found none"):
        require_file(tmp_path / "none", "an image")
    with pytest.raises(DatasetError, match="cannot look at it"):
        require_file(Path("a\0b"), "an image")


@pytest.mark.parametrize("declared", [160 << 30, 7 << 40, 1 << 80])
def test_declared_sizes_are_compared_with_the_file_and_the_memory(declared: int) -> None:
    with pytest.raises(DatasetError, match="but 100 bytes follow it"):
        check_declared(Path("a.npy"), declared, "shape (9, 9)", stored=100)
    with pytest.raises(DatasetError, match="more than may be read at once"):
        check_declared(Path("a.tif"), declared, "shape (9, 9)")
    check_declared(Path("a.npy"), 100, "shape (5, 5) of float32", stored=100)


def test_free_memory_heeds_the_limit_of_the_process() -> None:
    whole = free_memory()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, ((int(used.split()[1]) << 10) + (300 << 20), hard))
    try:
        assert 250 << 20 < free_memory() <= 300 << 20 < whole
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_sizes_are_written_for_people() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 3 << 19, 7 << 40)] == ["0 bytes", "1023 bytes", "1 KiB", "1.5 MiB", "7 TiB"]


@pytest.mark.parametrize("value", [4, 4.0, "4", " 4 ", np.array([[4]]), np.array([4.0]), np.uint8(4)])
def test_numbers_in_every_form_that_files_use(value: object) -> None:
    assert stated_integer(value, "ratio", 1, 64) == 4
    assert stated_number(value, "ratio", 1, 64) == 4.0


BAD = [True, "x", "", "1_0", "9" * 5000, None, [4], [], {}, 4j, np.array([4j]), np.array([]), np.array([1, 2])]
BAD += [float("nan"), float("inf"), "nan", "-inf", 0, 65, 10**400, np.array(["x"]), np.array([None], dtype=object)]


@pytest.mark.parametrize("value", BAD, ids=lambda value: str(value)[:20])
def test_anything_else_says_what_was_expected(value: object) -> None:
    with pytest.raises(DatasetError, match=r"^scene.mat ratio: expected a number from 1 to 64, got ") as error:
        stated_number(value, "scene.mat ratio", 1, 64)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 140
    with pytest.raises(DatasetError, match="expected a whole number from 1 to 64"):
        stated_integer(value, "scene.mat ratio", 1, 64)


def test_fractions_are_no_whole_numbers() -> None:
    with pytest.raises(DatasetError, match=r"got 4\.5"):
        stated_integer(4.5, "ratio", 1, 64)


def test_several_whole_numbers() -> None:
    assert stated_integers(np.array([[3, 2, 1]], dtype=np.uint8), "RGB_indexes", 1, 8, 3) == (3, 2, 1)
    for value in ([3, 2], "321", [3, 2, 9], [3, 2, "x"], [[1], [1, 2]], [1, 2, float("nan")], None):
        with pytest.raises(DatasetError, match="RGB_indexes: expected"):
            stated_integers(value, "RGB_indexes", 1, 8, 3)
