"""Fake rows from the catalogue alone, to develop against: nobody's, and of no distribution that anybody has."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from queries.agreed.catalogue import Catalogue, CodeColumn, Column, NumberColumn, Table

if TYPE_CHECKING:
    from pandas import DataFrame

MISSING = 20
"""One value in so many is missing."""

_BYTE = 255
_DRAWN = 1 << 32

SECOND_ROWS = 5
"""One patient in so many has a second row, where the catalogue allows one."""


def fake_rows(catalogue: Catalogue, table: str, rows: int, seed: int = 1, *, facts: bool = False) -> DataFrame:
    """Return so many fake rows of a table, as the hospitals would record them, with a patient key.

    Each column is made up by itself; one value in twenty is missing. Numbers lie around the middle of their bounds and
    of codes the first are the more frequent: bounds have room for the rarest patient, most groups are small, and with
    even numbers and groups a rehearsal would promise far less noise than there is. Days are even. The same ``seed``
    gives the same rows. ``facts`` adds those about hospitals: ``site.country``. Derived columns are there too, made up
    like the rest. Reads nothing but the catalogue.
    """
    import pandas as pd

    described = catalogue.table(table)
    found: dict[str, list[str]] = {described.patient: _patients(described, rows, seed)}
    for column in described.columns:
        drawn = _draw(f"{seed}/{table}/{column.name}", rows)
        gone = _draw(f"{seed}/{table}/{column.name}/missing", rows) % MISSING == 0
        texts = _values(column, drawn)
        found[column.name] = ["" if missing else text for text, missing in zip(texts, gone, strict=True)]
    if facts:
        for fact in catalogue.site_attributes:
            codes = fact.codes.codes
            drawn = _draw(f"{seed}/{table}/site.{fact.name}", rows) % len(codes)
            found[f"site.{fact.name}"] = [codes[place].code for place in drawn]
    return pd.DataFrame(found, dtype="str")


def _patients(table: Table, rows: int, seed: int) -> list[str]:
    second = _draw(f"{seed}/{table.name}/patients", rows) % SECOND_ROWS == 0
    if table.rows_per_patient == 1:
        second[:] = False
    keys: list[str] = []
    for again in second:
        keys.append(keys[-1] if again and keys and keys[-1] not in keys[-2:-1] else f"fake-{len(keys) + 1}")
    return keys


def _values(column: Column, drawn: NDArray[np.uint64]) -> list[str]:
    if isinstance(column, NumberColumn):
        span = column.high - column.low
        steps = column.low + (_bell(drawn) * span // (4 * _BYTE)).astype(np.int64)
        return [_decimal(Fraction(int(step)) * column.step) for step in steps]
    if isinstance(column, CodeColumn):
        codes = column.codes.codes
        frequencies = 1 / np.arange(1, len(codes) + 1)
        edges = np.cumsum(frequencies) / frequencies.sum()
        places = np.searchsorted(edges[:-1], drawn.astype(np.float64) / _DRAWN, side="right")
        return [codes[place].code for place in places]
    days = (column.last - column.first).days + 1
    return [(column.first + timedelta(days=int(day))).isoformat() for day in drawn % np.uint64(days)]


def _bell(drawn: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the sum of the four bytes of each number, from 0 to 1,020: a bell whose deviation is 0.29 of the half."""
    return sum(((drawn >> np.uint64(8 * place)) & np.uint64(_BYTE) for place in range(4)), start=np.zeros_like(drawn))


def _decimal(value: Fraction) -> str:
    return f"{float(value):.9f}".rstrip("0").rstrip(".")


def _draw(label: str, count: int) -> NDArray[np.uint64]:
    """Return numbers below 2^32 that follow from a label: made up, and the same at every call."""
    drawn = hashlib.shake_256(f"farr1/sample/{label}".encode()).digest(4 * count)
    return np.frombuffer(drawn, dtype="<u4").astype(np.uint64)
