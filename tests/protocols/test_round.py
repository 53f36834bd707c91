import hashlib
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols import announcement as announcements
from protocols import blobs, ring, upload
from protocols import release as releases
from protocols import roster as rosters
from protocols import round as rounds
from protocols.errors import Rejected
from protocols.farrsum import epoch as epochs
from protocols.farrsum.epoch import ExchangeKey
from protocols.rehearsal import Convened, Hospital, run_round
from protocols.release import Release
from protocols.request import write as write_request
from protocols.round import close, fix_survivors, open_round, take_confirmation, take_refusal, take_shares, take_upload
from protocols.signing import sign
from protocols.upload import Upload
from protocols.wire_pb2 import Confirmation, Note, Shares
from tests.protocols.parties import FEDERATION, HOSPITALS, NOW, REGISTRAR, announcement, key_of, request, roster, vector

ENTRIES = 3
MASKED = ENTRIES + 2


def entropy_of(name):
    """Return a source of bytes that is the same at every run, for tests alone."""
    drawn = count()
    return lambda size: hashlib.shake_256(f"{name} {next(drawn)}".encode()).digest(size)


def rehearse(vectors, *, silent=frozenset(), notes=None, hospitals=HOSPITALS, asked=None, order=None):
    """Run a whole round in memory; return the signed release."""
    notes = notes or {}
    return run_round(
        write_request(asked or request(), key_of("ada")),
        signed_roster=rosters.write(roster(), REGISTRAR),
        registrar_key=REGISTRAR.public,
        federation=FEDERATION,
        hospitals={
            site: Hospital(
                key=key_of(site), vector=vectors[site], entropy=entropy_of(site), notes=tuple(notes.get(site, ()))
            )
            for site in order or hospitals
        },
        convened=Convened(key=key_of("convener"), epoch=7, slot=1, deadline=NOW + 60, now=NOW),
        silent=frozenset(silent),
    )


def frozen():
    """Return an epoch of the five."""
    held, signed = roster(), rosters.write(roster(), REGISTRAR)
    keys = [
        epochs.write_key(
            7, held, rosters.digest_of(signed), member=site, key=key_of(site),
            exchange=ExchangeKey.from_seed(entropy_of(site)(32)),
        )
        for site in HOSPITALS
    ]  # fmt: skip
    frozen = epochs.freeze(7, keys)
    return epochs.read_freeze(frozen, number=7, roster=held, roster_digest=rosters.digest_of(signed))


EPOCH = frozen()


def opened(**changes):
    """Return a round that was just announced."""
    value = announcement(freeze=EPOCH.digest, **changes)
    signed = announcements.write(value, roster(), key_of("convener"))
    return open_round(value, signed, entries=ENTRIES, epoch=EPOCH)


def answer(state, site, *, values=(1, 2, 3, 1, 0), key=None, tau=None, notes=(), sealed=36 * 4, cell=0):
    """Return a hospital's upload; its masks are of no interest here."""
    said = Upload(
        site=site, announcement=tau or state.tau, vector=vector(*values), salt=bytes(16), sealed=bytes(sealed),
        notes=notes, minimum_cell=cell,
    )  # fmt: skip
    return upload.write(said, federation=FEDERATION, key=key_of(key or site))


def take(state, signed, now=NOW):
    """Take an upload."""
    return take_upload(state, signed, roster=roster(), now=now)


def filled(sites=HOSPITALS):
    """Return a round with some hospitals' uploads."""
    state = opened()
    for site in sites:
        state = take(state, answer(state, site))
    return state


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.data())
def test_a_round_releases_the_sum_modulo_two_to_the_64(entries, data):
    """Whatever the vectors, whoever answers (at least m), in whatever order."""
    order = data.draw(st.permutations(HOSPITALS))
    silent = order[: data.draw(st.integers(0, 1))]
    whole = st.integers(0, (1 << 64) - 1)
    vectors = {site: data.draw(hnp.arrays(np.uint64, entries, elements=whole)) for site in HOSPITALS}
    signed = rehearse(vectors, silent=silent, order=order)
    released = releases.read(signed, federation=FEDERATION, coordinator_key=key_of("convener").public)
    answering = [site for site in HOSPITALS if site not in silent]
    expected = [sum(int(vectors[site][entry]) for site in answering) % (1 << 64) for entry in range(entries)]
    assert [int(entry) for entry in released.vector] == expected
    assert released.contributors == tuple(answering)
    assert (released.id, released.masks) == (request().id, "farrsum")
    known = releases.announced(released, roster=roster(), now=NOW)
    assert (known.minimum, known.colluders, known.honest) == (4, 1, 3)


