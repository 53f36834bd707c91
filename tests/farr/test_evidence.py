"""The evidence of a published figure, checked without asking anybody: what it proves, and every lie found."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farr import evidence
from farr.cli.main import main
from farr.errors import FarrError
from protocols import blobs, ring
from protocols import receipt as receipts
from protocols import release as releases
from protocols.errors import Rejected
from protocols.evidence import read
from protocols.wire_pb2 import Evidence
from tests.farr import harbour, proven

KEY = harbour.key("registrar").public
QUESTION = "SELECT sex, COUNT(*) AS n FROM stay GROUP BY sex"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A release and what hospitals were charged for it."""
    quay = harbour.Quay()
    asked = harbour.federation(tmp_path_factory.mktemp("proven") / "home", quay)
    result = asked.ask(QUESTION)
    (release,) = quay.released.values()
    return release, result.privacy.measurement.cost


@pytest.fixture(scope="module")
def whole(published):
    """All of its evidence."""
    return proven.whole(published[0], units=published[1])


def verify(message):
    """Verify a file of evidence."""
    return evidence.verify(evidence.to_bytes(message), registrar_key=KEY)


def copy_of(message):
    """Return a copy to change."""
    return Evidence.FromString(message.SerializeToString())


def test_the_evidence_of_a_release_proves_it_offline(published, whole):
    """Request, authority, figures, charges, approvals, both kinds of logs and their witnesses, from one file."""
    found = verify(whole)
    assert found.good
    assert found.result.release == found.proven.release.id.hex()
    assert [each.site for each in found.proven.answered] == list(harbour.SITES)
    assert {each.units for each in found.proven.answered} == {published[1]}
    assert {each.approval for each in found.proven.answered} == {4}
    assert [each.kind for each in found.proven.coordinator] == ["submitted", "announced", "released"]
    assert found.proven.witnesses == ("aden", "brest")
    assert found.proven.missing == ()
    plain = json.loads(json.dumps(found.to_plain()))
    assert plain["authority"] == "nation"
    assert plain["answer"]["rows"] if "rows" in plain["answer"] else plain["answer"]


def test_the_evidence_of_a_long_sum_holds_the_sum(published, monkeypatch):
    """The signed release names the sum by its digest; the file has it, and proves nothing with another, or without."""
    held = harbour.key("coordinator")
    release = releases.read(published[0], federation="harbour", coordinator_key=held.public)
    monkeypatch.setattr(blobs, "INLINE_BYTES", 8)
    signed = releases.write(release, harbour.roster(), held)
    bundle = proven.whole(signed, units=published[1])
    for wrong in (b"", bytes(len(ring.pack(release.vector)))):
        bundle.vector = wrong
        with pytest.raises(FarrError, match="does not hold"):
            verify(bundle)
    bundle.vector = ring.pack(release.vector)
    assert verify(bundle).good


def test_a_sum_beside_a_release_that_holds_its_own_is_refused(whole):
    """No bytes can be added to a file of evidence."""
    more = copy_of(whole)
    more.vector = bytes(16)
    with pytest.raises(FarrError, match="does not hold"):
        verify(more)


def test_another_registrars_key_proves_nothing(whole):
    """Whoever checks has the key from elsewhere; what another signed is refused."""
    with pytest.raises(FarrError, match="does not hold"):
        evidence.verify(evidence.to_bytes(whole), registrar_key=harbour.key("someone").public)


