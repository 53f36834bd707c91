import pytest

from protocols import announcement as announcements
from protocols import request as requests
from protocols.errors import Rejected
from protocols.farrsum.parameters import Trust
from protocols.signing import sign
from protocols.wire_pb2 import Announcement as AnnouncementMessage
from protocols.wire_pb2 import Role, Signed
from tests.protocols.parties import FEDERATION, HOSPITALS, NOW, announcement, key_of, member, request, roster


def signed(key="convener", **changes):
    """Return a signed announcement."""
    return announcements.write(announcement(**changes), roster(), key_of(key))


def read(message, *, held=None, now=NOW):
    """Read as a hospital would."""
    return announcements.read(message, roster=held or roster(), now=now)


def test_an_announcement_comes_back_as_it_was_written():
    """With the request inside, verified."""
    assert read(signed()) == announcement()


def test_only_the_coordinator_of_the_roster_announces():
    """Not a hospital, not the analyst, not the registrar."""
    for other in ("aden", "ada", "registrar"):
        with pytest.raises(Rejected, match="bad-signature"):
            read(signed(key=other))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"contributors": (*HOSPITALS, "fez")}, "out-of-scope", id="not on the roster"),
        pytest.param({"contributors": ("ada", *HOSPITALS)}, "out-of-scope", id="not a hospital"),
        pytest.param({"contributors": HOSPITALS[:1], "minimum": 1, "honest": 1}, "too-few", id="fewer than asked"),
        pytest.param({"contributors": HOSPITALS[:3], "minimum": 4}, "too-few", id="more needed than there are"),
        pytest.param({"contributors": ()}, "too-few", id="nobody"),
        pytest.param({"contributors": HOSPITALS[::-1]}, "malformed", id="unsorted"),
        pytest.param({"contributors": ("aden", "aden", "brest")}, "malformed", id="twice"),
        pytest.param({"honest": 0}, "malformed", id="nobody honest"),
        pytest.param({"honest": 4}, "malformed", id="less noise than m - c allows"),
        pytest.param({"honest": 1}, "malformed", id="more noise than m - c allows"),
        pytest.param({"colluders": 0}, "malformed", id="fewer feared than the request says"),
        pytest.param({"minimum": 5}, "malformed", id="another m than h was computed from"),
        pytest.param({"freeze": bytes(31)}, "malformed", id="a short freeze"),
        pytest.param({"deadline": NOW - 301}, "expired", id="over"),
        pytest.param({"deadline": NOW + announcements.LONGEST_ROUND + 301}, "clock-skew", id="too long"),
        pytest.param({"roster": 2}, "stale-roster", id="an older roster"),
        pytest.param({"roster": 4}, "stale-roster", id="a roster that is not held"),
    ],
)
def test_a_coordinator_cannot_aim_a_request_elsewhere(changes, code):
    """Other hospitals, a lower minimum, another roster, a round without end: refused although it signed them."""
    with pytest.raises(Rejected, match=code):
        read(signed(**changes))


@pytest.mark.parametrize(
    ("trust", "colluders", "honest"), [(Trust.NONE, 0, 4), (Trust.FIFTH, 0, 4), (Trust.THIRD, 1, 3)]
)
def test_the_noise_follows_from_the_roster_and_the_requests_trust(trust, colluders, honest):
    """C is of the whole roster, h = m - c: what the analyst signed decides, whatever the coordinator says."""
    asked = request(trust=trust)
    right = {"colluders": colluders, "honest": honest}
    assert read(signed(asked=asked, **right)).request.trust == trust
    for wrong in ({"colluders": colluders + 1}, {"honest": honest + 1}, {"honest": honest - 1}):
        with pytest.raises(Rejected, match="malformed"):
            read(signed(asked=asked, **(right | wrong)))


