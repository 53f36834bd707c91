"""The coordinator's certificate is renewed after its end, by two files that a person carries."""

import hashlib
import json
import shutil
import time
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from farr.cli.main import main
from farr.errors import FarrError
from farr.membership import coordinating, home, keys, renewing
from farr.membership.coordinating import CoordinatorAdmission, read_renewal
from farr.registrar.admit import admit
from farr.registrar.ca import DAY
from farr.registrar.carried import renew_coordinator
from farr.registrar.founding import at_work
from protocols import joining
from protocols.wire_pb2 import Role
from tests.farr import parties
from tests.farr.parties import invite


@pytest.fixture
def ended(tmp_path):
    """A federation whose coordinator's certificate ended yesterday; the folders are r and c."""
    long_ago = int(time.time()) - 399 * DAY
    admission = parties.found(tmp_path, now=long_ago, address=parties.free_address())
    parties.complete_coordinator(tmp_path, admission, now=long_ago)
    return tmp_path


def renewal_of(held, tls, identity, **fields):
    """Return an application for a new certificate of the coordinator, with whatever is wrong about it."""
    present = x509.load_pem_x509_certificate(held.credentials.certificate).public_bytes(Encoding.DER)
    said = {
        "federation": held.credentials.federation,
        "id": "coordinator",
        "role": Role.ROLE_COORDINATOR,
        "identity_key": identity.public,
        "certificate_request": keys.certificate_request(keys.new_tls_key(), "coordinator"),
        "token": hashlib.sha256(present).digest(),
        **fields,
    }
    return joining.sign(joining.write(joining.Application(**said), identity), tls)


def issue(folder, signed):
    """Renew at the registrar."""
    with at_work(folder / "r") as registrar:
        return renew_coordinator(registrar, folder / "r", signed, now=int(time.time()))


def test_an_ended_certificate_is_renewed_by_hand_and_the_federation_goes_on(ended, capsys):
    """The commands of docs/registrar.md; then the registrar can call again, which it could not before."""
    before = home.read(ended / "c").credentials
    assert main(["coordinator", "serve", "--home", str(ended / "c")], {}) == 1
    assert "--by-hand" in capsys.readouterr().err

    def run(*arguments):
        """Run a command twice, which is as good as once, and return what it says."""
        for _ in range(2):
            assert main([*map(str, arguments), "--json"], {}) == 0
            said = json.loads(capsys.readouterr().out)
        return said

    with pytest.raises(FarrError, match="ended") as refused:
        renewing.renew(ended / "c", timeout=0)
    assert "--by-hand" in refused.value.remedy
    carried = run("coordinator", "renew", "--home", ended / "c", "--by-hand")["renewal"]
    back = run("registrar", "renew", "--home", ended / "r", "--coordinator", carried)["admission"]
    assert run("coordinator", "renew", "--home", ended / "c", "--admission", back)["certificate_days"] > 390
    held = home.read(ended / "c")
    assert held.credentials.identity.public == before.identity.public
    assert held.credentials.tls_key != before.tls_key
    assert held.read_roster().coordinator.expires_at > time.time() + 390 * DAY
    with parties.running(held, ended), at_work(ended / "r") as registrar:
        assert admit(registrar).refused == ()
        # Its next renewal is as any other.
        carry = renewing.through_state(ended / "c")
        with pytest.raises(FarrError, match="not renewed"):
            renewing.renew(ended / "c", carry=carry, timeout=0)
        assert admit(registrar).renewed == ("coordinator",)
        assert (
            renewing.renew(ended / "c", carry=carry, timeout=0).credentials.certificate != held.credentials.certificate
        )