@pytest.mark.parametrize("silent", [(), ("cork",)])
def test_long_vectors_are_added_in_pieces_and_whole(monkeypatch, silent):
    """Vectors beside their uploads give the same sum; a piece too few or too many gives none."""
    vectors = {site: vector(len(site), 7, -1, 1 << 60) for site in HOSPITALS}
    short = releases.read(
        rehearse(vectors, silent=silent), federation=FEDERATION, coordinator_key=key_of("convener").public
    )
    monkeypatch.setattr(blobs, "INLINE_BYTES", 8)
    signed = rehearse(vectors, silent=silent)
    content = ring.pack(short.vector)
    assert releases.blob_of(signed) == blobs.blob_of(content)

    state = opened()
    for site in HOSPITALS:
        state = take(state, answer(state, site))
    assert len(state.total) == 0
    one = vector(1, 2, 3, 1, 0)
    assert list(rounds._added(state, lambda _index, _blob: (one[:2], one[2:]))) == [5, 10, 15, 5, 0]
    for pieces in ((one[:2],), (one, one[:1])):
        with pytest.raises(Rejected, match="wrong-length"):
            rounds._added(state, lambda _index, _blob, pieces=pieces: pieces)
    with pytest.raises(Rejected, match="unknown-blob"):
        rounds._added(state, None)


def test_the_order_of_the_answers_does_not_show_in_the_release():
    """The same vectors in another order give the same bytes."""
    vectors = {site: vector(len(site), 7, -1) for site in HOSPITALS}
    notes = dict.fromkeys(HOSPITALS, (Note.NOTE_TABLE_ABSENT,))
    assert rehearse(vectors, notes=notes, order=HOSPITALS[::-1]) == rehearse(vectors, notes=notes)


def test_fewer_than_m_release_nothing():
    """Three answers where four are needed."""
    with pytest.raises(Rejected, match="too-few"):
        rehearse({site: vector(1, 2, 3) for site in HOSPITALS}, silent=HOSPITALS[:2])


def test_hospitals_that_are_not_asked_are_in_the_sum_with_what_they_add():
    """Two are asked, five hide them; one of the two silent where both are needed: no sum."""
    asked = request(sites=HOSPITALS[:2])
    vectors = {site: vector(*((5, 6, 7) if site in asked.sites else (0, 0, 1))) for site in HOSPITALS}
    signed = rehearse(vectors, asked=asked)
    released = releases.read(signed, federation=FEDERATION, coordinator_key=key_of("convener").public)
    assert (released.contributors, list(ring.centred(released.vector))) == (HOSPITALS, [10, 12, 17])
    with pytest.raises(Rejected, match="too-few"):
        rehearse(vectors, asked=asked, silent=HOSPITALS[:1])


def test_no_upload_counts_twice_or_for_another_round():
    """The same again, another of the same hospital, one for another announcement, one in another's name, a late one."""
    state = take(opened(), answer(opened(), "aden"))
    assert take(state, answer(state, "aden")) is state
    assert take(state, answer(state, "aden", values=(9, 9, 9, 1, 0))) is state
    with pytest.raises(Rejected, match="replayed"):
        take(state, answer(state, "brest", tau=opened(slot=2).tau))
    with pytest.raises(Rejected, match="bad-signature"):
        take(state, answer(state, "brest", key="aden"))
    assert (state.answered, [int(entry) for entry in state.total]) == (("aden",), [1, 2, 3, 1, 0])
    fixed, _ = fix_survivors(filled(HOSPITALS[:4]))
    with pytest.raises(Rejected, match="late"):
        take(fixed, answer(fixed, "elba"))


def test_a_refused_upload_changes_nothing():
    """The state before is the state after: values are not changed in place."""
    state = take(opened(), answer(opened(), "aden"))
    before = state.total.copy()
    for signed in (
        answer(state, "brest", values=(1, 2)),
        answer(state, "brest", tau=bytes(32)),
        answer(state, "brest", key="cork"),
        answer(state, "brest", sealed=36),
    ):
        with pytest.raises(Rejected):
            take(state, signed)
    later = take(state, answer(state, "brest"))
    assert np.array_equal(state.total, before)
    assert [int(entry) for entry in later.total] == [2, 4, 6, 2, 0]


def test_a_hospital_that_was_not_announced_does_not_count():
    """In the epoch and asked, but not among this round's contributors: out of scope."""
    state = opened(contributors=HOSPITALS[:4])
    with pytest.raises(Rejected, match="out-of-scope"):
        take(state, answer(state, "elba"))


def test_an_upload_after_the_deadline_is_late():
    """To the second."""
    state = opened()
    assert take(state, answer(state, "aden"), now=NOW + 60).answered == ("aden",)
    with pytest.raises(Rejected, match="late"):
        take(state, answer(state, "aden"), now=NOW + 61)


