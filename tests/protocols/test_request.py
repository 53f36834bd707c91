from dataclasses import fields, replace

import pytest

from protocols import request as requests
from protocols.errors import Rejected
from protocols.farrsum.parameters import Trust
from protocols.request import Run
from protocols.signing import sign
from protocols.wire_pb2 import Request as RequestMessage
from protocols.wire_pb2 import Role, Signed
from tests.protocols.parties import FEDERATION, MANDATE, NOW, key_of, member, request, roster

RUN = Run(id=b"r" * 16, design=b"d" * 32, round=3, rounds=8, rho_units=1 << 40)

OTHER = {
    "federation": "elsewhere",
    "id": bytes(16),
    "plan": b"another plan",
    "view": b"another view",
    "rho_units": 1 << 31,
    "sites": ("aden", "brest"),
    "minimum": 1,
    "purpose": "marketing",
    "created_at": NOW - 1,
    "expires_at": NOW + 3601,
    "statement": "SELECT 2",
    "fresh": True,
    "trust": Trust.NONE,
    "reason": "another",
    "pack": bytes(32),
    "by_residence": True,
    "patience": 60,
    "run": RUN,
}


def test_a_request_comes_back_as_it_was_written():
    """Every field, and the analyst from the frame."""
    assert requests.read(requests.write(request(), key_of("ada")), roster=roster(), now=NOW) == request()


def test_the_changes_that_are_tried_below_cover_every_field():
    """A field that is added later must be added here; the analyst is in the frame."""
    assert set(OTHER) == {field.name for field in fields(request())} - {"analyst"}


@pytest.mark.parametrize("field", sorted(OTHER))
def test_any_changed_field_breaks_the_signature(field):
    """The coordinator relays a request and can change nothing in it."""
    signed = requests.write(request(), key_of("ada"))
    changed = requests.write(replace(request(), **{field: OTHER[field]}), key_of("ada"))
    assert changed.body != signed.body
    signed.body = changed.body
    with pytest.raises(Rejected, match="bad-signature"):
        requests.read(signed, roster=roster(), now=NOW)


def test_only_an_analyst_on_the_roster_can_ask():
    """Not a hospital, not the coordinator, nobody unknown, nobody in another's name, nobody after her time."""
    for signer, code in (("aden", "wrong-role"), ("convener", "wrong-role"), ("oz", "unknown-member")):
        with pytest.raises(Rejected, match=code):
            requests.read(requests.write(request(analyst=signer), key_of(signer)), roster=roster(), now=NOW)
    with pytest.raises(Rejected, match="bad-signature"):
        requests.read(requests.write(request(), key_of("convener")), roster=roster(), now=NOW)
    over = member("ada", Role.ROLE_ANALYST, expires_at=NOW - 1)
    members = (over, *(each for each in roster().members if each.id != "ada"))
    with pytest.raises(Rejected, match="expired-certificate"):
        requests.read(requests.write(request(), key_of("ada")), roster=roster(members=members), now=NOW)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"created_at": NOW + 301, "expires_at": NOW + 900}, "clock-skew"),
        ({"created_at": NOW - 900, "expires_at": NOW - 301}, "expired"),
        ({"created_at": NOW, "expires_at": NOW}, "malformed"),
        ({"created_at": NOW, "expires_at": NOW - 10}, "malformed"),
        ({"expires_at": NOW + requests.LONGEST_LIFE + 1}, "malformed"),
        ({"plan": bytes(requests.MOST_PLAN_BYTES + 1)}, "oversized"),
        ({"view": bytes(requests.MOST_TEXT + 1)}, "oversized"),
        ({"statement": "x" * (requests.MOST_TEXT + 1)}, "oversized"),
        ({"purpose": "x" * 201}, "oversized"),
        ({"id": bytes(15)}, "malformed"),
        ({"sites": (), "minimum": 0}, "malformed"),
        ({"sites": ("brest", "aden")}, "malformed"),
        ({"sites": ("aden", "aden")}, "malformed"),
        ({"minimum": 0}, "malformed"),
        ({"minimum": 6}, "malformed"),
        ({"rho_units": 0}, "malformed"),
        ({"rho_units": 1 << 50}, "malformed"),
    ],
)
def test_a_request_out_of_range_is_refused_although_signed(changes, code):
    """Times, sizes, ids, hospitals and price."""
    with pytest.raises(Rejected, match=code):
        requests.read(requests.write(request(**changes), key_of("ada")), roster=roster(), now=NOW)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reason": "x" * 201}, "oversized"),
        ({"pack": bytes(31)}, "malformed"),
        ({"patience": requests.LONGEST_LIFE + 1}, "malformed"),
    ],
)
def test_a_reason_a_pack_and_a_patience_have_their_bounds(changes, code):
    """What is for people stays short, a digest is a digest, and nobody waits longer than a request may live."""
    with pytest.raises(Rejected, match=code):
        requests.read(requests.write(request(**changes), key_of("ada")), roster=roster(), now=NOW)


def of_a_run(**changes):
    """Return the request as a round of a run that is changed so."""
    return request(run=replace(RUN, **changes))


def test_a_round_of_a_run_comes_back_as_it_was_written():
    """With the run's id, design, round, length and price; a request of no run says none."""
    asked = of_a_run()
    assert requests.read(requests.write(asked, key_of("ada")), roster=roster(), now=NOW) == asked
    assert asked.run == RUN
    assert requests.read(requests.write(request(), key_of("ada")), roster=roster(), now=NOW).run is None


