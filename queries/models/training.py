"""Train a model through noisy sums: the way into the algorithms of this package."""

from __future__ import annotations

from queries.models.descent import descent
from queries.models.glm import glm
from queries.models.shape import Shape
from queries.models.turns import Model, Sums, Training, Turn

__all__ = ["Model", "Sums", "Training", "Turn", "train"]


def train(model: Model, shape: Shape) -> Training:
    """Return the run of a model, to be driven: ``next`` gives its first turn, ``send`` with its sums the next.

    It ends, as generators do, with ``StopIteration`` whose value is the ``Fitted``. Turns hold nothing but what follows
    from the model and the sums told before, so telling a run the same sums again leads to the same turn.
    Test: tests/queries/test_training.py::test_a_run_told_the_same_sums_again_asks_the_same.
    """
    return descent(model, shape) if model.step.model == "network" else glm(model, shape)