def test_refusals_count_towards_the_end_and_not_towards_the_sum():
    """Complete when all have answered or refused; hopeless when too few are left."""
    state = take_refusal(opened(), "aden", "unavailable", "ref")
    assert (state.complete, state.hopeless, state.sufficient) == (False, False, False)
    decided = take_refusal(state, "cork", "unavailable", "ref")
    assert (decided.complete, decided.hopeless) == (False, True)
    for site in HOSPITALS[1:]:
        state = take(state, answer(state, site))
    assert (state.complete, state.sufficient, state.answered) == (True, True, HOSPITALS[1:])


def test_the_last_word_of_a_hospital_is_its_upload():
    """A refusal before it is forgotten, one after it is ignored, one of a stranger too."""
    state = take_refusal(opened(), "aden", "unavailable", "ref")
    state = take(state, answer(state, "aden"))
    assert (state.answered, dict(state.refused)) == (("aden",), {})
    assert take_refusal(state, "aden", "policy", "ref") is state
    assert take_refusal(state, "fez", "policy", "ref") is state


def test_notes_are_released_with_the_names_of_those_who_made_them():
    """Who withheld its own row is public."""
    signed = rehearse({site: vector(1, 2, 3) for site in HOSPITALS}, notes={"brest": (Note.NOTE_OWN_ROW_WITHHELD,)})
    released = releases.read(signed, federation=FEDERATION, coordinator_key=key_of("convener").public)
    assert released.notes == {"brest": (Note.NOTE_OWN_ROW_WITHHELD,)}


def test_the_smallest_count_to_show_is_the_strictest_of_the_round():
    """Each hospital's own travels with its upload into the release, whose pages go by the largest."""
    state = opened()
    for site, cell in zip(HOSPITALS, (0, 10, 5, 0), strict=False):
        state = take(state, answer(state, site, cell=cell))
    assert dict(state.minimum_cells) == {HOSPITALS[1]: 10, HOSPITALS[2]: 5}
    made = Release(
        id=bytes(16), announcement=state.signed, vector=vector(1, 2, 3), contributors=state.answered,
        notes={HOSPITALS[0]: (Note.NOTE_TABLE_ABSENT,)}, released_at=NOW, seconds=1.0,
        minimum_cells=state.minimum_cells,
    )  # fmt: skip
    signed = releases.write(made, roster(), key_of("convener"))
    released = releases.read(signed, federation=FEDERATION, coordinator_key=key_of("convener").public)
    assert released.minimum_cell == 10
    assert (released.minimum_cells, released.notes) == (made.minimum_cells, made.notes)
    assert replace(made, minimum_cells={}).minimum_cell == 0


def test_confirmations_and_shares_come_after_the_survivors_are_fixed_and_from_those_who_may():
    """Before that there is nothing to sign; afterwards only a witness's own signature on this very set counts."""
    state = filled()
    with pytest.raises(Rejected, match="unknown-round"):
        take_confirmation(state, "aden", Confirmation(), roster=roster())
    with pytest.raises(Rejected, match="unknown-round"):
        take_shares(state, "aden", Shares())
    fixed, question = fix_survivors(state)
    assert question.announcement == fixed.tau
    for site, message, code in (
        ("ada", Confirmation(), "wrong-role"),
        ("aden", Confirmation(), "wrong-role"),
        ("aden", _confirmation("aden", b"something else"), "bad-signature"),
    ):
        with pytest.raises(Rejected, match=code):
            take_confirmation(fixed, site, message, roster=roster())
    with pytest.raises(Rejected, match="wrong-role"):
        take_shares(fixed, "ada", Shares())
    with pytest.raises(Rejected, match="malformed"):
        take_shares(fixed, "aden", Shares(shares=bytes(19)))
    assert (fixed.confirmed, fixed.openable) == (False, False)


def test_a_round_without_enough_key_shares_does_not_close():
    """Three of the four that it takes."""
    fixed, _ = fix_survivors(filled())
    for site in HOSPITALS[:3]:
        fixed = take_shares(fixed, site, Shares(shares=bytes(20 * 5)))
    with pytest.raises(Rejected, match="too-few"):
        close(fixed, backups={}, released_at=NOW, seconds=0.0)
    fixed = take_shares(fixed, "dover", Shares(shares=bytes(20 * 5)))
    with pytest.raises(Rejected, match="bad-sum"):
        close(fixed, backups={}, released_at=NOW, seconds=0.0)


def _confirmation(site, body):
    signed = sign(key_of(site), kind="confirmation", signer=site, federation=FEDERATION, body=body)
    return Confirmation(signed=signed)
