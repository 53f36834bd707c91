"""What people touch: the Python client, the command line, the registrar, the local lab and the demo.

import farr

with farr.connect() as federation:
table = federation.sql("SELECT sex, COUNT(*) AS n FROM admission GROUP BY sex")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from farr.client import Federation

__version__ = "0.1.0"


def connect(home: str | Path | None = None) -> Federation:
    """Connect to a federation as the analyst whose home folder this is; default ``$FARR_HOME``, else ``~/.farr``.

    Raises ``farr.errors.FarrError`` when the folder is no member's, or the coordinator cannot be reached.
    """
    from farr.client import Federation

    return Federation.open(home)
