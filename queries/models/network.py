"""Networks: forward through the layers, and every row's gradient by the weights.

A network is a list of layers, not code: Farr computes what a patient adds itself, so that the clip is the hospital's
and not the researcher's. Row by row in single operations, as ``elementary`` says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from queries.asked.plan import POINT, FlagKey, Layer, Step
from queries.models.design import Design, Floats
from queries.models.elementary import (
    clamped,
    density,
    exponential,
    logarithm,
    logistic,
    normal,
    product,
    softplus,
    tangent,
    total,
)
from queries.models.shape import Shape

LARGEST = 1e6
"""Where numbers between layers are cut, forwards and backwards, so that none overflows."""


@dataclass(frozen=True, kw_only=True)
class Linear:
    """The weights of one linear layer."""

    matrix: Floats
    """Shape (out, in)."""
    bias: Floats
    """Shape (out,)."""


def linears(weights: Floats, columns: int, layers: tuple[Layer, ...]) -> tuple[Linear, ...]:
    """Return the linear layers of flattened weights: of each the matrix row by row, then the bias."""
    found, first, given = [], 0, columns
    for layer in layers:
        if layer.kind == "linear":
            end = first + layer.width * given
            matrix = weights[first:end].reshape(layer.width, given)
            found.append(Linear(matrix=matrix, bias=weights[end : end + layer.width]))
            first = end + layer.width
        given = layer.width
    return tuple(found)


def first_weights(seed: bytes, columns: int, layers: tuple[Layer, ...]) -> tuple[int, ...]:
    """Return weights to start from, in ``POINT``ths: of each linear layer, uniform within 1 / sqrt(in) of 0.

    That is what PyTorch starts linear layers with. They follow from ``seed`` alone, by SHAKE-256, and are public.
    """
    fans, given = [], columns
    for layer in layers:
        if layer.kind == "linear":
            fans += [given] * (layer.width * (given + 1))
        given = layer.width
    drawn = np.frombuffer(hashlib.shake_256(b"farr1/weights\0" + seed).digest(8 * len(fans)), dtype="<u8")
    uniform = (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
    return tuple(np.rint(uniform / np.sqrt(np.array(fans, dtype=np.float64)) * POINT).astype(np.int64).tolist())


def outputs(x: Floats, weights: Floats, layers: tuple[Layer, ...]) -> Floats:
    """Return what the last layer gives for each row, within [-30, 30]; of shape (rows, width of the last layer)."""
    return clamped(_forwards(x, linears(weights, x.shape[1], layers), layers)[-1])


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What the rows of a design say at one point of a network."""

    step: Step
    """The network and the point."""
    design: Design
    """The rows."""
    shape: Shape
    """Of the network."""

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """Return which weights ``gradients`` is about: all."""
        return np.arange(self.shape.width)

    @cached_property
    def output(self) -> Floats:
        """Return the numbers that the network gives, within [-30, 30]; of shape (rows, 1 or classes)."""
        return clamped(self._passed[-1])

    @cached_property
    def predictor(self) -> Floats:
        """Return the one number that a network of a condition gives: the logit."""
        return self.output[:, 0]

    @cached_property
    def exits(self) -> NDArray[np.intp]:
        """Return 0 for each row: a network has no intervals of time."""
        return np.zeros(self.design.rows, dtype=np.intp)

    @property
    def intervals(self) -> int:
        """Return 1."""
        return 1

    @cached_property
    def losses(self) -> Floats:
        """Return minus the log-likelihood of each row; of a number half the squared residual; of shape (rows,)."""
        if self.shape.classes:
            chosen = total((self._chosen * self.output).T)
            losses: Floats = self.output.max(axis=1) + logarithm(total(self._odds.T)) - chosen
            return losses
        if self._condition:
            return softplus(self.predictor) - self.design.outcome * self.predictor
        missed: Floats = self.design.outcome - self.predictor
        return missed * missed * 0.5

    def gradients(self, rows: NDArray[np.intp]) -> Floats:
        """Return the gradient of some rows' log-likelihood by all weights; of shape (len(rows), width)."""
        found = np.empty((len(rows), self.shape.width))
        first = 0
        for above, below in self._deltas:
            out, given = above[rows], below[rows]
            end = first + out.shape[1] * given.shape[1]
            matrix = found[:, first:end].reshape(len(rows), out.shape[1], given.shape[1])
            np.multiply(out[:, :, None], given[:, None, :], out=matrix)
            found[:, end : end + out.shape[1]] = out
            first = end + out.shape[1]
        return found

    @property
    def _condition(self) -> bool:
        return isinstance(self.step.outcome, FlagKey)

    @cached_property
    def _linears(self) -> tuple[Linear, ...]:
        weights = np.array(self.step.point, dtype=np.float64) / POINT
        return linears(weights, self.shape.columns, self.shape.layers)

    @cached_property
    def _passed(self) -> tuple[Floats, ...]:
        return _forwards(self.design.x, self._linears, self.shape.layers)

    @cached_property
    def _chosen(self) -> Floats:
        return np.equal(self.design.outcome[:, None], np.arange(self.shape.classes)).astype(np.float64)

    @cached_property
    def _odds(self) -> Floats:
        return exponential(self.output - self.output.max(axis=1, keepdims=True))

    @cached_property
    def _deltas(self) -> tuple[tuple[Floats, Floats], ...]:
        """Return of each linear layer the derivative of the log-likelihood by what it gives, and what it is given."""
        if self.shape.classes:
            delta = self._chosen - self._odds / total(self._odds.T)[:, None]
        else:
            delta = self.design.outcome[:, None] - (logistic(self.output) if self._condition else self.output)
        found = []
        linear = list(self._linears)
        for place in reversed(range(len(self.shape.layers))):
            below = self._passed[place]
            if self.shape.layers[place].kind == "linear":
                found.append((delta, below))
                matrix = linear.pop().matrix
                if not linear:  # the first linear layer: nothing below it has weights
                    break
                delta = _held(product(delta, matrix.T))
            else:
                delta = _held(delta * _slope(self.shape.layers[place].kind, below))
        return tuple(reversed(found))


def _forwards(x: Floats, linear: tuple[Linear, ...], layers: tuple[Layer, ...]) -> tuple[Floats, ...]:
    passed = [x]
    left = iter(linear)
    for layer in layers:
        given = passed[-1]
        if layer.kind == "linear":
            each = next(left)
            passed.append(_held(product(given, each.matrix) + each.bias))
        else:
            passed.append(_bent(layer.kind, given))
    return tuple(passed)


def _held(values: Floats) -> Floats:
    return np.clip(values, -LARGEST, LARGEST)


def _bent(kind: str, values: Floats) -> Floats:
    if kind == "relu":
        return np.maximum(values, 0.0)
    if kind == "tanh":
        return tangent(values)
    if kind == "sigmoid":
        return logistic(clamped(values))
    return np.multiply(values, normal(values))


def _slope(kind: str, values: Floats) -> Floats:
    if kind == "relu":
        return (values > 0).astype(np.float64)
    if kind == "tanh":
        return 1.0 - tangent(values) ** 2
    if kind == "sigmoid":
        bent = logistic(clamped(values))
        return np.multiply(bent, 1.0 - bent)
    return normal(values) + values * density(values)
