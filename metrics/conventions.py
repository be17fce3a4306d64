"""Named conventions of the indices: what a name means for each index that has more than one definition in use.

`dlpan` is the field's reference toolbox and the default everywhere; a card's `convention` describes it. The texts here say
how another convention differs. An index that is missing from the table knows `dlpan` only, unless it takes the keyword.
"""

from __future__ import annotations

DEFAULT = "dlpan"
HS = "hs-toolbox"
TORCHMETRICS = "torchmetrics-compatible"

_SAME = "as dlpan"
_MS_SCALE = "1 - Q2n of ms and the fused image blurred by the MTF and decimated, at the scale of ms"

# `hs-toolbox`: Ciotola, Guarino, Vivone et al., arXiv 2407.01355. `torchmetrics-compatible`: torchmetrics 1.9.
TABLE: dict[str, dict[str, str]] = {
    "sam": {
        HS: "mean over all pixels: one whose spectrum is zero counts as angle 0 instead of being left out",
        TORCHMETRICS: "radians instead of degrees; pixels of zero spectrum, where torchmetrics gives NaN, stay left out",
    },
    "ergas": {HS: _SAME, TORCHMETRICS: "as dlpan, if torchmetrics is given the resolution ratio (4, not 1/4)"},
    "q2n": {HS: _SAME},
    "psnr": {TORCHMETRICS: "as dlpan, if torchmetrics is given data_range = 2^bits - 1"},
    "ssim": {
        TORCHMETRICS: "a window at every pixel, borders reflected without repeating the edge, instead of inner windows only"
    },
    "uiqi": {TORCHMETRICS: "all whole 11x11 Gaussian windows of sigma 1.5 instead of 32x32 boxes; `block` is ignored"},
    "d_lambda": {TORCHMETRICS: "UIQI in all whole 11x11 Gaussian windows of sigma 1.5; `block` is ignored"},
    "d_lambda_k": {HS: _MS_SCALE},
    "d_s_reg": {HS: "regression without intercept"},
    "rqnr": {HS: "d_lambda_k at the scale of ms, regression without intercept; that toolbox prints it as QNR"},
}

# Units that a convention changes.
UNITS = {("sam", TORCHMETRICS): "rad"}


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
