"""Labels and nonce kinds: no two uses of a hash, key or nonce can be taken for each other."""

from __future__ import annotations

from protocols.farrsum import labels


def test_no_label_appears_twice_or_begins_another():
    """Labels are distinct, and none is the beginning of another, so what follows a label cannot imitate one."""
    known = [value for name, value in vars(labels).items() if name.isupper() and isinstance(value, str | bytes)]
    spelt = [value if isinstance(value, bytes) else value.encode() for value in known]
    assert len(spelt) >= 8
    for one in spelt:
        assert [other for other in spelt if other.startswith(one)] == [one]


def test_kinds_of_nonces_differ():
    """A share of a slot's secret and one of a self-mask's are never sealed as the same kind."""
    assert labels.SLOT_SHARE != labels.SELF_SHARE
