"""Which strategies of Flower an app may use over hospitals whose updates nobody sees one by one."""

from __future__ import annotations

import pytest
from flwr.app import ArrayRecord
from flwr.serverapp import strategy as strategies
from flwr.serverapp.strategy import FedAvg, FedMedian, FedProx, Strategy

from farr.errors import FarrError
from farr.flower.strategies import LINEAR, check_strategy, only_linear

OTHERS = sorted(
    name
    for name in strategies.__all__
    if isinstance(getattr(strategies, name), type)
    and issubclass(getattr(strategies, name), Strategy)
    and getattr(strategies, name) not in LINEAR
)


def test_there_are_other_strategies():
    """The next test has something to refuse."""
    assert {"FedMedian", "Krum", "QFedAvg", "FedTrimmedAvg", "Bulyan"} <= set(OTHERS)


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_strategy_of_flower_is_refused(name):
    """Whatever Flower has beside the linear ones is refused by its class."""
    with pytest.raises(FarrError, match=name):
        check_strategy(getattr(strategies, name))


@pytest.mark.parametrize("strategy", LINEAR)
def test_strategies_that_only_add_up_are_taken(strategy):
    """The six are what they say."""
    check_strategy(strategy)


def test_a_subclass_may_say_what_is_sent_and_not_how_it_is_added_up():
    """An app's own learning rate of each round is fine; its own aggregation is not, nor a helper of it."""

    class Scheduled(FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            config["rate"] = 1 / server_round
            return super().configure_train(server_round, arrays, config, grid)

        def save(self):
            """Do what the app likes."""

    class Counting(FedProx):
        def aggregate_train(self, server_round, replies):
            return super().aggregate_train(server_round, replies)

    class Sly(FedAvg):
        def _check_and_log_replies(self, *replies):
            return [], []

    check_strategy(Scheduled)
    for refused in (Counting, Sly):
        with pytest.raises(FarrError, match="replaces"):
            check_strategy(refused)


def test_a_strategy_is_refused_when_it_is_made_and_only_while_an_app_runs():
    """Nothing has been asked or paid when a median is refused, and Flower is afterwards as it was."""
    before = FedAvg.aggregate_train
    with only_linear():
        FedAvg()
        with pytest.raises(FarrError, match="FedMedian"):
            FedMedian()
    FedMedian()
    assert FedAvg.aggregate_train is before
    assert "__new__" not in vars(Strategy)


def test_a_strategy_that_hears_nothing_has_no_model():
    """Only models that came of replies are told."""
    heard: list[ArrayRecord] = []
    with only_linear(heard.append):
        FedAvg().aggregate_train(1, [])
    assert heard == []
