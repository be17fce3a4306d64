"""Published methods that readers look for and that are not here, each with the reason: what cannot be checked is not faked."""

from __future__ import annotations

_TABLE = "known here from the comparison tables of the CF2N paper alone; its layers could not be specified without guessing"
_COVARIANCE = (
    "how ADWM (Huang et al., CVPR 2025) turns covariances into weights is not described to the last step, and there are no "
    "weights at hand to check a reconstruction with"
)

REASONS = {
    "adknet": "its kernels need a CUDA operator of their own (ddf); every method here runs on a CPU too",
    "adwm-fusionnet": _COVARIANCE,
    "adwm-lagconv": f"{_COVARIANCE}; the weights released for it do not match the released code",
    "adwm-lgpnet": _COVARIANCE,
    "dbdenet": "only its spatial branch is public; that part is here as dbdenet-spatial",
    "mmfn": f"{_TABLE}; the file MMAPP of the CF2N repository resembles it (mmapp), which its paper could not confirm",
    "psrt": "it fuses hyperspectral images with RGB images, not with a panchromatic or SAR guide",
    "rsanet": _TABLE,
    "trrnet": _TABLE,
    "u2net": "how its spatial and its channel attention (Peng et al., ACM MM 2023) are joined is not described to the last step, "
    "and there are no weights at hand to check a reconstruction with",
}
