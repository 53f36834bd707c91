from __future__ import annotations

from dataclasses import replace

import pytest

from node.authority.decisions import ACCEPT, Decisions
from node.authority.newcomers import DAY, acquaintances, counted, meet
from node.books.state import StateError, open_state, transaction
from protocols.roster import Roster
from tests.node.rig import HOSPITALS, MEMBERS, NOW, key_of, roster

ONE_FEWER = replace(roster, version=2, members=tuple(each for each in MEMBERS if each.id != "dover"))


@pytest.fixture
def connection(tmp_path):
    """An open state."""
    opened = open_state(tmp_path)
    yield opened
    opened.close()


def see(connection, held, now):
    """Take a roster."""
    with transaction(connection):
        meet(connection, held, now)


def count(connection, held: Roster = roster, *, days=7, now=NOW):
    """Return who counts at brest."""
    return counted(connection, held, own="brest", days=days, now=now)


def accept(connection, member, key):
    """Let a hospital count, as the command does."""
    with transaction(connection):
        Decisions(connection=connection).add(ACCEPT, by="it", at=NOW, subject=member.encode(), binding=key)


def test_those_on_the_first_roster_count_at_once(connection):
    """A node that joins takes the federation as it is; whatever the roster says of when they joined."""
    see(connection, roster, NOW)
    assert count(connection) == set(HOSPITALS)


def test_a_newcomer_counts_after_its_days_or_a_word(connection):
    """A hospital that comes later waits for seven days from its first sight, to the second, or for the operator."""
    see(connection, ONE_FEWER, NOW - 100)
    see(connection, roster, NOW)
    others = set(HOSPITALS) - {"dover"}
    assert count(connection) == others
    assert count(connection, now=NOW + 7 * DAY - 1) == others
    assert count(connection, now=NOW + 7 * DAY) == set(HOSPITALS)
    assert count(connection, days=0) == set(HOSPITALS)
    accept(connection, "dover", roster.by_id["dover"].identity_key)
    assert count(connection) == set(HOSPITALS)


def test_a_roster_that_dates_a_newcomer_back_gains_nothing(connection):
    """When it joined by the roster's word is not asked."""
    see(connection, ONE_FEWER, NOW - 100)
    dated_back = tuple(replace(each, joined_at=1) if each.id == "dover" else each for each in MEMBERS)
    see(connection, replace(roster, members=dated_back), NOW)
    assert "dover" not in count(connection)


def test_a_new_key_under_a_known_name_is_somebody_new(connection):
    """Neither the name's first sight nor a word on its former key counts for another key; the former one comes back."""
    see(connection, roster, NOW)
    accept(connection, "dover", roster.by_id["dover"].identity_key)
    another = tuple(
        replace(each, identity_key=key_of("another").public) if each.id == "dover" else each for each in MEMBERS
    )
    changed = replace(roster, version=4, members=another)
    see(connection, changed, NOW)
    assert "dover" not in count(connection, changed)
    assert "dover" in count(connection, changed, now=NOW + 7 * DAY)
    see(connection, replace(roster, version=5), NOW)
    assert "dover" in count(connection)


def test_leaving_and_coming_back_does_not_begin_anew_nor_end_the_wait(connection):
    """The first sight of a key is kept once."""
    see(connection, ONE_FEWER, NOW)
    see(connection, roster, NOW)
    see(connection, ONE_FEWER, NOW + DAY)
    see(connection, roster, NOW + 2 * DAY)
    (dover,) = (each for each in acquaintances(connection, roster) if each.member == "dover")
    assert dover.since == NOW


def test_a_node_that_has_met_nobody_counts_on_itself_only(connection):
    """An empty list of first sights lets nobody in."""
    assert count(connection) == {"brest"}


def test_first_sights_are_kept_with_the_roster_or_not_at_all(connection):
    """Outside the transaction that takes the roster nothing is kept."""
    with pytest.raises(StateError):
        meet(connection, roster, NOW)
