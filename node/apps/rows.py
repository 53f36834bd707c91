"""The rows that an app is handed, as a Parquet file: one column each, nothing missing spelt as a value."""

from __future__ import annotations

import io
from typing import Any

from numpy.typing import NDArray

from node.scan.steps import AppRows

NAME = "rows.parquet"
"""Under ``node_config["farr-data"]`` an app finds the path of this file."""


def parquet_of(rows: AppRows) -> bytes:
    """Return the rows as a Parquet file (``pandas.read_parquet``): numbers as float64, codes as text, days as dates."""
    import pyarrow as pa  # noqa: PLC0415  most nodes run no app, and it takes long to load
    from pyarrow import parquet  # noqa: PLC0415

    def column(values: NDArray[Any]) -> pa.Array:
        if values.dtype.kind == "U":
            return pa.array(values, type=pa.string(), mask=values == "")
        return pa.array(values, from_pandas=True)

    table = pa.table({name: column(values) for name, values in rows.columns.items()})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="none")
    return buffer.getvalue()
