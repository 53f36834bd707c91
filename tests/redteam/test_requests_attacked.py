"""Attacks on requests and rounds: by the coordinator, by an analyst beyond its mandate, by both of them together.

Each test first shows that its means are real: the same message, not attacked, is answered by the same node.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.books.ledger import Ledger
from protocols import checks
from protocols import request as requests
from protocols.farrsum.parameters import Trust
from protocols.signing import sign
from protocols.wire_pb2 import Request as RequestMessage
from protocols.wire_pb2 import Role
from queries.asked.canonical import encode
from tests.node.company import Company, Played
from tests.node.rig import HOSPITALS, MANDATE, NAME, NOW, PRICE, Rig, announce, key_of, member, plan, request, roster


@pytest.fixture
def rig(tmp_path):
    """A node of four hospitals, with a seat in the first epoch."""
    made = Rig(tmp_path / "home")
    yield made
    made.close()


def charged(rig):
    """Return what patients were charged."""
    return Ledger(connection=rig.connection).spent()


def accepted(rig, signed, held=roster):
    """Show that the means of an attack are real: the node answers this, from its records, and charges for it."""
    reads, spent = rig.records.reads, charged(rig)
    assert rig.reply(signed, held).WhichOneof("kind") == "upload"
    assert rig.records.reads == reads + 1
    assert charged(rig) > spent


def refused(rig, signed, held=roster):
    """Return the code of a refusal; no record was read, no noise drawn, nothing charged."""
    before = rig.records.reads, charged(rig), len(rig.noisy)
    reply = rig.reply(signed, held)
    assert reply.WhichOneof("kind") == "refusal"
    assert (rig.records.reads, charged(rig), len(rig.noisy)) == before
    return reply.refusal.code


def asked_under(rig, held, number, **changes):
    """Return an announcement under another roster, in an epoch of it in which the node takes its seat."""
    rig.sit(number, held)
    return announce(request(number, **changes), held=held, number=number)


def mandated(mandate, version=roster.version, **changes):
    """Return the roster with another mandate of its analyst, or other changes of that member."""
    ada = replace(roster.by_id["ada"], mandate=mandate, **changes)
    members = tuple(ada if each.id == "ada" else each for each in roster.members)
    return replace(roster, version=version, members=members)


def rewritten(asked, signer, **changes):
    """Return a signed request whose body was changed after its analyst signed it; ``signer`` signs again, or nobody."""
    signed = requests.write(asked, key_of("ada"))
    message = checks.parse(RequestMessage, signed.body)
    for name, value in changes.items():
        if isinstance(value, tuple):
            message.ClearField(name)
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    body = message.SerializeToString(deterministic=True)
    if signer is not None:
        return sign(key_of(signer), kind=requests.KIND, signer="ada", federation=NAME, body=body)
    signed.body = body
    return signed


def test_a_forged_request(rig):
    """The coordinator asks in an analyst's name, with its own key.

    Gained: any statistic of any hospital, without an analyst who answers for it.
    """
    accepted(rig, announce(request(1), slot=1))
    assert refused(rig, announce(request(2), slot=2, analyst_key=key_of("convener"))) == "bad-signature"


@pytest.mark.parametrize(
    "changes",
    [
        {"rho_units": 2 * PRICE},
        {"plan": encode(plan(keys=()))},
        {"purpose": "research"},
        {"sites": ("brest",), "minimum": 1},
        {"minimum": 1},
        {"expires_at": NOW + 86400},
        {"by_residence": True},
        {"pack": bytes(32)},
    ],
)
def test_a_request_rewritten_on_its_way(rig, changes):
    """The coordinator changes one field of a signed request: price, plan, purpose, hospitals, minimum, end, pack.

    Gained: less noise, another statistic, one hospital alone, a standing approval: all under the analyst's name.
    """
    asked = request(2)
    forged = rewritten(asked, None, **changes)
    assert refused(rig, announce(replace(asked, **changes), slot=1, signed_request=forged)) == "bad-signature"
    # The rewritten request is a good one, had its analyst signed it; the untouched one is answered.
    assert requests.read(rewritten(asked, "ada", **changes), roster=roster, now=NOW) == replace(asked, **changes)
    accepted(rig, announce(asked, slot=1))


def test_a_replayed_request(rig):
    """The coordinator announces an answered request again, in a fresh slot, then after the node was started anew.

    Gained: a second sample of noise over the same records at no charge; n of them divide the noise's variance by n.
    """
    accepted(rig, announce(request(1), slot=1))
    assert refused(rig, announce(request(1), slot=2)) == "replayed"
    accepted(rig, announce(request(2), slot=2))
    rig.close()
    again = Rig(rig.home, number=2)
    assert refused(again, announce(request(1), slot=1, number=2)) == "replayed"
    accepted(again, announce(request(3), slot=1, number=2))
    again.close()


def test_one_announcement_again_gives_the_same_bytes(rig):
    """The coordinator sends the very same announcement many times.

    Gained, were noise drawn anew: the average of many samples. It gets the one upload, byte for byte, at one charge.
    """
    signed = announce()
    first, spent = rig.answer(signed), charged(rig)
    assert {rig.answer(signed).SerializeToString(deterministic=True) for _ in range(5)} == {
        first.SerializeToString(deterministic=True)
    }
    assert (len(rig.noisy), charged(rig)) == (1, spent)


def test_two_announcements_for_one_request(rig, tmp_path):
    """The coordinator announces one request twice, with other cohorts, to the same hospital and to different ones.

    Gained at one hospital: two samples of noise. At two: uploads of two rounds, whose masks do not belong together,
    so neither sum opens: masks are bound to the announcement.
    """
    first = announce(request(1), slot=1)
    second = announce(request(1), slot=1, deadline=NOW + 61)
    accepted(rig, first)
    assert refused(rig, second) == "replayed"
    other = Rig(tmp_path / "aden", site="aden")
    accepted(other, second)
    played = Played(Company(rig.deposits), first, rig.answer(first))
    with pytest.raises(checks.Rejected):
        played.take(other.answer(second))
    other.close()


def test_two_rounds_in_one_slot(rig):
    """The coordinator opens two requests in one slot of an epoch, whose masks are the same.

    Gained: the masks cancel in the difference of the two uploads, which shows one hospital's part.
    """
    accepted(rig, announce(request(1), slot=1))
    assert refused(rig, announce(request(2), slot=1)) == "slot-used"
    accepted(rig, announce(request(2), slot=2))


def test_a_request_for_another_purpose(rig):
    """An analyst who may ask for statistics asks for research, with the coordinator's help.

    Gained: a budget and an approval that were given for something else.
    """
    held = mandated(replace(MANDATE, purposes=("statistics",)))
    assert refused(rig, asked_under(rig, held, 2, purpose="research"), held) == "wrong-purpose"
    accepted(rig, asked_under(rig, held, 3, purpose="statistics"), held)


REGIONS = {
    "a hospital of another country": {"sites": HOSPITALS},
    "one more hospital than the region's": {"sites": ("brest", "cork", "dover"), "minimum": 2},
    "the claim to ask by residence": {"sites": HOSPITALS, "by_residence": True},
}


@pytest.mark.parametrize("what", REGIONS)
def test_a_request_for_another_region(rig, what):
    """An analyst of one country asks hospitals of another, alone or beside its own, or says that it asks by residence.

    Gained: the neighbours' figures; with own and foreign hospitals mixed, their difference to the own total.
    """
    uk, both = (mandated(replace(MANDATE, regions=each)) for each in (("UK",), ("FR", "UK", "YE")))
    assert refused(rig, asked_under(rig, uk, 2, **REGIONS[what]), uk) == "out-of-region"
    accepted(rig, asked_under(rig, both, 3), both)


@pytest.mark.parametrize("region", ["", "FR ", "fr", "FR,UK", "*", "%", "F", "FR\x00", "ＦＲ", "../FR", "' OR 1=1 --"])
def test_a_hostile_region_reaches_nobody(rig, region):
    """A mandate names a region in a way that a careless comparison takes for one: prefix, wildcard, case, width, SQL.

    Gained: hospitals that the registrar did not mean. A region that the catalogue does not list places nobody.
    """
    held = mandated(replace(MANDATE, regions=("FR", "UK", "YE", region)))
    assert refused(rig, asked_under(rig, held, 2), held) == "out-of-region"
    held = mandated(replace(MANDATE, regions=("FR", "UK", "YE")))
    accepted(rig, asked_under(rig, held, 3), held)


def test_a_request_for_another_table(rig):
    """An analyst who may ask about one table asks about another, alone and as a second part beside the allowed one.

    Gained: a table that the mandate leaves out.
    """
    held = mandated(replace(MANDATE, tables=("visit",)))
    smuggled = plan(parts=(replace(plan().parts[0], table="visit"), plan().parts[0]))
    for number, asked in enumerate((plan(), smuggled), start=2):
        assert refused(rig, asked_under(rig, held, number, plan=encode(asked)), held) == "wrong-table"
    allowed = mandated(replace(MANDATE, tables=("stay", "visit")))
    accepted(rig, asked_under(rig, allowed, 4, plan=encode(smuggled)), allowed)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mandate": replace(MANDATE, expires_at=NOW - 1)}, "expired-mandate"),
        ({"expires_at": NOW - 1}, "expired-certificate"),
    ],
)
def test_an_expired_permit_or_certificate(rig, change, code):
    """An analyst whose permit, or whose certificate, has ended goes on asking, and the coordinator lets it.

    Gained: access for ever, once given.
    """
    held = mandated(**{"mandate": MANDATE, **change})
    assert refused(rig, asked_under(rig, held, 2), held) == code
    held = mandated(replace(MANDATE, expires_at=NOW), expires_at=NOW)
    accepted(rig, asked_under(rig, held, 3), held)


def test_an_expired_request(rig):
    """The coordinator keeps a request back and announces it after its end.

    Gained: an answer about newer records than the analyst asked about, when nobody watches any more.
    """
    asked = request(1, expires_at=NOW + 60)
    signed = announce(asked, deadline=NOW + 600)
    rig.now = NOW + 400.0
    assert refused(rig, signed) == "expired"
    rig.now = NOW + 30.0
    accepted(rig, signed)


def test_an_older_roster_with_a_wider_mandate(rig):
    """The registrar narrowed a mandate; the coordinator announces by the roster before.

    Gained: what was taken back. A hospital that holds the newer roster takes part in no round of an older one.
    """
    newer = mandated(replace(MANDATE, purposes=("statistics",)), version=roster.version + 1)
    assert refused(rig, announce(request(1)), newer) == "stale-roster"
    accepted(rig, announce(request(1)))


def test_invented_hospitals_in_a_round(rig):
    """The coordinator counts hospitals that are not on the roster, to reach a minimum with fewer real ones.

    Gained: a sum over this hospital and phantoms whose noise and masks the coordinator knows.
    """
    signed = announce(request(1), contributors=("aden", "brest", "phantom"))
    assert refused(rig, signed) == "out-of-scope"
    assert refused(rig, announce(request(1), contributors=("aden", "brest"))) == "too-few"
    accepted(rig, announce(request(1)))


def test_an_older_roster_with_a_former_member(rig):
    """The coordinator makes a roster of its own, with one more hospital, and signs a round for it.

    Gained: the same phantoms. The node takes rosters from the registrar's key alone, and rounds for the one it holds.
    """
    wider = replace(
        roster, members=tuple(sorted((*roster.members, member("zeta", Role.ROLE_NODE)), key=lambda m: m.id))
    )
    signed = announce(request(1), held=wider, contributors=(*HOSPITALS, "zeta"))
    assert refused(rig, signed) == "out-of-scope"
    accepted(rig, announce(request(1)))


@pytest.mark.parametrize(
    "changes", [{"colluders": 0}, {"honest": 4}, {"colluders": 0, "honest": 3}, {"honest": 1 << 31}]
)
def test_understated_noise(rig, changes):
    """The coordinator says that more hospitals are honest than the request's trust allows, so each adds less noise.

    Gained: figures with less noise than was charged for.
    """
    assert refused(rig, announce(request(1), **changes)) == "malformed"
    accepted(rig, announce(request(1)))


def test_a_weaker_trust_than_the_hospital_accepts(rig):
    """An analyst signs that it fears nobody, which divides each hospital's noise by more.

    Gained: with c colluding hospitals, a sum with less noise than the price says. The policy's floor withholds it.
    """
    upload = rig.reply(announce(request(1, trust=Trust.NONE)), roster)
    assert upload.WhichOneof("kind") == "upload"
    assert (rig.records.reads, charged(rig)) == (0, 0)
    accepted(rig, announce(request(2), slot=2))


def test_a_sum_over_fewer_than_announced(rig):
    """The coordinator announces a minimum and then has fewer hospitals' sum opened, leaving others out.

    Gained: the difference of two sums, or a sum with fewer shares of noise than the price counted on.
    """
    signed = announce()
    played = Played(Company(rig.deposits), signed, rig.answer(signed))
    with pytest.raises(checks.Rejected):
        rig.seats.confirm(played.without("aden", "cork").confirm)
    confirmation = rig.seats.confirm(played.confirm)
    with pytest.raises(checks.Rejected):
        rig.seats.confirm(played.without("aden").confirm)
    assert played.finish(rig.seats.unmask(played.unmask(confirmation))).tolist() == rig.noisy[-1].tolist()


def test_an_announcement_by_somebody_else(rig):
    """A hospital, or an analyst, announces a round itself.

    Gained: a round of its own making, with a cohort to its liking.
    """
    for name in ("aden", "ada", "registrar"):
        assert refused(rig, announce(request(1), coordinator_key=key_of(name))) == "bad-signature"
    accepted(rig, announce(request(1)))
