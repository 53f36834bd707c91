"""What a hospital computes: some epochs on its own rows, from the weights that it is sent."""

from __future__ import annotations

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from heart_torch.network import Network, accuracy, fit
from heart_torch.rows import features, read

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Go on from the weights that were sent."""
    network, columns, ill = _here(message, context)
    fit(
        network,
        columns,
        ill,
        epochs=int(context.run_config["local-epochs"]),
        rate=float(context.run_config["learning-rate"]),
    )
    arrays = ArrayRecord(network.state_dict())
    metrics = MetricRecord({"num-examples": len(ill)})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Say how good the weights are here."""
    network, columns, ill = _here(message, context)
    metrics = MetricRecord({"accuracy": accuracy(network, columns, ill), "num-examples": len(ill)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _here(message: Message, context: Context) -> tuple[Network, torch.Tensor, torch.Tensor]:
    torch.set_num_threads(1)
    network = Network()
    network.load_state_dict(message.content["arrays"].to_torch_state_dict())
    columns, ill = features(read(context))
    return network, torch.tensor(columns, dtype=torch.float32), torch.tensor(ill, dtype=torch.float32)
