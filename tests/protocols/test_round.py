import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols import announcement as announcements
from protocols import release as releases
from protocols import upload
from protocols.errors import Rejected
from protocols.round import Contributor, close, open_round, run_round, take_refusal, take_upload
from protocols.upload import Upload
from protocols.wire_pb2 import Note
from tests.protocols.parties import FEDERATION, HOSPITALS, NOW, announcement, key_of, request, roster, vector

ENTRIES = 3


def opened(**changes):
    """Return a round that was just announced."""
    value = announcement(**changes)
    return open_round(value, announcements.write(value, roster(), key_of("convener")), ENTRIES)


def answer(state, site, *, values=(1, 2, 3), key=None, tau=None, notes=()):
    """Return a hospital's upload."""
    said = Upload(site=site, announcement=tau or state.tau, vector=vector(*values), notes=notes)
    return upload.write(said, federation=FEDERATION, key=key_of(key or site))


def take(state, signed, now=NOW):
    """Take an upload."""
    return take_upload(state, signed, roster=roster(), now=now)


@settings(max_examples=40)
@given(st.integers(1, 6), st.data())
def test_a_round_releases_the_sum_modulo_two_to_the_64(entries, data):
    """Whatever the vectors, whoever answers (at least the minimum), in whatever order."""
    answering = data.draw(st.permutations(HOSPITALS))[: data.draw(st.integers(2, 4))]
    whole = st.integers(0, (1 << 64) - 1)
    vectors = {site: data.draw(hnp.arrays(np.uint64, entries, elements=whole)) for site in answering}
    signed = run_round(
        announcement(),
        roster=roster(),
        coordinator=key_of("convener"),
        contributors={site: Contributor(key=key_of(site), vector=vectors[site]) for site in answering},
        entries=entries,
        now=NOW,
    )
    released = releases.read(signed, federation=FEDERATION, coordinator_key=key_of("convener").public)
    expected = [sum(int(vectors[site][entry]) for site in answering) % (1 << 64) for entry in range(entries)]
    assert [int(entry) for entry in released.vector] == expected
    assert released.contributors == tuple(sorted(answering))
    assert released.id == request().id
    assert releases.announced(released, roster=roster(), now=NOW) == announcement()


@given(st.permutations(HOSPITALS))
@settings(max_examples=20)
def test_the_order_of_the_answers_does_not_show_in_the_release(order):
    """The same vectors in another order give the same bytes."""

    def run(sites):
        contributors = {
            site: Contributor(key=key_of(site), vector=vector(len(site), 7, -1), notes=(Note.NOTE_TABLE_ABSENT,))
            for site in sites
        }
        return run_round(
            announcement(), roster=roster(), coordinator=key_of("convener"), contributors=contributors,
            entries=ENTRIES, now=NOW,
        )  # fmt: skip

    assert run(order) == run(HOSPITALS)


def test_fewer_than_the_minimum_release_nothing():
    """One answer where two are needed."""
    one = {"aden": Contributor(key=key_of("aden"), vector=vector(1, 2, 3))}
    with pytest.raises(Rejected, match="too-few"):
        run_round(
            announcement(), roster=roster(), coordinator=key_of("convener"), contributors=one, entries=ENTRIES, now=NOW
        )


def test_no_upload_counts_twice_or_for_another_round():
    """The same again, another one of the same hospital, one for another announcement, one in another's name."""
    state = take(opened(), answer(opened(), "aden"))
    assert take(state, answer(state, "aden")) is state
    assert take(state, answer(state, "aden", values=(9, 9, 9))) is state
    with pytest.raises(Rejected, match="replayed"):
        take(state, answer(state, "brest", tau=opened(slot=2).tau))
    with pytest.raises(Rejected, match="bad-signature"):
        take(state, answer(state, "brest", key="aden"))
    assert (state.answered, [int(entry) for entry in state.total]) == (("aden",), [1, 2, 3])


def test_a_refused_upload_changes_nothing():
    """The state before is the state after: values are not changed in place."""
    state = take(opened(), answer(opened(), "aden"))
    before = state.total.copy()
    for signed in (
        answer(state, "brest", values=(1, 2)),
        answer(state, "brest", tau=bytes(32)),
        answer(state, "brest", key="cork"),
    ):
        with pytest.raises(Rejected):
            take(state, signed)
    later = take(state, answer(state, "brest"))
    assert np.array_equal(state.total, before)
    assert [int(entry) for entry in later.total] == [2, 4, 6]


def test_a_hospital_that_was_not_announced_does_not_count():
    """On the roster and asked, but not among this round's contributors: out of scope."""
    state = opened(contributors=HOSPITALS[:3])
    with pytest.raises(Rejected, match="out-of-scope"):
        take(state, answer(state, "dover"))


def test_an_upload_after_the_deadline_is_late():
    """To the second."""
    state = opened()
    assert take(state, answer(state, "aden"), now=NOW + 60).answered == ("aden",)
    with pytest.raises(Rejected, match="late"):
        take(state, answer(state, "aden"), now=NOW + 61)


def test_refusals_count_towards_the_end_and_not_towards_the_sum():
    """Complete when all have answered or refused; hopeless when too few are left."""
    state = opened()
    for site in HOSPITALS[:2]:
        state = take_refusal(state, site, "policy", "ref")
    assert (state.complete, state.hopeless) == (False, False)
    decided = take_refusal(state, "cork", "budget", "ref")
    assert (decided.complete, decided.hopeless) == (False, True)
    for site in HOSPITALS[2:]:
        state = take(state, answer(state, site))
    assert state.complete
    released = close(state, released_at=NOW, seconds=0.5)
    assert (released.contributors, [int(entry) for entry in released.vector]) == (HOSPITALS[2:], [2, 4, 6])


def test_the_last_word_of_a_hospital_is_its_upload():
    """A refusal before it is forgotten, one after it is ignored, one of a stranger too."""
    state = take_refusal(opened(), "aden", "unavailable", "ref")
    state = take(state, answer(state, "aden"))
    assert (state.answered, dict(state.refused)) == (("aden",), {})
    assert take_refusal(state, "aden", "policy", "ref") is state
    assert take_refusal(state, "elba", "policy", "ref") is state


def test_notes_are_released_with_the_names_of_those_who_made_them():
    """Who withheld its own row is public."""
    state = take(opened(), answer(opened(), "aden"))
    state = take(state, answer(state, "brest", notes=(Note.NOTE_OWN_ROW_WITHHELD,)))
    assert close(state, released_at=NOW, seconds=0.0).notes == {"brest": (Note.NOTE_OWN_ROW_WITHHELD,)}


def test_a_hospital_in_the_specification_checks_what_it_is_asked():
    """The in-memory round refuses an announcement that a hospital would refuse."""
    contributors = {site: Contributor(key=key_of(site), vector=vector(1, 2, 3)) for site in HOSPITALS}
    with pytest.raises(Rejected, match="too-few"):
        run_round(
            announcement(minimum=1), roster=roster(), coordinator=key_of("convener"), contributors=contributors,
            entries=ENTRIES, now=NOW,
        )  # fmt: skip
