"""Weight files of released code whose names differ from ours by rules, not layer by layer."""

from __future__ import annotations

import re
from typing import ClassVar

from waldbench.methods.deep._blocks import OfficialNetwork

# Pattern and replacement.
Renames = tuple[tuple[str, str], ...]


class RenamedNetwork(OfficialNetwork):
    """A network whose tensors are found in its released weight file by regular expressions, applied in their order."""

    official: ClassVar = {}
    renames: ClassVar[Renames]

    def _official_name(self, name: str) -> str:
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name
