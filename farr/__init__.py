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
    from farr.training.estimators import (
        CoxRegression,
        LinearRegression,
        LogisticRegression,
        Network,
        PoissonRegression,
    )
    from farr.training.trained import Trained

__all__ = [
    "CoxRegression",
    "LinearRegression",
    "LogisticRegression",
    "Network",
    "PoissonRegression",
    "connect",
    "load_model",
]

__version__ = "0.1.0"


def connect(home: str | Path | None = None) -> Federation:
    """Connect to a federation as the analyst whose home folder this is; default ``$FARR_HOME``, else ``~/.farr``.

    Raises ``farr.errors.FarrError`` when the folder is no member's, or the coordinator cannot be reached.
    """
    from farr.client import Federation

    return Federation.open(home)


def load_model(path: str | Path) -> Trained:
    """Read a model that ``farr train`` or ``save`` wrote; nothing in the file is executed.

    Raises ``farr.errors.FarrError`` where it is none.
    """
    from farr.training.saved import load_model

    return load_model(path)


def __getattr__(name: str) -> object:
    """Return an estimator by its name; they are imported when they are used."""
    if name in __all__:
        from farr.training import estimators

        return getattr(estimators, name)
    raise AttributeError(name)
