"""Named groups of methods, for `--methods NAME`: what a paper compares, by task."""

from __future__ import annotations

from waldbench import methods

# Group, task, keys in the order of the paper's table.
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    # Liu et al., Geo-spatial Information Science, 2024 (doi 10.1080/10095020.2024.2416899).
    "cf2n-paper": {
        "ms": (
            *("exp", "bt-h", "bdsd-pc", "mf", "mtf-glp-fs"),
            *("srppnn", "lagconv", "awfln", "rsanet", "pannet", "trrnet", "mmfn", "gppnn", "fusionnet", "cf2n"),
        ),
        "hs": ("exp", "cnmf", "gfpca", "psrt", "dbdenet", "hyper-dsnet", "cf2n"),
        "sar": ("unet3d-like", "dsen2-cr", "glf-cr", "cf2n"),
    },
}


# Groups that follow from the registry, and what they hold.
KINDS = {"all": "every method", "all-classic": "every method that is no network", "all-deep": "every network"}
NAMES = (*KINDS, *GROUPS)


def members(group: str, task: str | None) -> list[str]:
    """Keys of a group for a task.

    Args:
        group: one of `NAMES`.
        task: "ms", "hs" or "sar"; None: of a paper's group its multispectral methods, of the others the methods of all tasks.

    Returns:
        Keys; none where the group has no method for the task.
    """
    if group in GROUPS:
        return list(GROUPS[group].get(task or "ms", ()))
    keys = methods.names(task)
    if group == "all":
        return keys
    return [key for key in keys if (methods.card(key).family == "deep") == (group == "all-deep")]
