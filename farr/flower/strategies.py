"""Which of Flower's strategies mean the same when all they ever see is the mean of the hospitals' updates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import (
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedProx,
    FedYogi,
    Strategy,
)

from farr.errors import FarrError
from farr.texts import _

LINEAR: Final = (FedAvg, FedAvgM, FedAdagrad, FedAdam, FedProx, FedYogi)
"""Strategies that use the replies of a round only through their mean."""

FREE: Final = frozenset({"configure_train", "configure_evaluate", "summary", "start"})
"""Methods of those that an app's own subclass may replace: none of them sees a reply."""

_METHODS: Final = (property, staticmethod, classmethod)

Told = Callable[[ArrayRecord], None]
"""Hears of every new model."""


def check_strategy(strategy: type[Strategy]) -> None:
    """Raise FarrError unless a class is one of ``LINEAR``, or a subclass that leaves its aggregation alone.

    Every reply that Farr hands to a strategy is the same mean, so a median or a trimmed mean of them would be that mean
    again: a wrong answer that looks right. What a hospital gives away does not rest on this check.

    Guarantee: no class but those of ``LINEAR``, and none that replaces how they aggregate, passes. Test:
    tests/farr/test_flower_strategies.py::test_every_other_strategy_of_flower_is_refused.
    """
    ancestors = strategy.__mro__
    nearest = next((each for each in ancestors if each in LINEAR), None)
    if nearest is None:
        raise _refused(strategy, _("it does more with the hospitals' updates than to add them up"))
    # FedProx is a FedAvg, FedAdam a FedOpt: what counts is what was replaced above the class that is on the list.
    for each in ancestors[: ancestors.index(nearest)]:
        methods = {name for name, value in vars(each).items() if callable(value) or isinstance(value, _METHODS)}
        replaced = {name for name in methods if not name.startswith("__") and hasattr(nearest, name)} - FREE
        if replaced:
            raise _refused(strategy, _("it replaces {names}").format(names=", ".join(sorted(replaced))))


def _refused(strategy: type[Strategy], reason: str) -> FarrError:
    return FarrError(
        "strategy",
        _("the strategy {name} does not work with hospitals' updates that nobody sees one by one: {reason}").format(
            name=strategy.__name__, reason=reason
        ),
        remedy=_("use one of {names}").format(names=", ".join(each.__name__ for each in LINEAR)),
    )


@contextmanager
def only_linear(told: Told = lambda _arrays: None) -> Iterator[None]:
    """Refuse every other strategy at the moment an app makes one, and tell ``told`` of every new model.

    For one app in one process: Flower's classes are changed meanwhile, and as they were afterwards.
    """

    def made(cls: type[Any], *_args: object, **_named: object) -> object:
        check_strategy(cls)
        return object.__new__(cls)

    aggregating = [each for each in LINEAR if "aggregate_train" in vars(each)]
    before = [(each, each.aggregate_train) for each in aggregating]
    Strategy.__new__ = made  # type: ignore[method-assign, assignment]
    for each, aggregate in before:
        each.aggregate_train = _heard(aggregate, told)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del Strategy.__new__
        for each, aggregate in before:
            each.aggregate_train = aggregate  # type: ignore[method-assign]


Aggregated = tuple[ArrayRecord | None, MetricRecord | None]


def _heard(aggregate: Callable[..., Aggregated], told: Told) -> Callable[..., Aggregated]:
    def aggregate_train(self: Strategy, server_round: int, replies: Iterable[Message]) -> Aggregated:
        arrays, metrics = aggregate(self, server_round, replies)
        # A subclass's own comes after its parent's, so the last that is heard is the strategy's model.
        if arrays is not None:
            told(arrays)
        return arrays, metrics

    return aggregate_train
