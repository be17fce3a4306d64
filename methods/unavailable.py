"""Published methods that readers look for and that are not here, each with the reason: what cannot be checked is not faked."""

from __future__ import annotations

_COVARIANCE = (
    "how ADWM (Huang et al., CVPR 2025) turns covariances into weights is not described to the last step, and there are no "
    "weights at hand to check a reconstruction with"
)

REASONS = {
    "adknet": "its kernels need a CUDA operator of their own (ddf); every method here runs on a CPU too",
    "adwm-fusionnet": _COVARIANCE,
    "adwm-lagconv": f"{_COVARIANCE}; the weights released for it do not match the released code",
    "adwm-lgpnet": _COVARIANCE,
}
