"""The keyed digests that stand for patients and put their rows in order, as SQL.

Whoever does not hold the hospital's key can neither tell a patient by its number nor foresee which rows the cap keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from node.records.files import literal

PATIENT_LABEL = "farr/v1/patient:"
"""Of the digest that stands for a patient in the prepared table."""

ORDER_LABEL = "farr/v1/order:"
"""Of the digest that rows are chosen by."""

ELEMENT_LABEL = "farr/v1/element:"
"""Of the digest that the elements of lists are chosen by. With a label for each use, none passes for another."""

_BLOCK = 64
"""SHA-256's, in bytes."""


def secrets_of(site_key: bytes) -> Mapping[str, bytes]:
    """Return the parameters of a statement with ``keyed`` in it: the key in its two paddings."""
    inner, outer = (bytes(byte ^ pad for byte in site_key.ljust(_BLOCK, b"\0")) for pad in (0x36, 0x5C))
    return {"inner": inner, "outer": outer}


def keyed(label: str, text: str) -> str:
    """Return SQL of HMAC-SHA256 (RFC 2104) in hexadecimal digits, from the two padded keys.

    Guarantee: equal to Python's hmac. Test: tests/node/test_prepare.py::test_the_order_is_hmac_sha256.
    """
    return f"sha256($outer || unhex(sha256($inner || encode({literal(label)} || {text}))))"


def leading_64_bits(digest: str) -> str:
    """Return SQL of the first eight bytes of a digest in hexadecimal digits."""
    return f"CAST('0x' || left({digest}, 16) AS UBIGINT)"


def framed(parts: Sequence[str]) -> str:
    """Return SQL that joins texts so that no two different rows read alike: each after its length, NULL as a dash."""
    return " || ".join(f"coalesce(strlen({part}) || ':' || {part}, '-')" for part in parts)