def test_colluders_are_counted_in_the_whole_roster():
    """A small round of a large federation may hold all its colluders: h is m less c of nine, whoever contributes."""
    more = tuple(member(f"fez-{number}", Role.ROLE_NODE) for number in range(4))
    nine = roster(members=tuple(sorted((*roster().members, *more), key=lambda each: each.id)))
    assert read(signed(colluders=2, honest=1), held=nine).contributors == HOSPITALS
    for wrong in ({"colluders": 1, "honest": 3}, {"colluders": 2, "honest": 3}, {"colluders": 2, "honest": 2}):
        with pytest.raises(Rejected, match="malformed"):
            read(signed(**wrong), held=nine)


def test_contributors_that_the_request_does_not_ask_are_welcome():
    """They hide the others; the request's own minimum is counted among those that it asks."""
    asked = request(sites=HOSPITALS[:2])
    assert read(signed(asked=asked)).asked == HOSPITALS[:2]
    with pytest.raises(Rejected, match="too-few"):
        read(signed(asked=asked, contributors=HOSPITALS[1:]))


def test_the_request_inside_must_be_good_in_itself():
    """Forged, altered, expired, or of an analyst who was struck off: the round is refused."""
    forged = requests.write(request(), key_of("convener"))
    with pytest.raises(Rejected, match="bad-signature"):
        read(signed(signed_request=forged))
    altered = requests.write(request(), key_of("ada"))
    altered.body = requests.write(request(rho_units=1 << 40), key_of("ada")).body
    with pytest.raises(Rejected, match="bad-signature"):
        read(signed(signed_request=altered))
    with pytest.raises(Rejected, match="unknown-member"):
        read(signed(signed_request=Signed()))
    with pytest.raises(Rejected, match="expired"):
        read(signed(deadline=NOW + 4000), now=NOW + 3901)
    without = roster(members=tuple(each for each in roster().members if each.id != "ada"))
    with pytest.raises(Rejected, match="unknown-member"):
        read(signed(), held=without)


def test_a_hospital_that_was_struck_off_cannot_be_counted():
    """Asked by the analyst, but no longer on the roster: it cannot contribute."""
    without = roster(members=tuple(each for each in roster().members if each.id != "elba"))
    with pytest.raises(Rejected, match="out-of-scope"):
        read(signed(), held=without)
    # Four are left on the roster, so each of them adds the whole noise.
    others = signed(contributors=HOSPITALS[:4], honest=1)
    assert read(others, held=without).contributors == HOSPITALS[:4]


@pytest.mark.parametrize(
    "changes",
    [
        {"slot": 2},
        {"contributors": HOSPITALS[:4]},
        {"minimum": 3},
        {"honest": 2},
        {"colluders": 2},
        {"deadline": NOW + 61},
        {"epoch": 4},
        {"freeze": bytes(32)},
        {"roster": 4},
        {"signed_request": requests.write(request(fresh=True), key_of("ada"))},
    ],
)
def test_every_field_is_in_the_digest_that_names_the_round(changes):
    """Two announcements that differ anywhere are two rounds, with noise of their own."""
    assert announcements.tau(signed(**changes)) != announcements.tau(signed())
    assert announcements.tau(signed()) == announcements.tau(signed())


def test_an_announcement_for_another_federation_is_refused():
    """A body that names another federation, signed for this one."""
    message = AnnouncementMessage.FromString(signed().body)
    message.federation = "elsewhere"
    body = message.SerializeToString(deterministic=True)
    with pytest.raises(Rejected, match="wrong-federation"):
        read(sign(key_of("convener"), kind="announcement", signer="convener", federation=FEDERATION, body=body))


def test_another_coordinator_on_the_roster_decides_who_announces():
    """The key is taken from the roster that is held, not from the message."""
    others = tuple(each for each in roster().members if each.role != Role.ROLE_COORDINATOR)
    changed = roster(members=tuple(sorted((*others, member("zoe", Role.ROLE_COORDINATOR)), key=lambda each: each.id)))
    with pytest.raises(Rejected, match="bad-signature"):
        read(signed(), held=changed)
    assert read(signed(key="zoe"), held=changed).slot == 1
