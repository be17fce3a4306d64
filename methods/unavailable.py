"""Published methods that readers look for and that are not here, each with the reason: what cannot be checked is not faked."""

from __future__ import annotations

_TABLE = "known here from the comparison tables of the CF2N paper alone; its layers could not be specified without guessing"

REASONS = {
    "adknet": "its kernels need a CUDA operator of their own (ddf); every method here runs on a CPU too",
    "adwm-lgpnet": "its released weights (Huang et al., CVPR 2025) hold a tensor that the released code does not use, and give "
    "images worse than interpolation; adwm-fusionnet, adwm-dicnn and adwm-lagconv are here",
    "dbdenet": "only its spatial branch is public; that part is here as dbdenet-spatial",
    "mmfn": f"{_TABLE}; the file MMAPP of the CF2N repository resembles it (mmapp), which its paper could not confirm",
    "psrt": "it fuses hyperspectral images with RGB images, not with a panchromatic or SAR guide",
    "rsanet": _TABLE,
    "trrnet": _TABLE,
    "u2net": "how its spatial and its channel attention (Peng et al., ACM MM 2023) are joined is not described to the last step, "
    "and there are no weights at hand to check a reconstruction with",
}
