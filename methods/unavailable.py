"""Published methods that readers look for and that are not here, each with the reason: what cannot be checked is not faked."""

from __future__ import annotations

REASONS = {
    "adknet": "its kernels need a CUDA operator of their own (ddf); every method here runs on a CPU too",
    "adwm-lgpnet": "its released weights (Huang et al., CVPR 2025) hold a tensor that the released code does not use, and give "
    "images worse than interpolation; adwm-fusionnet, adwm-dicnn and adwm-lagconv are here",
}
