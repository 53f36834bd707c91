import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from protocols import checks
from protocols.errors import Rejected
from protocols.wire_pb2 import Roster

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@given(st.text(max_size=70))
def test_a_name_is_safe_in_logs_and_file_names(text):
    """Accepted are 1 to 64 of a-z 0-9 . _ -, beginning and ending with a letter or digit: no path, no control."""
    good = 0 < len(text) <= 64 and set(text) <= set(LETTERS + "._-") and text[0] in LETTERS and text[-1] in LETTERS
    try:
        assert checks.name(text, "name") == text
    except Rejected:
        assert not good
    else:
        assert good


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "A", "a\n", "-a", "a.", "é", "a" * 65])
def test_these_are_not_names(text):
    """The usual suspects."""
    with pytest.raises(Rejected, match="malformed"):
        checks.name(text, "name")


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6))
def test_a_set_has_one_spelling(names):
    """Sorted and without repeats, or refused."""
    if names == sorted(set(names)):
        assert checks.rising(names, "names") == tuple(names)
    else:
        with pytest.raises(Rejected, match="malformed"):
            checks.rising(names, "names")


def test_a_list_longer_than_any_roster_is_refused_unread():
    """Whoever signs a message of a million names makes nobody look at each of them."""
    names = ["-"] * (checks.MOST_MEMBERS + 1)
    with pytest.raises(Rejected, match="oversized"):
        checks.rising(names, "names")


def test_five_minutes_of_skew_are_allowed_and_no_more():
    """To the second, in both directions."""
    checks.not_expired(1000, 1300, "it")
    checks.not_future(1300, 1000, "it")
    with pytest.raises(Rejected, match="expired"):
        checks.not_expired(1000, 1301, "it")
    with pytest.raises(Rejected, match="clock-skew"):
        checks.not_future(1301, 1000, "it")


@given(st.binary(max_size=60))
def test_bytes_from_a_stranger_parse_or_are_refused_with_a_code(data):
    """No other exception leaves the parser."""
    try:
        Roster.FromString(data)
    except DecodeError:
        with pytest.raises(Rejected, match="malformed"):
            checks.parse(Roster, data)
    else:
        checks.parse(Roster, data)


def test_lengths_are_exact_or_bounded():
    """One byte too many or too few is refused."""
    assert checks.exact_bytes(b"1234", 4, "it") == b"1234"
    for data in (b"123", b"12345"):
        with pytest.raises(Rejected, match="malformed"):
            checks.exact_bytes(data, 4, "it")
    checks.at_most("1234", 4, "it")
    with pytest.raises(Rejected, match="oversized"):
        checks.at_most("12345", 4, "it")


@given(st.dates())
def test_a_day_has_one_spelling(day):
    """Written as ISO 8601 writes a day, and read back as the same."""
    assert checks.day(day.isoformat(), "day") == day


@pytest.mark.parametrize(
    "text", ["", "20261031", "2026-W44-6", "2026-10-32", "2026-10-31T00:00", " 2026-10-31", "31.10.26"]
)
def test_these_are_not_days(text):
    """Other spellings of a day, and what is none."""
    with pytest.raises(Rejected, match="malformed"):
        checks.day(text, "day")
