"""Tracks: how the images of a task are used, scored and called. Everything that depends on the track is a field of this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from waldbench.catalogue import UnknownNameError

TASKS = {"ms": "Multispectral", "hs": "Hyperspectral", "sar": "SAR and optical"}
SPLITS = {"reduced": "Reduced resolution", "full": "Full resolution"}


@dataclass(frozen=True)
class Track:
    """One way to use images.

    Attributes:
        key: as protocols, datasets and the command line name it.
        task: "ms", "hs" or "sar".
        title: for the reader.
        headings: what the splits `reduced` and `full` are called in tables.
        baseline: what `lms` is called beside fused images.
        baseline_picture: what the picture of `lms` is called on the page.
        clouds: whether `lms` shows clouds, whose errors would fill any colour scale.
        methods: keys that run where no method is named; empty: the user must name some.
    """

    key: str
    task: str
    title: str
    headings: Mapping[str, str] = field(default_factory=lambda: SPLITS)
    baseline: str = "EXP"
    baseline_picture: str = "EXP (interpolated)"
    clouds: bool = False
    methods: tuple[str, ...] = ()


_ALL = (
    Track("ms", "ms", "Multispectral sharpening"),
    Track(
        "hs",
        "hs",
        "Hyperspectral sharpening",
        # Baseline, fast representatives of every family, networks made for it; CF2N, the longest training, first of them.
        methods=("exp", "gsa", "gfpca", "sfim", "mtf-glp", "mtf-glp-hpm-r", "cf2n", "hyperpnn", "hspenet", "fusionnet"),
    ),
    Track(
        "sar-cr",
        "sar",
        "Cloud removal with SAR",
        # Nothing was degraded where clouds are removed: the reference is an image of a clear day.
        headings=SPLITS | {"reduced": "Against the clear image"},
        baseline="cloudy",
        baseline_picture="Cloudy image",
        clouds=True,
        # UnCRtainTS alone takes as long as these three networks together.
        methods=("input-copy", "mean-fill", "sar-regression", "cf2n", "dsen2-cr-lite", "unet3d-like"),
    ),
    Track(
        "sar-sharp",
        "sar",
        "Sharpening with SAR",
        methods=("exp", "bicubic", "gs", "gsa", "mtf-glp", "cf2n", "pnn", "fusionnet"),
    ),
)
TRACKS = {track.key: track for track in _ALL}


def get(key: str) -> Track:
    """A track by key. Raises UnknownNameError for an unknown one."""
    if key not in TRACKS:
        raise UnknownNameError("track", key, list(TRACKS))
    return TRACKS[key]


def of_task(task: str | None) -> list[Track]:
    """Tracks of a task, the default one first; none for None."""
    return [track for track in _ALL if track.task == task]


def shown(key: str) -> Track:
    """The track of a row of results; what does not name a known one is shown as multispectral sharpening."""
    return TRACKS.get(key, _ALL[0])
