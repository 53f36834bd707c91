"""The epoch: every check of a freeze, the draw of the committee, and keys that both ends derive alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from protocols import checks
from protocols.errors import Rejected
from protocols.farrsum.beacon import permutation
from protocols.farrsum.edges import edges, sign_of
from protocols.farrsum.epoch import KIND, ExchangeKey, freeze, read_freeze, read_key, write_key
from protocols.signing import sign
from protocols.wire_pb2 import EpochKey, Freeze, Signed

SMALL_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    ((1 << 255) - 20).to_bytes(32, "little"),
    ((1 << 255) - 19).to_bytes(32, "little"),
    ((1 << 255) - 18).to_bytes(32, "little"),
]


class Setting:
    """Five hospitals' keys of epoch 7, and ways to change them."""

    def __init__(self, hospitals):
        self.members = hospitals.federation(5)
        self.exchange = {name: ExchangeKey.from_seed(hospitals.Fresh(name)(32)) for name in self.members.names}
        self.keys = [self.key(name) for name in self.members.names]

    def key(self, name, **changes):
        """Sign a hospital's key, with changes."""
        sound = {
            "number": 7, "roster": self.members.roster, "roster_digest": self.members.roster_digest, "member": name,
            "key": self.members.identities.get(name), "exchange": self.exchange.get(name),
        }  # fmt: skip
        return write_key(**{**sound, **changes})

    def body(self, name, **changes):
        """Sign a body with changed fields as a hospital's key."""
        fields = {
            "federation": "test", "epoch": 7, "exchange_key": self.exchange[name].public,
            "roster": self.members.roster_digest,
        }  # fmt: skip
        body = EpochKey(**{**fields, **changes}).SerializeToString(deterministic=True)
        return sign(self.members.identities[name], kind=KIND, signer=name, federation="test", body=body)

    def read(self, message=None, **changes):
        """Read a freeze as the first hospital."""
        name = self.members.names[0]
        sound = {
            "number": 7, "roster": self.members.roster, "roster_digest": self.members.roster_digest,
            "own": (name, self.exchange[name].public),
        }  # fmt: skip
        return read_freeze(message or freeze(7, self.keys), **{**sound, **changes})


@pytest.fixture(scope="module")
def setting(hospitals):
    """Five hospitals' keys of epoch 7."""
    return Setting(hospitals)


def test_a_sound_freeze_is_read(setting):
    """Members and keys come out in one order, with the parameters that follow from their number."""
    epoch = setting.read(freeze(7, setting.keys[::-1]))
    assert epoch.members == setting.members.names
    assert epoch.exchange_keys == tuple(setting.exchange[name].public for name in epoch.members)
    assert epoch.committee == epoch.witnesses == (0, 1, 2, 3, 4)
    assert (epoch.parameters.threshold, epoch.parameters.quorum) == (4, 4)


def test_a_freeze_of_another_epoch_is_refused(setting):
    """A freeze says which epoch it is for, and it must be the one that the hospital is in."""
    with pytest.raises(Rejected, match="wrong-epoch: a freeze of 8, not 7"):
        setting.read(freeze(8, setting.keys))


def test_a_key_of_another_epoch_is_refused(setting):
    """A hospital's key of an earlier epoch cannot be put into this one."""
    keys = [*setting.keys[:4], setting.key(setting.members.names[4], number=6)]
    with pytest.raises(Rejected, match="wrong-epoch: a key for 6, not 7"):
        setting.read(freeze(7, keys))


def test_a_key_of_another_roster_is_refused(setting):
    """A key that was signed under another roster is not accepted under this one."""
    keys = [*setting.keys[:4], setting.key(setting.members.names[4], roster_digest=b"o" * 32)]
    with pytest.raises(Rejected, match="stale-roster"):
        setting.read(freeze(7, keys))


def test_a_key_of_another_federation_is_refused(setting):
    """A body that names another federation is refused although its signature holds."""
    keys = [*setting.keys[:4], setting.body(setting.members.names[4], federation="other")]
    with pytest.raises(Rejected, match="wrong-federation"):
        setting.read(freeze(7, keys))


def test_a_key_that_its_hospital_did_not_sign_is_refused(setting):
    """The coordinator cannot put a key of its own under a hospital's name."""
    first, *rest = setting.members.names
    forged = setting.key(first, key=setting.members.identities[rest[0]], exchange=ExchangeKey.from_seed(b"o" * 32))
    with pytest.raises(Rejected, match="bad-signature"):
        setting.read(freeze(7, [forged, *setting.keys[1:]]), own=None)


def test_a_signed_object_of_another_kind_is_no_key(setting):
    """A signature that the hospital gave for something else does not make an epoch key."""
    name = setting.members.names[4]
    body = setting.keys[4].body
    other = sign(setting.members.identities[name], kind="confirmation", signer=name, federation="test", body=body)
    for kind in ("confirmation", KIND):
        other.kind = kind
        with pytest.raises(Rejected, match=r"malformed|bad-signature"):
            setting.read(freeze(7, [*setting.keys[:4], other]))


