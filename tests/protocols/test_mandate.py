"""Mandates travel in the roster, in one spelling, and nobody but an analyst has one."""

from dataclasses import replace

import pytest

from protocols import mandate as mandates
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.mandate import Mandate
from protocols.wire_pb2 import Role
from tests.protocols.parties import FEDERATION, MANDATE, NOW, REGISTRAR, key_of, member, roster

FULL = Mandate(
    authority="researcher",
    regions=("3301", "33", "UK"),
    purposes=("research",),
    tables=("discharge", "visit"),
    project="入院 2026-17",
    expires_at=NOW,
)
FULL = replace(FULL, regions=tuple(sorted(FULL.regions)))


def read(signed):
    """Read a roster as a member does."""
    return rosters.read(signed, federation=FEDERATION, registrar_key=REGISTRAR.public)


def with_mandate(mandate, id_="ada", role=Role.ROLE_ANALYST):
    """Return the roster with a member's mandate."""
    changed = member(id_, role, mandate=mandate)
    others = (each for each in roster().members if each.id != id_)
    return roster(members=tuple(sorted((changed, *others), key=lambda each: each.id)))


@pytest.mark.parametrize("mandate", [None, MANDATE, FULL])
def test_a_mandate_comes_back_from_the_roster_as_it_was_written(mandate):
    """Every field, and that there is none."""
    assert read(rosters.write(with_mandate(mandate), REGISTRAR)).by_id["ada"].mandate == mandate


def test_nobody_but_the_registrar_widens_a_mandate():
    """A roster that an analyst or the coordinator signed is no roster."""
    for forger in ("ada", "convener"):
        with pytest.raises(Rejected, match="bad-signature"):
            read(rosters.write(with_mandate(FULL), key_of(forger)))


def test_an_older_roster_with_a_wider_mandate_is_not_taken_back():
    """Whoever holds version 4 takes no version 3, so a mandate that was narrowed stays so."""
    wider = rosters.write(with_mandate(MANDATE), REGISTRAR)
    with pytest.raises(Rejected, match="stale-roster"):
        rosters.read(wider, federation=FEDERATION, registrar_key=REGISTRAR.public, held=4)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"authority": "king"}, "malformed"),
        ({"regions": ("33", "11")}, "malformed"),
        ({"regions": ("",)}, "malformed"),
        ({"tables": ("visit", "visit")}, "malformed"),
        ({"purposes": ("Two Words",)}, "malformed"),
        ({"purposes": tuple(f"p{number:03d}" for number in range(65))}, "oversized"),
        ({"project": "x" * 201}, "oversized"),
        ({"authority": "auditor"}, "malformed"),
    ],
)
def test_a_mandate_out_of_form_spoils_the_roster(changes, code):
    """A set has one spelling, an authority is one of seven, and an auditor asks for nothing."""
    with pytest.raises(Rejected, match=code):
        read(rosters.write(with_mandate(replace(FULL, **changes)), REGISTRAR))


def test_only_analysts_have_mandates():
    """A hospital or the coordinator asks nothing."""
    for id_, role in (("aden", Role.ROLE_NODE), ("convener", Role.ROLE_COORDINATOR)):
        with pytest.raises(Rejected, match="malformed"):
            read(rosters.write(with_mandate(MANDATE, id_, role), REGISTRAR))


def test_there_is_no_message_where_there_is_no_mandate():
    """None stays None, so a roster without one keeps its bytes."""
    assert mandates.to_message(None) is None