def test_what_is_missing_is_said_and_is_no_lie(whole):
    """A hospital that showed nothing is named; the rest holds."""
    less = copy_of(whole)
    del less.receipts[1]
    less.ClearField("coordinator")
    del less.witnesses[:]
    found = verify(less)
    assert found.good
    assert found.proven.missing == ("coordinator", "brest")


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"units": 1}, "bad-proof"),
        ({"units": 0}, "bad-proof"),
        ({"units": "much"}, "bad-proof"),
        ({"analyst": "else"}, "bad-proof"),
        ({"purpose": "audit"}, "bad-proof"),
        ({"request": "00" * 16}, "bad-proof"),
        ({"round": "00" * 32}, "bad-proof"),
    ],
)
def test_a_log_that_tells_something_else_is_named(published, whole, facts, code):
    """Another charge, analyst, purpose, request or round in a properly signed log: that hospital is named."""
    release, units = published
    lying = copy_of(whole)
    lying.receipts[2].CopyFrom(proven.hospital("cadiz", release, units=units, facts=facts))
    found = verify(lying)
    assert [(flaw.subject, flaw.code) for flaw in found.flaws] == [("cadiz", code)]


def test_a_receipt_under_another_name_is_refused(whole):
    """One hospital's log does not speak for another."""
    lying = copy_of(whole)
    lying.receipts[2].receipt.CopyFrom(whole.receipts[3].receipt)
    assert [flaw.subject for flaw in verify(lying).flaws] == ["cadiz"]


def test_a_witness_of_another_checkpoint_is_named(whole):
    """A witness speaks for the checkpoint that it saw."""
    lying = copy_of(whole)
    lying.coordinator.checkpoint.CopyFrom(
        proven.signed_of(proven.fresh(9), "coordinator"),
    )
    found = verify(lying)
    assert not found.good


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_byte_of_the_evidence_can_be_changed(whole, data):
    """Whichever byte of the file is another: it is refused, or somebody is named; it never passes as good."""
    raw = bytearray(whole.SerializeToString(deterministic=True))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        found = read(bytes(raw), registrar_key=KEY)
    except Rejected:
        return
    assert found.flaws


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300), cut=st.integers(0, 3000))
def test_any_bytes_are_refused_in_words(whole, data, cut):
    """Bytes from anybody, and evidence cut short: an error that says so, never another one."""
    raw = evidence.to_bytes(whole)
    for each in (data, evidence.MAGIC + data, raw[:cut] + data):
        with pytest.raises(FarrError):
            evidence.verify(each, registrar_key=KEY)


def test_the_command_says_good_and_false(whole, tmp_path, capsys):
    """Exit code 0 and the table for what holds; 1 and the name for what does not."""
    key = tmp_path / "registrar.pub"
    key.write_text(KEY.hex() + "\n")
    good, bad = tmp_path / "good.evidence", tmp_path / "bad.evidence"
    good.write_bytes(evidence.to_bytes(whole))
    lying = copy_of(whole)
    lying.receipts[2].receipt.CopyFrom(whole.receipts[3].receipt)
    bad.write_bytes(evidence.to_bytes(lying))
    assert main(["audit", "verify", str(good), "--registrar-key", str(key)], {}) == 0
    assert "Everything that is shown holds." in capsys.readouterr().out
    assert main(["audit", "verify", str(bad), "--registrar-key", str(key)], {}) == 1
    assert "cadiz" in capsys.readouterr().out
    assert main(["audit", "verify", str(good), "--registrar-key", str(key), "--json"], {}) == 0
    assert json.loads(capsys.readouterr().out)["good"] is True


def test_a_receipt_shows_what_the_log_holds_and_nothing_else(published):
    """An entry with other facts, another number, of another log or without its proof is refused."""
    release, units = published
    honest = proven.hospital("brest", release, units=units).receipt
    public = harbour.key("brest").public

    def read_receipt(message):
        return receipts.read(message, member="brest", federation="harbour", public_key=public)

    assert [each.kind for each in read_receipt(honest).entries] == ["answered", "released"]
    for field, value in (("facts", "{}"), ("number", 5), ("kind", "refused"), ("at", 8), ("previous", bytes(32))):
        changed = type(honest).FromString(honest.SerializeToString())
        setattr(changed.entries[0], field, value)
        with pytest.raises(Rejected):
            read_receipt(changed)
    bare = type(honest).FromString(honest.SerializeToString())
    bare.entries[0].ClearField("inclusion")
    with pytest.raises(Rejected):
        read_receipt(bare)
