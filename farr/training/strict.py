"""What a file says, as the dataclass that it was written from: nothing is taken for a number that is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any, TypeVar

Made = TypeVar("Made")

_KINDS: Mapping[str, tuple[type, ...]] = {"int": (int,), "str": (str,), "bool": (bool,), "float": (int, Decimal)}

WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What reading a file of any other content raises."""


def made(kind: type[Made], plain: Mapping[str, Any], **others: Any) -> Made:
    """Return a dataclass of plain values, with ``others`` in place of some; raise one of ``WRONG`` for any other kind.

    Files are read with ``parse_float=Decimal``, so a whole number of a billion digits is refused by its kind, unread.

    Guarantee: a field of a plain kind holds a value of that kind. Test:
    tests/farr/test_training_model.py::test_a_model_file_in_which_anything_is_of_another_kind_is_refused.
    """
    for item in fields(kind):  # type: ignore[arg-type]  # a dataclass
        wanted = _KINDS.get(str(item.type))
        if item.name in plain and item.name not in others and wanted and type(plain[item.name]) not in wanted:
            raise TypeError(item.name)
    return kind(**{**plain, **others})


def whole(value: object) -> int:
    """Return a whole number; raise TypeError for anything else."""
    if type(value) is not int:
        raise TypeError(type(value).__name__)
    return value


def texts(value: object) -> tuple[str, ...]:
    """Return a list of texts; raise TypeError for anything else."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(type(value).__name__)
    return tuple(value)
