"""What the researcher's machine does: begin with zeros, take the mean of the hospitals' coefficients, again."""

from __future__ import annotations

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from heart_sklearn.rows import FEATURES

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train and evaluate."""
    result = FedAvg().start(
        grid=grid,
        initial_arrays=ArrayRecord([np.zeros(len(FEATURES)), np.zeros(1)]),
        num_rounds=int(context.run_config["num-server-rounds"]),
        # Farr sums what is named here, each up to its bound; Flower hands it to the ClientApp and does no more with it.
        evaluate_config=ConfigRecord({"farr-entries": ["accuracy", "loss"], "farr-bounds": [1.0, 2.0]}),
    )
    coefficients, intercept = result.arrays.to_numpy_ndarrays()
    for name, value in zip((*FEATURES, "intercept"), (*coefficients, *intercept), strict=True):
        print(f"{name:14} {value:8.3f}")
