"""Names that become folders: of protocols, datasets, methods. Checked here and nowhere else."""

from __future__ import annotations

import re

# No separator of folders, no leading dot or dash, nothing that a shell or a web page would take for something else.
NAME = re.compile(r"\w[\w.,=+~@()-]*")
LONGEST = 150


def check_name(what: str, name: object) -> str:
    """`name`, if it is safe as the name of one folder.

    Raises:
        ValueError: saying what was expected.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name) or len(name.encode()) > LONGEST:
        shown = repr(name) if len(repr(name)) <= 60 else f"{repr(name)[:57]}..."
        raise ValueError(
            f"{what} {shown} becomes the name of a folder: expected a letter or digit, then letters, digits and any of "
            f"_ . , = + ~ @ ( ) -, at most {LONGEST} bytes"
        )
    return name
