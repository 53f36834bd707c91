from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from queries.asked.plan import POINT, Layer
from queries.models.network import LARGEST, Pass, first_weights, linears, outputs
from queries.models.shape import Shape, weights_of
from tests.queries.designs import NETWORKS, design_for, shape_for, step_for

KINDS = ("relu", "tanh", "sigmoid", "gelu")


def layered(kind: str, last: int) -> tuple[Layer, ...]:
    """Return two hidden layers with one way to bend numbers."""
    return (
        Layer(kind="linear", width=6),
        Layer(kind=kind, width=6),
        Layer(kind="linear", width=5),
        Layer(kind=kind, width=5),
        Layer(kind="linear", width=last),
    )


def passed(model: str, kind: str = "tanh", rows: int = 30) -> Pass:
    """Return rows of a network at random weights."""
    chance = np.random.default_rng(3)
    shape = replace(shape_for(model), layers=layered(kind, 3 if model == "network of classes" else 1))
    point = tuple(np.rint(chance.standard_normal(shape.width) * POINT * 0.7).astype(np.int64).tolist())
    step = replace(step_for(model, chance), layers=shape.layers, point=point)
    return Pass(step=step, design=design_for(model, chance, rows), shape=shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", NETWORKS)
def test_every_gradient_is_the_derivative_of_its_rows_loss(model, kind) -> None:
    """By central differences, weight by weight, row by row; a kink of relu is avoided by the seed."""
    rows = passed(model, kind)
    gradient = rows.gradients(np.arange(30))
    small = POINT >> 15
    for place in range(rows.shape.width):
        losses = []
        for by in (small, -small):
            point = tuple(each + by * (index == place) for index, each in enumerate(rows.step.point))
            losses.append(replace(rows, step=replace(rows.step, point=point)).losses)
        slope = (losses[0] - losses[1]) / (2 * small / POINT)
        np.testing.assert_allclose(-slope, gradient[:, place], atol=2e-4)
    assert np.abs(gradient).max() > 0.1


def test_losses_are_minus_log_likelihoods() -> None:
    """Binary and multinomial cross-entropy, and half the squared residual."""
    for model in NETWORKS:
        rows = passed(model)
        out, seen = rows.output, rows.design.outcome
        if model == "network of classes":
            wanted = -np.take_along_axis(special.log_softmax(out, axis=1), seen.astype(int)[:, None], axis=1)[:, 0]
        elif model == "network":
            wanted = -np.log(special.expit(np.where(seen == 1, out[:, 0], -out[:, 0])))
        else:
            wanted = (seen - out[:, 0]) ** 2 / 2
        np.testing.assert_allclose(rows.losses, wanted, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", NETWORKS)
def test_outputs_and_gradients_are_those_of_torch(model, kind) -> None:
    """The same layers in PyTorch, with its own losses and derivatives, one row after the other."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: train)")
    rows = passed(model, kind)
    bends = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid, "gelu": torch.nn.GELU}
    given, modules = rows.shape.columns, []
    for layer in rows.shape.layers:
        modules.append(torch.nn.Linear(given, layer.width) if layer.kind == "linear" else bends[layer.kind]())
        given = layer.width
    network = torch.nn.Sequential(*modules).double()
    weights = torch.tensor(np.array(rows.step.point) / POINT)
    torch.nn.utils.vector_to_parameters(weights, network.parameters())
    x, seen = torch.tensor(rows.design.x), torch.tensor(rows.design.outcome)
    np.testing.assert_allclose(rows.output, network(x).detach().numpy(), atol=1e-7)
    ours = rows.gradients(np.arange(30))
    for place in range(30):
        network.zero_grad()
        out = network(x[place : place + 1])
        if model == "network of classes":
            loss = torch.nn.functional.cross_entropy(out, seen[place : place + 1].long())
        elif model == "network":
            loss = torch.nn.functional.binary_cross_entropy_with_logits(out[:, 0], seen[place : place + 1])
        else:
            loss = ((out[:, 0] - seen[place]) ** 2 / 2).sum()
        loss.backward()
        theirs = torch.cat([each.grad.ravel() for each in network.parameters()]).numpy()
        np.testing.assert_allclose(-ours[place], theirs, atol=1e-6)
        assert rows.losses[place] == pytest.approx(float(loss.detach()), abs=1e-6)


def test_weights_lie_layer_by_layer_matrix_then_bias() -> None:
    """And what a network gives is worked out from them as by hand."""
    layers = (Layer(kind="linear", width=2), Layer(kind="relu", width=2), Layer(kind="linear", width=1))
    weights = np.array([1.0, 2.0, 3.0, -1.0, 0.0, 1.0, 0.5, -0.25, 2.0, -3.0, 0.125])
    first, second = linears(weights, 3, layers)
    assert first.matrix.tolist() == [[1, 2, 3], [-1, 0, 1]]
    assert first.bias.tolist() == [0.5, -0.25]
    assert (second.matrix.tolist(), second.bias.tolist()) == ([[2, -3]], [0.125])
    x = np.array([[1.0, 0.5, -0.25]])
    assert outputs(x, weights, layers).tolist() == [[2 * (1 + 1 - 0.75 + 0.5) + 0.125]]


def test_first_weights_follow_from_the_seed_and_are_spread_as_torchs() -> None:
    """Uniform within 1 / sqrt(in), the same for a seed for ever, others for another."""
    layers = (Layer(kind="linear", width=200), Layer(kind="relu", width=200), Layer(kind="linear", width=1))
    drawn = first_weights(b"seed", 25, layers)
    assert drawn == first_weights(b"seed", 25, layers)
    assert drawn != first_weights(b"other", 25, layers)
    assert first_weights(b"seed", 1, layers)[:2] == first_weights(b"seed", 1, layers)[:2]
    assert len(drawn) == weights_of(25, layers)
    first, second = linears(np.array(drawn) / POINT, 25, layers)
    assert np.abs(first.matrix).max() <= 1 / 5
    assert first.matrix.std() == pytest.approx(0.2 / 3**0.5, rel=0.05)
    assert abs(first.matrix.mean()) < 0.01
    assert 0.06 < np.abs(second.matrix).max() <= 1 / 200**0.5


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_far_weights_give_numbers_nevertheless(model, kind) -> None:
    """At the ends of what a point may hold nothing overflows."""
    rows = passed(model, kind)
    far = tuple((1 << 40) * (-1) ** (place // 3) for place in range(rows.shape.width))
    rows = replace(rows, step=replace(rows.step, point=far))
    for values in (rows.output, rows.losses, rows.gradients(np.arange(30))):
        assert np.isfinite(values).all()
    assert np.abs(rows.gradients(np.arange(30))).max() <= LARGEST**2


def test_a_round_of_a_small_network_takes_milliseconds() -> None:
    """Two thousand patients, thirty terms, 32 hidden numbers: generously timed."""
    from queries.models.contributions import tally_of

    chance = np.random.default_rng(4)
    layers = (Layer(kind="linear", width=32), Layer(kind="relu", width=32), Layer(kind="linear", width=1))
    shape = Shape(columns=30, layers=layers)
    step = replace(step_for("network", chance), wants=("gradient",), weights=(1,), layers=layers)
    step = replace(step, point=first_weights(b"", 30, layers))
    design = design_for("network", chance, 2000, columns=30)
    tally_of(step, design, shape)
    begun = time.process_time()
    tally_of(step, design, shape)
    assert time.process_time() - begun < 1