def test_nobody_else_is_renewed_by_hand(ended):
    """Another key, member, federation or role, an earlier application, another member's: refused, nothing changes."""
    held = home.read(ended / "c")
    tls, identity = keys.from_pem(held.credentials.tls_key), held.credentials.identity
    false = {
        "bad-signature": renewal_of(held, keys.new_tls_key(), identity),
        "wrong-role": renewal_of(held, tls, keys.new_identity()),
        "wrong-federation": renewal_of(held, tls, identity, federation="heart"),
        "bad-token": renewal_of(held, tls, identity, token=bytes(32)),
    }
    with at_work(ended / "r") as registrar:
        roster = registrar.registry.roster()
        member = parties.application(invite(registrar, now=int(time.time())))
    for code, signed in {**false, "bad-token": member}.items():
        with pytest.raises(FarrError) as refused:
            issue(ended, signed)
        assert refused.value.code == code
    with pytest.raises(FarrError):
        issue(ended, false["bad-token"])
    with at_work(ended / "r") as registrar:
        assert registrar.registry.roster() == roster
    first = read_renewal(renewing.ask_by_hand(ended / "c"))
    renewing.take_by_hand(ended / "c", CoordinatorAdmission.from_file(issue(ended, first)), now=int(time.time()))
    second = read_renewal(renewing.ask_by_hand(ended / "c"))
    renewing.take_by_hand(ended / "c", CoordinatorAdmission.from_file(issue(ended, second)), now=int(time.time()))
    with pytest.raises(FarrError) as refused:
        issue(ended, first)
    assert refused.value.code == "bad-token"


def test_a_false_admission_changes_nothing(ended):
    """The founding's file, another's certificate or roster, or one without an application: the home stays as it was."""
    before = home.read(ended / "c").credentials.certificate
    founding = CoordinatorAdmission.from_file(ended / "r" / coordinating.ADMISSION)
    renewal = renewing.ask_by_hand(ended / "c")
    good = CoordinatorAdmission.from_file(issue(ended, read_renewal(renewal)))
    for false in (
        replace(good, certificate=founding.ca_certificate),
        replace(good, roster=founding.roster),
        replace(good, catalogue=b""),
    ):
        with pytest.raises(FarrError):
            renewing.take_by_hand(ended / "c", false, now=int(time.time()))
        assert home.read(ended / "c").credentials.certificate == before
    assert renewing.take_by_hand(ended / "c", founding, now=int(time.time())).credentials.certificate == before
    after = renewing.take_by_hand(ended / "c", good, now=int(time.time())).credentials.certificate
    assert after == keys.certificate_pem(good.certificate)
    assert not renewal.exists()
    with pytest.raises(FarrError, match="no renewal"):
        renewing.take_by_hand(ended / "c", founding, now=int(time.time()))
    renewal.write_text("{}")
    with pytest.raises(FarrError, match="by-hand"):
        read_renewal(renewal)


def test_a_coordinator_from_an_old_backup_is_told_which_one_it_needs(ended):
    """What it applies with was renewed already, and the key of that renewal is not in the backup."""
    shutil.copytree(ended / "c", ended / "backup")
    signed = read_renewal(renewing.ask_by_hand(ended / "c"))
    before = issue(ended, signed).read_bytes()
    with pytest.raises(FarrError) as refused:
        issue(ended, read_renewal(renewing.ask_by_hand(ended / "backup")))
    assert refused.value.code == "other-key"
    assert issue(ended, signed).read_bytes() == before


def test_an_ended_certificate_does_not_renew_over_the_network(ended):
    """What waits at the coordinator is decided upon as before, whoever wrote it there."""
    from farr.registrar.admission import decide

    signed = read_renewal(renewing.ask_by_hand(ended / "c"))
    with at_work(ended / "r") as registrar:
        assert [each.code for each in decide(registrar, [signed], now=int(time.time())).refused] == [
            "expired-certificate"
        ]


def test_only_a_coordinator_asks_by_hand(ended):
    """Another member is told so, and nothing of its home is changed; a folder that is nobody's home, too."""
    held = home.read(ended / "c")
    home.write(ended / "n", replace(held, credentials=replace(held.credentials, role=Role.ROLE_NODE)))
    for folder, code in (("n", "wrong-role"), ("nobody", "no-member")):
        with pytest.raises(FarrError) as refused:
            renewing.ask_by_hand(ended / folder)
        assert refused.value.code == code
    assert not (ended / "n" / home.RENEWING).exists()
