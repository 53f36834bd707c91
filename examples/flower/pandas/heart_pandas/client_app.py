"""What a hospital counts: its patients by decade of age, and how many of them are ill."""

from __future__ import annotations

import numpy as np
import pandas as pd
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Count the rows of each decade."""
    rows = _rows(context)
    decades = int(context.run_config["decades"])
    decade = (pd.to_numeric(rows["age"]) // 10).clip(0, decades - 1)
    patients = decade.value_counts().reindex(range(decades), fill_value=0)
    ill = decade[rows["disease"] != "0"].value_counts().reindex(range(decades), fill_value=0)
    counts = MetricRecord({"patients": [int(n) for n in patients], "ill": [int(n) for n in ill]})
    return Message(RecordDict({"counts": counts}), reply_to=message)


def _rows(context: Context) -> pd.DataFrame:
    path = context.node_config.get("farr-data")
    if path:
        return pd.read_parquet(str(path))
    draw = np.random.default_rng(int(context.node_config.get("partition-id", 0)))
    age = draw.normal(55, 9, 300).round().clip(20, 99)
    return pd.DataFrame({"age": age, "disease": np.where(draw.random(300) < age / 110, "1", "0")})
