"""What a node computes in a round: the gradient and the information of a logistic regression on its rows."""

from __future__ import annotations

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Sum over the rows; none is clipped, nothing is noised."""
    rows, features = int(context.run_config["rows"]), int(context.run_config["features"])
    draw = np.random.default_rng(int(context.node_config["partition-id"]))
    columns = np.column_stack([np.ones(rows), draw.uniform(-1, 1, (rows, features))])
    ill = draw.random(rows) < 0.5
    (point,) = message.content["arrays"].to_numpy_ndarrays()
    chance = 1 / (1 + np.exp(-(columns @ point)))
    gradient = columns.T @ (ill - chance)
    information = (columns * (chance * (1 - chance))[:, None]).T @ columns
    arrays = ArrayRecord([gradient, information])
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": rows})}), reply_to=message)
