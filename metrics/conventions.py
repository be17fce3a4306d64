"""Named conventions of the indices: what a name means for each index that has more than one definition in use.

`dlpan` is the field's reference toolbox and the default everywhere; a card's `convention` describes it. The texts here say
how another convention differs. An index that is missing from the table knows `dlpan` only, unless it takes the keyword.
"""

from __future__ import annotations

DEFAULT = "dlpan"
HS = "hs-toolbox"
TORCHMETRICS = "torchmetrics-compatible"
CLOUDS = "cloud-removal"

_SAME = "as dlpan"
_REFLECTANCE = "in reflectance: digital numbers over the sensor's scale"
_MS_SCALE = "1 - Q2n of ms and the fused image blurred by the MTF and decimated, at the scale of ms"

# `hs-toolbox`: Ciotola, Guarino, Vivone et al., arXiv 2407.01355. `torchmetrics-compatible`: torchmetrics 1.9.
# `cloud-removal`: as papers on SEN12MS-CR print them (Xu et al., ISPRS JPRS 192, 2022; Ebel et al., CVPR Workshops, 2023).
TABLE: dict[str, dict[str, str]] = {
    "sam": {
        HS: "mean over all pixels: one whose spectrum is zero counts as angle 0 instead of being left out",
        CLOUDS: "mean over all pixels: one whose spectrum is zero counts as angle 0 instead of being left out",
        TORCHMETRICS: "radians instead of degrees; pixels of zero spectrum, where torchmetrics gives NaN, stay left out",
    },
    "ergas": {HS: _SAME, TORCHMETRICS: "as dlpan, if torchmetrics is given the resolution ratio (4, not 1/4)"},
    "q2n": {HS: _SAME},
    "psnr": {
        CLOUDS: "as dlpan; the peak is reflectance 1, 10000 digital numbers",
        TORCHMETRICS: "as dlpan, if torchmetrics is given data_range = 2^bits - 1",
    },
    "mae": {CLOUDS: _REFLECTANCE},
    "mae_cloudy": {CLOUDS: _REFLECTANCE},
    "mae_clear": {CLOUDS: _REFLECTANCE},
    "ssim": {
        CLOUDS: "a window at every pixel, zeros beyond the border; the range is reflectance 1, 10000 digital numbers",
        TORCHMETRICS: "a window at every pixel, borders reflected without repeating the edge, instead of inner windows only",
    },
    "uiqi": {TORCHMETRICS: "all whole 11x11 Gaussian windows of sigma 1.5 instead of 32x32 boxes; `block` is ignored"},
    "d_lambda": {TORCHMETRICS: "UIQI in all whole 11x11 Gaussian windows of sigma 1.5; `block` is ignored"},
    "d_lambda_k": {HS: _MS_SCALE},
    "d_s_reg": {HS: "regression without intercept"},
    "rqnr": {HS: "d_lambda_k at the scale of ms, regression without intercept; that toolbox prints it as QNR"},
}

# Units that a convention changes.
UNITS = {("sam", TORCHMETRICS): "rad"} | {(key, CLOUDS): "" for key in ("mae", "mae_cloudy", "mae_clear")}


def known(key: str) -> tuple[str, ...]:
    """Names of the conventions of the index `key`, the default first."""
    return (DEFAULT, *TABLE.get(key, {}))


def choose(key: str, convention: str) -> str:
    """Return `convention` if the index `key` has it.

    Raises:
        ValueError: for another name; the message lists the known ones.
    """
    if convention not in known(key):
        names = known(key)
        what = "the conventions " + ", ".join(f"'{name}'" for name in names) if names[1:] else f"the convention '{DEFAULT}' only"
        raise ValueError(f"{key} knows {what}, got '{convention}'")
    return convention
