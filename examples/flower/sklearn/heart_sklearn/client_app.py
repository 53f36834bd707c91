"""What a hospital computes: a logistic regression on its own rows, from the coefficients that it is sent."""

from __future__ import annotations

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from heart_sklearn.rows import features, read

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Go on from the coefficients that were sent."""
    columns, ill = features(read(context))
    model = _model(message, context)
    model.fit(columns, ill)
    arrays = ArrayRecord([model.coef_.ravel(), model.intercept_])
    metrics = MetricRecord({"num-examples": len(ill)})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Say how good the coefficients are here."""
    columns, ill = features(read(context))
    chance = _model(message, context).predict_proba(columns)[:, 1]
    metrics = MetricRecord(
        {
            "accuracy": float(np.mean((chance > 0.5) == ill)),
            "loss": min(float(log_loss(ill, chance, labels=[0, 1])), 2.0),
            "num-examples": len(ill),
        }
    )
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _model(message: Message, context: Context) -> LogisticRegression:
    coefficients, intercept = message.content["arrays"].to_numpy_ndarrays()
    model = LogisticRegression(
        C=float(context.run_config["penalty"]), max_iter=int(context.run_config["local-iterations"]), warm_start=True
    )
    model.classes_ = np.array([0, 1])
    model.coef_, model.intercept_ = coefficients.reshape(1, -1).copy(), intercept.copy()
    return model
