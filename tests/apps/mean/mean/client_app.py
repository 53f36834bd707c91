"""Moves a number towards the mean age, says how old patients are, and counts them: Flower's public API only."""

import pandas as pd
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


def ages(context: Context) -> pd.Series:
    """Return the ages."""
    column = str(context.run_config["model.columns"])
    return pd.read_parquet(context.node_config["farr-data"])[column].dropna()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Move towards the mean."""
    [point] = message.content["arrays"].to_numpy_ndarrays()
    moved = point + float(context.run_config["rate"]) * (ages(context).mean() - point)
    content = RecordDict(
        {"arrays": ArrayRecord([moved]), "metrics": MetricRecord({"num-examples": len(ages(context))})}
    )
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Say how far the number is from the mean."""
    [point] = message.content["arrays"].to_numpy_ndarrays()
    metrics = MetricRecord({"distance": float(abs(ages(context).mean() - point[0])), "num-examples": 3})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Count patients by decade."""
    counts = (ages(context) // 10).astype(int).value_counts()
    metrics = MetricRecord({"decades": [int(counts.get(decade, 0)) for decade in range(12)]})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
