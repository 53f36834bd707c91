"""Which numbers of an app's reply are summed follows from what it was sent."""

import numpy as np
import pytest

from protocols.app_entries import Entry, declared, entries_of, moved, sent_arrays
from protocols.app_message import AppMessage, Arrays, Config, Record
from protocols.errors import Rejected

WEIGHTS = Arrays(
    items={"w": np.zeros((2, 3), np.float32), "seen": np.int64(3) * np.ones((), np.int64), "b": np.zeros(2)}
)


def asked(**config) -> AppMessage:
    """Return a query with settings."""
    return AppMessage(kind="query", records={"arrays": WEIGHTS, "config": Config(items=config)})


def test_floating_arrays_move_in_the_order_of_the_message() -> None:
    """Whole numbers, such as a counter of batches, are no part of an update."""
    message = AppMessage(kind="train", records={"arrays": WEIGHTS, "config": Config(items={"lr": 0.1})})
    assert list(moved(sent_arrays(message))) == ["w", "b"]
    assert entries_of(message) == 8


@pytest.mark.parametrize("records", [{}, {"a": WEIGHTS, "b": WEIGHTS}])
def test_training_starts_from_one_record_of_arrays(records: dict[str, Record]) -> None:
    """None, or two, leave open what the update is against."""
    with pytest.raises(Rejected, match="exactly one"):
        entries_of(AppMessage(kind="train", records=records))


def test_metrics_are_declared_with_widths_and_bounds() -> None:
    """The settings name each metric, its length and its largest size."""
    message = asked(**{"farr-entries": ("loss", "ages[12]"), "farr-bounds": (8.0, 5000.0)})
    assert declared(message) == (
        Entry(name="loss", width=None, bound=8.0),
        Entry(name="ages", width=12, bound=5000.0),
    )
    assert entries_of(message) == 13
    assert declared(asked(**{"farr-entries": "loss"})) == (Entry(name="loss", width=None, bound=1.0),)


WRONG = (
    {},
    {"farr-entries": ()},
    {"farr-entries": ("a", "a")},
    {"farr-entries": ("a", "a[2]")},
    {"farr-entries": ("a[0]",)},
    {"farr-entries": ("a[-1]",)},
    {"farr-entries": ("a[99999]", "b[99999]")},
    {"farr-entries": (3,)},
    {"farr-entries": ("a",), "farr-bounds": (1.0, 2.0)},
    {"farr-entries": ("a",), "farr-bounds": (0.0,)},
    {"farr-entries": ("a",), "farr-bounds": (-1,)},
    {"farr-entries": ("a",), "farr-bounds": (True,)},
    {"farr-entries": ("a",), "farr-bounds": ("1",)},
)


@pytest.mark.parametrize("config", WRONG)
def test_what_is_declared_wrongly_is_refused(config: dict) -> None:
    """A question whose numbers are not clear is never begun."""
    with pytest.raises(Rejected, match="malformed"):
        entries_of(asked(**config))


def test_a_message_of_nothing_is_refused() -> None:
    """An update without numbers has no noise to hide behind."""
    nothing = Arrays(items={"seen": np.zeros(3, np.int64)})
    with pytest.raises(Rejected, match="malformed"):
        entries_of(AppMessage(kind="train", records={"a": nothing}))
