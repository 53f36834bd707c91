from dataclasses import replace

import pytest

from protocols import checks
from protocols import roster as rosters
from protocols.errors import Rejected
from protocols.signing import sign
from protocols.wire_pb2 import Role
from protocols.wire_pb2 import Roster as RosterMessage
from tests.protocols.parties import FEDERATION, HOSPITALS, MEMBERS, REGISTRAR, key_of, member, roster


def read(signed, *, federation=FEDERATION, held=0, registrar=REGISTRAR):
    """Read as a member that holds this much would."""
    return rosters.read(signed, federation=federation, registrar_key=registrar.public, held=held)


def altered(change):
    """Return a roster that the registrar signed although its message was changed."""
    signed = rosters.write(roster(), REGISTRAR)
    message = RosterMessage.FromString(signed.body)
    change(message)
    body = message.SerializeToString(deterministic=True)
    return sign(REGISTRAR, kind="roster", signer="registrar", federation=FEDERATION, body=body)


def test_a_roster_comes_back_as_it_was_written():
    """Labels, attributes and times survive, and the same roster has the same bytes."""
    signed = rosters.write(roster(), REGISTRAR)
    assert read(signed) == roster()
    assert rosters.write(read(signed), REGISTRAR) == signed


def test_only_the_registrars_newest_roster_is_accepted():
    """An older version, another signer, another federation, a changed member: refused."""
    signed = rosters.write(roster(), REGISTRAR)
    assert read(signed, held=3).version == 3
    with pytest.raises(Rejected, match="stale-roster"):
        read(signed, held=4)
    with pytest.raises(Rejected, match="bad-signature"):
        read(rosters.write(roster(), key_of("convener")))
    with pytest.raises(Rejected, match="bad-signature"):
        read(signed, federation="elsewhere")
    with pytest.raises(Rejected, match="bad-signature"):
        read(signed, registrar=key_of("convener"))
    tampered = rosters.write(roster(), REGISTRAR)
    tampered.body = tampered.body.replace(b"aden", b"oden")
    with pytest.raises(Rejected, match="bad-signature"):
        read(tampered)


def test_a_roster_names_its_own_federation():
    """A body for another federation under this one's signature is refused as well."""
    with pytest.raises(Rejected, match="wrong-federation"):
        read(altered(lambda message: setattr(message, "federation", "elsewhere")))


def test_version_nought_is_no_version():
    """Versions begin with 1, so "held 0" means that nothing is held."""
    with pytest.raises(Rejected, match="stale-roster"):
        read(rosters.write(roster(version=0), REGISTRAR))


@pytest.mark.parametrize("field", ["identity_key", "certificate_digest"])
def test_two_members_cannot_share_a_key(field):
    """One machine under two names would count as two hospitals."""
    first, *others = roster().members
    twins = (first, replace(others[0], **{field: getattr(first, field)}), *others[1:])
    with pytest.raises(Rejected, match="share a key"):
        read(rosters.write(roster(members=twins), REGISTRAR))


def test_there_is_exactly_one_coordinator():
    """Two could answer for each other, and without one nobody signs."""
    without = tuple(each for each in roster().members if each.role != Role.ROLE_COORDINATOR)
    second = tuple(sorted((*roster().members, member("zoe", Role.ROLE_COORDINATOR)), key=lambda each: each.id))
    for members in (without, second):
        with pytest.raises(Rejected, match="exactly one coordinator"):
            read(rosters.write(roster(members=members), REGISTRAR))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda message: message.members.reverse(), "malformed"),
        (lambda message: message.members.append(message.members[-1]), "malformed"),
        (lambda message: setattr(message.members[0], "id", "../etc"), "malformed"),
        (lambda message: setattr(message.members[0], "identity_key", b"short"), "malformed"),
        (lambda message: setattr(message.members[0], "certificate_digest", bytes(33)), "malformed"),
        (lambda message: setattr(message.members[0], "label_zh", "长" * 201), "oversized"),
        (lambda message: setattr(message.members[1].attributes[0], "value", "x" * 201), "oversized"),
        (lambda message: message.members[1].attributes.append(message.members[1].attributes[0]), "malformed"),
        (lambda message: setattr(message, "catalogue_digest", b""), "malformed"),
    ],
)
def test_a_malformed_roster_is_refused_even_if_signed(change, code):
    """A registrar with a defect cannot confuse its members."""
    with pytest.raises(Rejected, match=code):
        read(altered(change))


def test_a_roster_with_too_many_members_is_refused(monkeypatch):
    """The limit is on the list, before any member is looked at."""
    monkeypatch.setattr(checks, "MOST_MEMBERS", len(MEMBERS) - 1)
    with pytest.raises(Rejected, match="oversized"):
        read(rosters.write(roster(), REGISTRAR))


def test_members_are_found_by_id_role_and_certificate():
    """Each look-up finds the member it names and nobody else."""
    held = roster()
    assert held.member("aden", Role.ROLE_NODE).id == "aden"
    with pytest.raises(Rejected, match="unknown-member"):
        held.member("oz", Role.ROLE_NODE)
    with pytest.raises(Rejected, match="wrong-role"):
        held.member("ada", Role.ROLE_NODE)
    assert held.coordinator.id == "convener"
    assert tuple(held.nodes) == HOSPITALS
    assert held.nodes["aden"] == {"country": "UK"}
    for each in held.members:
        assert held.by_certificate[each.certificate_digest] is each
