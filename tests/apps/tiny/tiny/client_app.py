"""Moves a number up by one where patients are of middle age."""

import numpy as np
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from pyarrow import parquet

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Move."""
    ages = parquet.read_table(context.node_config["farr-data"]).column("age").to_numpy()
    [point] = message.content["arrays"].to_numpy_ndarrays()
    moved = point + float(40.0 < np.nanmean(ages) < 70.0)
    return Message(RecordDict({"arrays": ArrayRecord([moved])}), reply_to=message)
