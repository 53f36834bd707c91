"""Replies of apps: the agreed numbers, or nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.apps.replies import BadReplyError, numbers
from protocols.app_entries import entries_of
from protocols.app_message import AppMessage, Arrays, Config, Metrics, Record, Value, encode
from queries.models.clipping import BOUND_UPDATE, update

WEIGHTS = Arrays(items={"w": np.ones((2, 3), np.float32), "n": np.array(5), "b": np.full(2, -1.0)})
TRAIN = AppMessage(kind="train", records={"arrays": WEIGHTS})
QUERY = AppMessage(
    kind="query.ages",
    records={"config": Config(items={"farr-entries": ("mean", "bins[3]"), "farr-bounds": (100.0, 10)})},
)


def reply(kind: str = "train", **records: Record) -> bytes:
    """Return the bytes of a reply."""
    return encode(AppMessage(kind=kind, records=records))


def moved(w: float, b: float, n: int = 5) -> Arrays:
    """Return weights moved by a little."""
    return Arrays(items={"w": np.full((2, 3), 1 + w, np.float32), "n": np.array(n), "b": np.full(2, b - 1)})


def test_an_update_is_what_the_arrays_moved_by() -> None:
    """In the order of the message; whole numbers do not count, whatever the app made of them."""
    got = numbers(TRAIN, reply(arrays=moved(0.5, 2.0, n=77)))
    assert got.tolist() == [0.5] * 6 + [2.0] * 2


def test_declared_metrics_are_scaled_by_their_bounds_and_held_to_one() -> None:
    """Beyond its bound a metric counts as its bound."""
    items = {"mean": 50.0, "bins": (1, 1000, -1000), "num-examples": 12345}
    assert numbers(QUERY, reply("query.ages", m=Metrics(items=items))).tolist() == [0.5, 0.1, 1.0, -1.0]


def renamed() -> Arrays:
    """Return the weights under another name."""
    return Arrays(items={("v" if name == "w" else name): array for name, array in WEIGHTS.items.items()})


def turned() -> Arrays:
    """Return the weights in another order."""
    return Arrays(items=dict(reversed(WEIGHTS.items.items())))


def of_type() -> Arrays:
    """Return the weights in another type."""
    return Arrays(items={name: array.astype(np.float64) for name, array in WEIGHTS.items.items()})


def metric(items: dict[str, Value]) -> bytes:
    """Return a reply to the query."""
    return reply("query.ages", m=Metrics(items=items))


WRONG: dict[str, tuple[AppMessage, bytes, str]] = {
    "no arrays": (TRAIN, reply(), "arrays"),
    "arrays twice": (TRAIN, reply(a=WEIGHTS, b=WEIGHTS), "arrays"),
    "renamed": (TRAIN, reply(a=renamed()), "shape"),
    "turned": (TRAIN, reply(a=turned()), "shape"),
    "of another type": (TRAIN, reply(a=of_type()), "shape"),
    "an array more": (TRAIN, reply(a=Arrays(items={**WEIGHTS.items, "x": np.zeros(1)})), "shape"),
    "not a number": (TRAIN, reply(a=moved(np.nan, 0.0)), "not-finite"),
    "infinite": (TRAIN, reply(a=moved(0.0, np.inf)), "not-finite"),
    "another kind": (TRAIN, reply("evaluate", a=WEIGHTS), "wrong-kind"),
    "settings": (TRAIN, reply(a=WEIGHTS, c=Config(items={"note": "patient 7"})), "settings"),
    "settings of a run": (
        TRAIN,
        encode(AppMessage(kind="train", records={"a": WEIGHTS}, settings={"x": 1})),
        "settings",
    ),
    "many metrics": (TRAIN, reply(a=WEIGHTS, m=Metrics(items={"x": (1.0,) * 300})), "metrics"),
    "a metric missing": (QUERY, metric({"mean": 1.0}), "missing"),
    "a metric of another width": (QUERY, metric({"mean": 1.0, "bins": (1, 2)}), "width"),
    "a list for a number": (QUERY, metric({"mean": (1.0,), "bins": (1, 2, 3)}), "width"),
    "arrays to a query": (QUERY, reply("query.ages", a=WEIGHTS), "arrays"),
    "a metric twice": (
        QUERY,
        reply("query.ages", m=Metrics(items={"mean": 1.0, "bins": (1, 2, 3)}), k=Metrics(items={"mean": 2.0})),
        "missing",
    ),
    "no message": (TRAIN, b"\x80\x04K\x01.", "unreadable"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_reply_of_another_shape_is_refused(what: str) -> None:
    """Nothing of a reply that is not as agreed is used, and a code says why."""
    message, written, code = WRONG[what]
    with pytest.raises(BadReplyError) as caught:
        numbers(message, written)
    assert caught.value.code == code


numeric = st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False, allow_infinity=False))
anything = st.one_of(
    st.binary(max_size=60),
    st.tuples(st.floats(width=32), st.floats()).map(lambda by: reply(arrays=moved(*by))),
    st.tuples(numeric, st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=4)).map(
        lambda given: metric({"mean": given[0], "bins": tuple(given[1])})
    ),
    st.tuples(st.integers(0, 200), st.integers(1, 255)).map(
        lambda at: bytes(
            byte ^ (at[1] if place == at[0] else 0) for place, byte in enumerate(reply(arrays=moved(0.25, 1.0)))
        )
    ),
)


@given(st.sampled_from([TRAIN, QUERY]), anything)
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_whatever_is_replied_gives_the_agreed_numbers_or_nothing(message: AppMessage, written: bytes) -> None:
    """The numbers are finite and as many as agreed, and what is made of them is within the bound."""
    try:
        got = numbers(message, written)
    except BadReplyError:
        return
    assert got.shape == (entries_of(message),)
    assert np.isfinite(got).all()
    whole = update(got, 0.5)
    assert sum(int(each) ** 2 for each in whole) <= BOUND_UPDATE**2
