"""A hospital judges by itself how far a mandate reaches: the coordinator can widen none."""

from dataclasses import replace

import pytest

from node.books.ledger import Ledger
from protocols.errors import Rejected
from protocols.wire_pb2 import NodeMessage
from queries.asked.canonical import encode
from tests.node.rig import HOSPITALS, MANDATE, NOW, Rig, announce, plan, request, roster


def under(mandate):
    """Return the roster with another mandate of its analyst."""
    members = (replace(each, mandate=mandate) if each.id == "ada" else each for each in roster.members)
    return replace(roster, members=tuple(members))


@pytest.mark.parametrize(
    ("mandate", "changes", "code"),
    [
        (None, {}, "no-mandate"),
        (replace(MANDATE, authority="auditor", purposes=()), {}, "no-mandate"),
        (replace(MANDATE, expires_at=NOW - 1), {}, "expired-mandate"),
        (MANDATE, {"purpose": "marketing"}, "wrong-purpose"),
        (replace(MANDATE, purposes=("statistics",)), {}, "wrong-purpose"),
        (replace(MANDATE, regions=("UK",)), {}, "out-of-region"),
        (replace(MANDATE, regions=("FR",)), {}, "out-of-region"),
        (replace(MANDATE, regions=("XX",)), {"sites": ("brest",), "minimum": 1}, "out-of-region"),
        (replace(MANDATE, regions=("FR", "UK", "YE")), {"by_residence": True}, "out-of-region"),
        (replace(MANDATE, tables=("visit",)), {}, "wrong-table"),
    ],
)
def test_a_request_beyond_its_mandate_gets_neither_record_nor_noise(tmp_path, mandate, changes, code):
    """Although analyst and coordinator signed it. Otherwise those two keys would ask any hospital anything."""
    held = under(mandate)
    rig = Rig(tmp_path / "home", held=held)
    try:
        with pytest.raises(Rejected) as refusal:
            rig.answer(announce(request(**changes), held=held), held)
        assert refusal.value.code == code
        assert rig.records.reads == 0
        assert Ledger(connection=rig.connection).spent() == 0
        reply = rig.reply(announce(request(**changes), held=held), held)
        assert (reply.refusal if isinstance(reply, NodeMessage) else reply).code == code
    finally:
        rig.close()


@pytest.mark.parametrize(
    "mandate",
    [
        MANDATE,
        replace(MANDATE, regions=("FR", "UK", "YE")),
        replace(MANDATE, tables=("stay",)),
        replace(MANDATE, authority="researcher", purposes=("test",), project="2026-17"),
    ],
)
def test_a_request_within_its_mandate_is_answered(tmp_path, mandate):
    """Regions, tables and purposes that hold it."""
    held = under(mandate)
    rig = Rig(tmp_path / "home", held=held)
    try:
        assert rig.answer(announce(held=held), held)
        assert rig.records.reads == 1
    finally:
        rig.close()


def test_an_old_announcement_does_not_bring_an_old_mandate_back(tmp_path):
    """The round names its roster, and a hospital that holds a newer one takes part in none of the older."""
    rig = Rig(tmp_path / "home")
    try:
        newer = replace(under(replace(MANDATE, purposes=("statistics",))), version=roster.version + 1)
        with pytest.raises(Rejected) as refusal:
            rig.answer(announce(request(plan=encode(plan()), sites=HOSPITALS)), newer)
        assert refusal.value.code == "stale-roster"
    finally:
        rig.close()