def test_a_member_that_is_not_on_the_roster_is_refused(setting, hospitals):
    """Nobody is in the freeze whom the registrar does not know."""
    invented = setting.key("h00009", key=hospitals.identity("h00009"), exchange=ExchangeKey.from_seed(b"i" * 32))
    with pytest.raises(Rejected, match="unknown-member"):
        setting.read(freeze(7, [*setting.keys, invented]))


def test_only_hospitals_are_in_a_freeze(setting, hospitals):
    """The coordinator, though on the roster, cannot add itself."""
    own = setting.key("coordinator", key=hospitals.identity("coordinator"), exchange=ExchangeKey.from_seed(b"c" * 32))
    with pytest.raises(Rejected, match="wrong-role"):
        setting.read(freeze(7, [own, *setting.keys]))


def test_a_hospital_is_in_the_freeze_once(setting):
    """Two keys of one hospital are refused."""
    second = setting.key(setting.members.names[4], exchange=ExchangeKey.from_seed(b"2" * 32))
    with pytest.raises(Rejected, match="malformed: members of the freeze"):
        setting.read(freeze(7, [*setting.keys, second]))


def test_a_freeze_is_sorted(setting):
    """One list has one spelling, so one digest."""
    with pytest.raises(Rejected, match="malformed: members of the freeze"):
        setting.read(Freeze(epoch=7, keys=setting.keys[::-1]))


def test_two_hospitals_do_not_have_one_key(setting):
    """A corrupt hospital cannot pass another's exchange key off as its own."""
    first, second, *_ = setting.members.names
    copied = setting.key(second, exchange=setting.exchange[first])
    with pytest.raises(Rejected, match="malformed: two hospitals with one exchange key"):
        setting.read(freeze(7, [setting.keys[0], copied, *setting.keys[2:]]))


def test_the_own_key_is_in_the_freeze(setting):
    """A hospital that is left out, or whose key is not the one it sent, takes no part."""
    first = setting.members.names[0]
    with pytest.raises(Rejected, match="not-in-freeze"):
        setting.read(freeze(7, setting.keys[1:]))
    with pytest.raises(Rejected, match="not-in-freeze"):
        setting.read(own=(first, setting.exchange[setting.members.names[1]].public))


def test_too_few_keys_are_refused(setting):
    """Two hospitals make no epoch, nor as many as could all be corrupt."""
    with pytest.raises(Rejected, match="too-few-nodes"):
        setting.read(freeze(7, setting.keys[:2]))


def test_an_oversized_freeze_is_refused(setting, monkeypatch):
    """A list longer than any roster is refused before its signatures are checked."""
    monkeypatch.setattr(checks, "MOST_MEMBERS", 4)
    with pytest.raises(Rejected, match="oversized: members of the freeze"):
        setting.read()


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_an_exchange_key_has_32_bytes(setting, length):
    """Any other length is refused."""
    bad = setting.body(setting.members.names[4], exchange_key=bytes(length))
    with pytest.raises(Rejected, match="malformed: exchange key has"):
        setting.read(freeze(7, [*setting.keys[:4], bad]))


def test_a_body_that_does_not_parse_is_refused(setting):
    """Signed garbage is refused."""
    name = setting.members.names[4]
    bad = sign(setting.members.identities[name], kind=KIND, signer=name, federation="test", body=b"\xff\xff")
    with pytest.raises(Rejected, match="malformed: EpochKey"):
        setting.read(freeze(7, [*setting.keys[:4], bad]))


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_partner_key_of_small_order_is_refused(setting, point):
    """A key that forces a constant secret enters no freeze, and no edge is derived from one."""
    bad = setting.body(setting.members.names[4], exchange_key=point)
    with pytest.raises(Rejected, match="malformed: an exchange key of small order"):
        read_key(bad, number=7, roster=setting.members.roster, roster_digest=setting.members.roster_digest)
    epoch = setting.read()
    spoilt = replace(epoch, exchange_keys=(*epoch.exchange_keys[:4], point))
    with pytest.raises(Rejected, match="malformed: exchange key"):
        edges(spoilt, 0, setting.exchange[epoch.members[0]])


def test_everything_that_was_frozen_is_in_the_digest(setting, hospitals):
    """Another key, member, number, roster or pulse makes another E."""
    names = setting.members.names
    fresh = setting.key(names[4], exchange=ExchangeKey.from_seed(b"f" * 32))
    other = hospitals.federation(5, version=2)
    keys = [setting.key(name, roster=other.roster, roster_digest=other.roster_digest) for name in names]
    later = [setting.key(name, number=8) for name in names]
    digests = {
        setting.read().digest,
        setting.read(freeze(7, [*setting.keys[:4], fresh])).digest,
        setting.read(freeze(7, setting.keys[:4])).digest,
        setting.read(freeze(7, setting.keys, b"pulse")).digest,
        setting.read(freeze(8, later), number=8).digest,
        setting.read(freeze(7, keys), roster=other.roster, roster_digest=other.roster_digest).digest,
    }
    assert len(digests) == 6


