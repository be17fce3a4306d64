"""The table of file formats: one module a format, found by its suffixes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from waldbench import datasets
from waldbench.datasets import formats
from waldbench.datasets.base import DatasetError
from waldbench.datasets.gdal_files import Windowed
from waldbench.datasets.memory_mapped import open_mapped
from waldbench.datasets.raster import Raster


def test_every_module_of_the_folder_is_in_the_table_and_no_suffix_twice() -> None:
    modules = {path.stem for path in Path(formats.__file__).parent.glob("*.py")} - {"__init__"}
    assert {one.name for one in formats.table()} == modules
    suffixes = [suffix for one in formats.table() for suffix in one.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
    assert formats.paired_suffixes() == (".tif", ".tiff", ".npy", ".jp2", ".j2k", ".vrt")


@pytest.mark.parametrize(
    ("name", "known"), [("a.TIF", "tiff"), ("a.npy", "numpy_array"), ("a.mat", "matlab"), ("a.hdr", "envi"), ("a.img", None)]
)
def test_a_format_is_found_by_its_suffix(tmp_path: Path, name: str, known: str | None) -> None:
    found = formats.find(tmp_path / name)
    assert (found and found.name) == known
    (tmp_path / "a.hdr").write_text("ENVI")
    assert formats.find(tmp_path / "a.img").name == "envi"


def test_one_module_adds_a_format_to_both_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path, mapped: bool = False) -> Raster:
        return Raster(np.full((64, 64, 4) if "ms" in path.name else (256, 256), 500 + mapped, np.uint16), (path,))

    module = SimpleNamespace(suffixes=(".raw2",), read=read, paired=True)
    real = formats.importlib.import_module
    names = [SimpleNamespace(name=one.name) for one in formats.table()] + [SimpleNamespace(name="raw2")]
    with monkeypatch.context() as patch:
        patch.setattr(formats.pkgutil, "iter_modules", lambda _path: names)
        patch.setattr(formats.importlib, "import_module", lambda name: module if name.endswith("raw2") else real(name))
        formats.table.cache_clear()
        formats.table()
    try:
        for role in ("ms", "pan"):
            (tmp_path / f"{role}.raw2").write_bytes(b"")
        scene = datasets.open(f"scene:{tmp_path}").split("full")[0]
        assert (tuple(scene.ms.shape), float(scene.ms.max())) == ((1, 4, 64, 64), 500)
        assert open_mapped(str(tmp_path)).ms.image.max() == 501
    finally:
        formats.table.cache_clear()
    with pytest.raises(DatasetError, match="no pairs"):
        datasets.open(f"scene:{tmp_path}")


def test_files_stay_on_disk_when_mapped(tmp_path: Path) -> None:
    image = np.arange(4 * 8 * 8, dtype=np.uint16).reshape(8, 8, 4)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", image, photometric="minisblack", planarconfig="contig", compression="zlib")
    np.save(tmp_path / "c.npy", image)
    for name, kind, axis in (("a.tif", np.memmap, -1), ("b.tif", Windowed, 0), ("c.npy", np.memmap, -1)):
        raster = formats.read_image(tmp_path / name, mapped=True)
        np.testing.assert_array_equal(np.moveaxis(np.asarray(raster.image), axis, -1), image)
        assert isinstance(raster.image, kind)
        assert type(formats.read_image(tmp_path / name).image) is np.ndarray


def test_files_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"a\.mat: expected one of \.tif, \.tiff, \.npy, \.jp2, \.j2k, \.vrt or \.h5"):
        formats.read_image(tmp_path / "a.mat")
    with pytest.raises(DatasetError, match=r"a\.tif: expected a file that holds a whole scene"):
        formats.read_scene(tmp_path / "a.tif")
