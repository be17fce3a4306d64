"""Networks whose layers have other names in the released code: weight files are read by rules from our names to theirs."""

from __future__ import annotations

import re
from typing import ClassVar

from waldbench.methods.deep._blocks import OfficialNetwork


class RenamedNetwork(OfficialNetwork):
    """A network whose released names follow from ours by substitutions.

    `renamed` holds pairs of a regular expression and its replacement, applied one after the other to a whole name.
    """

    renamed: ClassVar[tuple[tuple[str, str], ...]]

    def _official_name(self, name: str) -> str:
        for own, theirs in self.renamed:
            name = re.sub(own, theirs, name)
        return name