def test_both_ends_derive_equal_keys(setting):
    """What one end sends with, the other receives with; each pair, direction, slot and epoch has keys of its own."""
    epoch = setting.read()
    known = [edges(epoch, own, setting.exchange[name]) for own, name in enumerate(epoch.members)]
    seen = set()
    for one in range(5):
        for other in range(one):
            here, there = known[one][other], known[other][one]
            assert (here.seeds, here.sending, here.receiving) == (there.seeds, there.receiving, there.sending)
            assert here.seed(3) == there.seed(3) != here.seed(4)
            assert sign_of(one, other) == -sign_of(other, one)
            seen |= {here.seeds, here.sending, here.receiving, here.seed(3)}
    assert len(seen) == 4 * 10
    again = edges(replace(epoch, digest=b"e" * 32), 0, setting.exchange[epoch.members[0]])
    assert not {again[1].seeds, again[1].sending, again[1].receiving} & seen


def test_no_secret_shows_in_the_text_form_of_a_value(hospitals):
    """Keys and key shares are in no text form, so none reaches a log or a traceback."""
    coordinator = hospitals.quick_hospitals(3, "text form")
    coordinator.deposit(1)
    hospital = coordinator.at(0)
    hospital.announce(coordinator.announced(1))
    masked = hospital.upload(1, lambda: np.zeros(1, dtype=np.uint64))
    edge, own = hospital.edges[1], hospital.own[1]
    texts = repr((edge, own, masked, hospital.exchange))
    for secret in (edge.seeds, edge.sending, edge.receiving, own.slot_share, own.self_share):
        assert repr(secret) not in texts


def test_the_star_links_everybody_to_the_committee(setting):
    """A committee member masks with all others, anyone else with the committee."""
    drawn = replace(setting.read(), committee=(1, 3))
    assert drawn.partners(1) == (0, 2, 3, 4)
    assert drawn.partners(0) == (1, 3)
    assert {(one, other) for one in range(5) for other in drawn.partners(one)} == {
        (other, one) for one in range(5) for other in drawn.partners(one)
    }


def test_the_committee_is_drawn_from_freeze_and_pulse(hospitals):
    """Above 150 hospitals another pulse draws another committee; its members are among the witnesses."""
    drawn = [hospitals.epoch_only(160, pulse) for pulse in (b"one", b"two")]
    for epoch in drawn:
        assert len(epoch.committee) == epoch.parameters.committee < 160
        assert set(epoch.committee) < set(epoch.witnesses) == set(range(160))
        assert epoch.point[epoch.committee[0]] == 1
    assert drawn[0].committee != drawn[1].committee
    assert drawn[0].digest != drawn[1].digest
    assert hospitals.epoch_only(160).committee == tuple(range(160))


def test_witnesses_are_drawn_above_512(hospitals):
    """Committee and witnesses are beginnings of one permutation, so every committee member is a witness."""
    epoch = hospitals.epoch_only(520, b"pulse")
    assert len(epoch.witnesses) == epoch.parameters.witnesses < 520
    assert len(epoch.committee) == epoch.parameters.committee
    assert set(epoch.committee) < set(epoch.witnesses)


def test_a_permutation_is_uniform():
    """Over many seeds every order of four is equally frequent (chi-square, level 1e-6), and a seed has one order."""
    counts = Counter(permutation(seed.to_bytes(32, "big"), 4) for seed in range(6000))
    assert len(counts) == 24
    assert stats.chisquare(list(counts.values())).pvalue > 1e-6
    assert sorted(permutation(b"s" * 32, 1000)) == list(range(1000))
    assert permutation(b"s" * 32, 1000) == permutation(b"s" * 32, 1000)


def test_a_draw_beyond_the_largest_multiple_is_drawn_again(monkeypatch):
    """Where the generator gives a number that would favour some places, the next one is taken."""
    from protocols.farrsum import beacon

    draws = [b"\xff" * 8, (5).to_bytes(8, "big"), (1).to_bytes(8, "big")]

    class Scripted:
        def __init__(self, *_, **__):
            pass

        def encryptor(self):
            return self

        def update(self, _):
            return draws.pop(0)

    monkeypatch.setattr(beacon, "Cipher", Scripted)
    assert permutation(bytes(32), 3) == (0, 1, 2)
    assert draws == []


@pytest.mark.parametrize("inside", [False, True])
def test_a_key_that_would_swell_the_freeze_is_refused(hospitals, inside):
    """Unknown fields in what a hospital signs or around it: the freeze goes to everybody in one message."""
    setting = Setting(hospitals)
    name = setting.members.names[1]
    unknown = b"\xba\x3e\x80\x80\x01" + bytes(1 << 14)
    key = setting.keys[1]
    if inside:
        body = key.body + unknown
        key = sign(setting.members.identities[name], kind=KIND, signer=name, federation="test", body=body)
    else:
        key = Signed.FromString(key.SerializeToString() + unknown)
    with pytest.raises(Rejected, match="oversized"):
        read_key(key, number=7, roster=setting.members.roster, roster_digest=setting.members.roster_digest)
