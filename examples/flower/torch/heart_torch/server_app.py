"""What the researcher's machine does: draw weights, move them by Adam along the mean of the hospitals' updates."""

from __future__ import annotations

import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAdam

from heart_torch.network import Network

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train and evaluate."""
    torch.manual_seed(int(context.run_config["seed"]))
    result = FedAdam(eta=0.2, tau=0.01).start(
        grid=grid,
        initial_arrays=ArrayRecord(Network().state_dict()),
        num_rounds=int(context.run_config["num-server-rounds"]),
    )
    for number, metrics in sorted(result.evaluate_metrics_clientapp.items()):
        print(f"round {number}: accuracy {metrics['accuracy']:.3f}")