OTHER_RUN = {"id": bytes(16), "design": bytes(32), "round": 4, "rounds": 9, "rho_units": 1 << 41}


@pytest.mark.parametrize("field", [field.name for field in fields(Run)])
def test_any_changed_field_of_a_run_breaks_the_signature(field):
    """The coordinator cannot move a round into another run, nor make the run longer, dearer or another's."""
    signed = requests.write(of_a_run(), key_of("ada"))
    changed = requests.write(of_a_run(**{field: OTHER_RUN[field]}), key_of("ada"))
    assert changed.body != signed.body
    signed.body = changed.body
    with pytest.raises(Rejected, match="bad-signature"):
        requests.read(signed, roster=roster(), now=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": bytes(15)},
        {"id": b""},
        {"design": bytes(31)},
        {"design": b""},
        {"round": 0},
        {"round": 9},
        {"rounds": 0},
        {"rounds": requests.MOST_ROUNDS + 1},
        {"rho_units": 0},
        {"rho_units": request().rho_units - 1},
        {"rho_units": 1 << 50},
    ],
)
def test_a_run_out_of_range_is_refused_although_signed(changes):
    """An id and a design of their lengths, a round within the run, and a price of at least the round's own."""
    with pytest.raises(Rejected, match="malformed"):
        requests.read(requests.write(of_a_run(**changes), key_of("ada")), roster=roster(), now=NOW)
    widest = of_a_run(round=requests.MOST_ROUNDS, rounds=requests.MOST_ROUNDS, rho_units=request().rho_units)
    assert requests.read(requests.write(widest, key_of("ada")), roster=roster(), now=NOW) == widest


def with_mandate(mandate):
    """Return the roster with another mandate of its analyst."""
    ada = member("ada", Role.ROLE_ANALYST, mandate=mandate)
    return roster(members=(ada, *(each for each in roster().members if each.id != "ada")))


@pytest.mark.parametrize(
    ("mandate", "purpose", "code"),
    [
        (None, "audit", "no-mandate"),
        (replace(MANDATE, purposes=()), "audit", "no-mandate"),
        (replace(MANDATE, authority="auditor", purposes=()), "audit", "no-mandate"),
        (MANDATE, "research", "wrong-purpose"),
        (MANDATE, "", "wrong-purpose"),
        (MANDATE, "audit ", "wrong-purpose"),
        (replace(MANDATE, expires_at=NOW - 1), "audit", "expired-mandate"),
    ],
)
def test_a_request_outside_its_analysts_mandate_is_refused(mandate, purpose, code):
    """An analyst without a mandate asks nothing, one with a mandate for nothing else; an attacker with her key neither.

    Otherwise a stolen or bored analyst's key would open every purpose's budget.
    """
    signed = requests.write(request(purpose=purpose), key_of("ada"))
    with pytest.raises(Rejected, match=code):
        requests.read(signed, roster=with_mandate(mandate), now=NOW)


def test_a_mandate_that_has_ended_serves_no_request():
    """To its last second, and not a second longer, also for a request that was signed in time."""
    signed = requests.write(request(), key_of("ada"))
    under = with_mandate(replace(MANDATE, expires_at=NOW + 60))
    assert requests.read(signed, roster=under, now=NOW + 60).purpose == "audit"
    with pytest.raises(Rejected, match="expired-mandate"):
        requests.read(signed, roster=under, now=NOW + 61)
    assert requests.read_form(signed, roster=under, now=NOW + 61).purpose == "audit"


@pytest.mark.parametrize("setting", [0, 4])
def test_a_request_without_a_known_trust_setting_is_refused(setting):
    """There is no default: what the analyst did not sign, nobody assumes."""
    message = RequestMessage.FromString(requests.write(request(), key_of("ada")).body)
    message.trust = setting
    signed = sign(key_of("ada"), kind="request", signer="ada", federation=FEDERATION, body=message.SerializeToString())
    with pytest.raises(Rejected, match="malformed"):
        requests.read(signed, roster=roster(), now=NOW)


def test_a_request_for_another_federation_is_refused():
    """A body that names another federation, signed for this one."""
    message = RequestMessage.FromString(requests.write(request(), key_of("ada")).body)
    message.federation = "elsewhere"
    signed = sign(key_of("ada"), kind="request", signer="ada", federation=FEDERATION, body=message.SerializeToString())
    with pytest.raises(Rejected, match="wrong-federation"):
        requests.read(signed, roster=roster(), now=NOW)


@pytest.mark.parametrize("inside", [False, True])
def test_a_request_swollen_by_unknown_fields_is_refused(inside):
    """In the signed body or around it: an announcement that carries 15 MiB of them would reach no hospital."""
    unknown = (b"\xba\x3e\x80\x80\x01" + bytes(1 << 14)) * 960
    signed = requests.write(request(), key_of("ada"))
    if inside:
        signed = sign(key_of("ada"), kind="request", signer="ada", federation=FEDERATION, body=signed.body + unknown)
    else:
        signed = Signed.FromString(signed.SerializeToString() + unknown)
    with pytest.raises(Rejected, match="oversized"):
        requests.read(signed, roster=roster(), now=NOW)
