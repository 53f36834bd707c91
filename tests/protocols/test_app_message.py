"""Messages of apps: whatever is encoded comes back, nothing else is read."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.app_message import (
    MAGIC,
    MOST_VALUES,
    TYPES,
    AppMessage,
    Arrays,
    Config,
    Metrics,
    category,
    decode,
    encode,
)
from protocols.errors import Rejected

names = st.text(min_size=1, max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(1 << 63), (1 << 64) - 1)


def several(kind):
    """Return one value of a kind or several."""
    return st.one_of(kind, st.lists(kind, max_size=4).map(tuple))


values = st.one_of(
    *(several(kind) for kind in (st.booleans(), whole, finite, st.text(max_size=9), st.binary(max_size=9)))
)
shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@st.composite
def arrays(draw) -> np.ndarray:
    """Return an array of any type that may travel."""
    kind, shape = np.dtype(draw(st.sampled_from(TYPES))), draw(shapes)
    count = int(np.prod(shape))
    raw = draw(st.binary(min_size=count * kind.itemsize, max_size=count * kind.itemsize))
    array = np.frombuffer(raw, dtype=np.uint8 if kind.kind == "b" else kind)
    return (array % 2).astype(bool).reshape(shape) if kind.kind == "b" else array.reshape(shape)


records = st.one_of(
    st.dictionaries(names, arrays(), max_size=3).map(lambda items: Arrays(items=items)),
    st.dictionaries(names, values, max_size=3).map(lambda items: Config(items=items)),
    st.dictionaries(names, st.one_of(several(whole), several(finite)), max_size=3).map(
        lambda items: Metrics(items=items)
    ),
)
messages = st.builds(
    AppMessage,
    kind=st.sampled_from(["train", "evaluate", "query", "train.twice", "query.counts"]),
    records=st.dictionaries(names, records, max_size=3),
    settings=st.dictionaries(names, values, max_size=3),
    group=st.text(max_size=5),
)
EXAMPLE = AppMessage(
    kind="train",
    records={
        "arrays": Arrays(items={"w": np.arange(6.0).reshape(2, 3)}),
        "config": Config(items={"lr": 0.1, "b": b"x"}),
    },
    settings={"epochs": 3},
    group="1",
)


def same(one: AppMessage, other: AppMessage) -> bool:
    """Tell whether two messages are equal, in order, types and bits."""

    def plain(record):
        if isinstance(record, Arrays):
            return [(name, a.dtype.str, a.shape, a.tobytes()) for name, a in record.items.items()]
        return [(name, type(value), repr(value)) for name, value in record.items.items()]

    return (one.kind, one.group, repr(dict(one.settings))) == (
        other.kind,
        other.group,
        repr(dict(other.settings)),
    ) and [(name, type(record), plain(record)) for name, record in one.records.items()] == [
        (name, type(record), plain(record)) for name, record in other.records.items()
    ]


@given(messages)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(message: AppMessage) -> None:
    """Names, order, types, shapes, bits and the difference between 1 and 1.0 survive."""
    assert same(decode(encode(message)), message)


@given(messages, st.data())
@settings(max_examples=150, deadline=None)
def test_no_bytes_do_anything_but_decode_or_be_rejected(message: AppMessage, data: st.DataObject) -> None:
    """A message with bytes changed, cut or added is rejected, or is the one spelling of another message."""
    written = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(written) - 1))
        change = data.draw(st.sampled_from(["flip", "cut", "add"]))
        if change == "flip":
            written[place] ^= data.draw(st.integers(1, 255))
        elif change == "cut" and len(written) > 1:
            del written[place]
        else:
            written.insert(place, data.draw(st.integers(0, 255)))
    try:
        read = decode(bytes(written))
    except Rejected:
        return
    assert encode(read) == bytes(written)


def header(text: str, body: bytes = b"") -> bytes:
    """Return a message with this header."""
    return MAGIC + len(text.encode()).to_bytes(4, "big") + text.encode() + body


WRONG = {
    "a pickle": pickle.dumps({"kind": "train"}),
    "an older magic": b"farr0" + encode(EXAMPLE)[5:],
    "nested without end": header("[" * 1_000_000),
    "a number of a million digits": header('{"kind":' + "9" * 1_000_000 + "}"),
    "no number": header('{"kind":"train","group":"","settings":[["x",NaN]],"records":[]}'),
    "beyond floats": header('{"kind":"train","group":"","settings":[["x",1e999]],"records":[]}'),
    "two of a name": header('{"kind":"train","group":"","settings":[["x",1],["x",2]],"records":[]}'),
    "objects": header(
        '{"kind":"train","group":"","settings":[],"records":[["a","arrays",[["w","|O8",[1]]]]]}', bytes(8)
    ),
    "big endian": header(
        '{"kind":"train","group":"","settings":[],"records":[["a","arrays",[["w",">f8",[1]]]]]}', bytes(8)
    ),
    "more than there is": header(
        '{"kind":"train","group":"","settings":[],"records":[["a","arrays",[["w","<f8",[99]]]]]}'
    ),
    "negative": header('{"kind":"train","group":"","settings":[],"records":[["a","arrays",[["w","<f8",[-1]]]]]}'),
    "a product beyond 64 bits": header(
        '{"kind":"train","group":"","settings":[],"records":[["a","arrays",[["w","<f8",['
        + ",".join(["99999999"] * 8)
        + "]]]]]}"
    ),
    "no numbers, in a shape beyond memory": header(
        '{"kind":"train","group":"","settings":[],"records":[["a","arrays",[["w","<f8",[0,99999999,99999999,99999999]]]]]}'
    ),
    "half a character in a group": header('{"kind":"train","group":"\\ud800","settings":[],"records":[]}'),
    "half a character in a name": header('{"kind":"train","group":"","settings":[["\\udfff",1]],"records":[]}'),
    "half a character in a text": header('{"kind":"train","group":"","settings":[["x","a\\ud83d"]],"records":[]}'),
    "another kind": header('{"kind":"steal","group":"","settings":[],"records":[]}'),
    "a metric in words": header('{"kind":"train","group":"","settings":[],"records":[["m","metrics",[["x","77"]]]]}'),
    "more after the end": encode(EXAMPLE) + b"x",
    "spaces": header('{"kind": "train","group":"","settings":[],"records":[]}'),
    "empty": b"",
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_message_is_rejected(what: str) -> None:
    """Nothing of another form is read, and no pickle is opened."""
    with pytest.raises(Rejected, match="malformed"):
        decode(WRONG[what])


def test_a_message_has_one_spelling() -> None:
    """The same message gives the same bytes, whatever the arrays' order in memory or byte order was."""
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3)).astype(">f8")
    other = AppMessage(
        kind="train",
        records={**EXAMPLE.records, "arrays": Arrays(items={"w": fortran})},
        settings={"epochs": 3},
        group="1",
    )
    assert encode(other) == encode(EXAMPLE)


def test_sizes_are_bounded() -> None:
    """A list, a text or a message that is too long is refused by its writer and by its reader."""
    with pytest.raises(Rejected):
        encode(AppMessage(kind="query", records={"m": Metrics(items={"x": (1.0,) * (MOST_VALUES + 1)})}))
    with pytest.raises(Rejected):
        encode(AppMessage(kind="query", records={"m": Config(items={"x": "a" * 100_000})}))
    with pytest.raises(Rejected, match="oversized"):
        decode(encode(EXAMPLE), most=100)
    with pytest.raises(Rejected):
        encode(AppMessage(kind="query", records={}, settings={"x": float("nan")}))


def test_read_arrays_cannot_be_written_to() -> None:
    """Arrays are views of the message's bytes."""
    read = decode(encode(EXAMPLE)).records["arrays"]
    assert isinstance(read, Arrays)
    with pytest.raises(ValueError, match="read-only"):
        read.items["w"][0, 0] = 1
    assert category(EXAMPLE) == "train"
