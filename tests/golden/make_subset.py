"""Write the committed subset of the golden vectors: `python -m tests.golden.make_subset PATH/golden/classic`.

The full set (20 MB) was produced by the field's reference toolbox on synthetic scenes. Of every fused image the subset keeps
every ninth pixel of both axes (nine is odd, so that all phases of the ratio-4 grid occur) and the band means and deviations
of the whole image; of the indices all but maps; of the tools all that work on the small inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"


def main(source: Path) -> None:
    DATA.mkdir(exist_ok=True)
    _inputs(source)
    for sensor in ("wv3", "qb"):
        _methods(source, sensor)
    _labels(source)
    _copy(source, "kernels", lambda key: True)
    _copy(source, "tools", lambda key: not key.endswith("__s3"))
    _copy(source, "indices_rr", lambda key: "SAM_map" not in key)
    _copy(source, "indices_noref", lambda key: key.startswith("rr_"))


def _inputs(source: Path) -> None:
    full = np.load(source / "inputs_rr.npz")
    kept = {key: full[key] for key in full.files if not key.endswith("_exp")}
    kept |= {f"{sensor}_exp__s9": full[f"{sensor}_exp"][::9, ::9] for sensor in ("wv3", "qb")}
    np.savez_compressed(DATA / "inputs_rr.npz", **kept)


def _methods(source: Path, sensor: str) -> None:
    full = np.load(source / f"methods_rr_{sensor}.npz")
    kept = {key.replace("__s3", "__s9"): full[key][::3, ::3] for key in full.files if key.endswith("__s3")}
    kept |= {key: full[key] for key in full.files if key.endswith(("__mean", "__sd"))}
    np.savez_compressed(DATA / f"methods_rr_{sensor}.npz", **kept)


def _labels(source: Path) -> None:
    full = {sensor: np.load(source / f"methods_rr_{sensor}.npz") for sensor in ("wv3", "qb")}
    kept = {f"{sensor}_{key}": file[key] for sensor, file in full.items() for key in file.files if key.endswith("_labels")}
    np.savez_compressed(DATA / "classic_more.npz", **kept)


def _copy(source: Path, name: str, keep) -> None:
    full = np.load(source / f"{name}.npz")
    np.savez_compressed(DATA / f"{name}.npz", **{key: full[key] for key in full.files if keep(key)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
