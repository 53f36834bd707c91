import hashlib
import time
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farr.cli.main import main
from farr.errors import FarrError
from farr.membership import keys
from farr.registrar import admit as visits
from farr.registrar.admission import decide, note_published, publication, revoke
from farr.registrar.ca import Authority, found
from farr.registrar.founding import at_work
from farr.registrar.tokens import withdraw
from protocols import joining, token
from protocols.credentials import SERVER_NAME
from protocols.errors import Rejected
from protocols.wire_pb2 import Application as ApplicationMessage
from protocols.wire_pb2 import Applications, JoinToken, Nothing, Publication, Role, SignedApplication
from queries.errors import QueryError
from tests.farr import parties
from tests.farr.parties import NOW, application, invite

DAY = 86_400


@pytest.fixture
def registrar(tmp_path):
    """A registrar whose federation was just founded."""
    parties.found(tmp_path)
    with at_work(tmp_path / "r") as registrar:
        yield registrar


def members(registrar):
    """Return the ids on the newest roster."""
    return list(registrar.roster()[1].by_id)


def refusal(registrar, *applications, now=NOW):
    """Return the code of the one application that is refused; nothing may have changed."""
    before = registrar.registry.roster()
    decision = decide(registrar, applications, now=now)
    assert decision.admitted == ()
    assert registrar.registry.roster() == before
    (refused,) = decision.refused
    return refused.code


# --- the CA


def certificate(role, **fields):
    """Return a new CA's certificate and one that it issued."""
    authority = found("stroke", keys.new_tls_key(), now=NOW)
    issued = authority.issue("st-mary", role, keys.new_tls_key().public_key(), now=NOW, **fields)
    return x509.load_der_x509_certificate(authority.certificate), x509.load_der_x509_certificate(issued)


@pytest.mark.parametrize("role", [Role.ROLE_COORDINATOR, Role.ROLE_NODE, Role.ROLE_ANALYST, Role.ROLE_REGISTRAR])
def test_only_the_coordinators_certificate_serves(role):
    """One certificate carries the server's name and usage, no other does, and none may issue certificates."""
    ca, issued = certificate(role)
    issued.verify_directly_issued_by(ca)
    serves = role == Role.ROLE_COORDINATOR
    usages = list(issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert usages == [ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH]
    names = [found for found in issued.extensions if isinstance(found.value, x509.SubjectAlternativeName)]
    assert [name.value.get_values_for_type(x509.DNSName) for name in names] == ([[SERVER_NAME]] if serves else [])
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not issued.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_a_certificate_lives_as_long_as_stated_and_never_longer_than_its_ca():
    """398 days by default, with one skew of grace at its beginning, and cut at the CA's own end."""
    ca, issued = certificate(Role.ROLE_NODE)
    assert issued.not_valid_before_utc.timestamp() == NOW - 300
    assert issued.not_valid_after_utc.timestamp() == NOW + 398 * DAY
    ca, issued = certificate(Role.ROLE_NODE, life=20 * 365 * DAY)
    assert issued.not_valid_after_utc == ca.not_valid_after_utc


# --- founding


def test_a_founding_makes_one_roster_of_two(tmp_path):
    """The first roster names the registrar and the coordinator, under the keys in their folders."""
    held = parties.complete_coordinator(tmp_path, parties.found(tmp_path))
    roster = held.read_roster()
    assert roster.version == 1
    assert {member.id: member.role for member in roster.members} == {
        "coordinator": Role.ROLE_COORDINATOR,
        "registrar": Role.ROLE_REGISTRAR,
    }
    assert roster.coordinator.identity_key == held.credentials.identity.public
    assert roster.by_id["registrar"].identity_key == held.credentials.registrar_key


def test_the_registrars_folder_shows_its_public_key(tmp_path):
    """In the form of a member's home, from the founding on; a folder of an older version has it at the next start."""
    held = parties.complete_coordinator(tmp_path, parties.found(tmp_path))
    shown = tmp_path / "r" / "registrar.pub"
    assert bytes.fromhex(shown.read_text().strip()) == held.credentials.registrar_key
    before = shown.read_bytes()
    shown.unlink()
    with at_work(tmp_path / "r"):
        assert shown.read_bytes() == before


def test_a_founding_repeats_but_does_not_change(tmp_path):
    """Done again it writes the same file; another coordinator or name in the same folder is refused."""
    first = parties.found(tmp_path).read_text()
    assert parties.found_again(tmp_path, name="stroke").read_text() == first
    with pytest.raises(FarrError, match="holds the federation stroke already"):
        parties.found_again(tmp_path, name="heart")


def test_a_coordinators_application_with_a_foreign_key_is_refused(tmp_path):
    """The coordinator must hold the identity key that it names."""
    body = parties.coordinator_body(tmp_path)
    message = ApplicationMessage.FromString(body)
    message.identity_key = keys.new_identity().public
    with pytest.raises(FarrError) as error:
        parties.found_with(tmp_path, message.SerializeToString())
    assert error.value.code == "bad-signature"


def test_an_admission_serves_its_own_coordinator_only(tmp_path):
    """A coordinator with other keys cannot begin with somebody else's admission."""
    admission = parties.found(tmp_path / "one")
    parties.found(tmp_path / "two")
    with pytest.raises(FarrError):
        parties.complete_coordinator(tmp_path / "two", admission)


# --- tokens


def test_a_token_reads_as_it_was_written(registrar):
    """The line carries what the registrar put in; blanks and line breaks of a mail program do not matter."""
    given_token = invite(registrar, role=Role.ROLE_ANALYST, address="10.0.0.1:7443", days=3)
    line = token.encode(given_token)
    assert line.startswith("farr1.")
    assert line.isprintable()
    assert token.decode(line) == given_token
    folded = "\n ".join(line[at : at + 60] for at in range(0, len(line), 60))
    assert token.decode(f"  {folded}\r\n") == given_token
    assert given_token.expires_at() == NOW + 3 * DAY
    assert given_token.registrar_key == registrar.identity.public
    assert given_token.ca_certificate == registrar.federation.ca


def test_a_damaged_token_is_refused(registrar):
    """A token that was cut or mistyped anywhere is malformed, never a traceback and never another token."""
    line = token.encode(invite(registrar))
    damaged = [line[:at] for at in range(len(line))]
    for letter in "*Aa\u200b":
        # The very last letter holds a few bits that mean nothing.
        damaged += [line[:at] + letter + line[at + 1 :] for at in range(len(line) - 1) if line[at] != letter]
    for each in damaged:
        with pytest.raises(Rejected, match="malformed"):
            token.decode(each)


def test_a_token_put_together_from_pieces_is_refused(registrar):
    """The CA must have issued the certificate, and the key must be the certificate's."""
    good = invite(registrar)
    other = found("stroke", keys.new_tls_key(), now=NOW)
    for fields in (
        {"ca_certificate": other.certificate},
        {"key": invite(registrar, "other").key},
        {"role": Role.ROLE_COORDINATOR},
        {"member": "St Mary"},
        {"key": bytes(32)},
    ):
        said = {name: getattr(good, name) for name in JoinToken.DESCRIPTOR.fields_by_name} | fields
        with pytest.raises(Rejected) as error:
            token.decode(token.encode(token.JoinToken(**said)))
        assert error.value.code == "malformed"


def test_the_registrar_keeps_no_tokens_key(registrar, tmp_path):
    """Whoever reads the registrar's state cannot join with it: a token's private key is nowhere in it."""
    given_token = invite(registrar)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "r").iterdir())
    assert given_token.key not in stored
    assert token.encode(given_token).encode() not in stored
    assert hashlib.sha256(given_token.certificate).digest() in stored


def test_an_invitation_must_fit(registrar):
    """Ids, attributes and labels are checked before a token exists; a member is not invited twice."""
    with pytest.raises(FarrError, match="no name"):
        invite(registrar, "St Mary")
    with pytest.raises(FarrError, match="a member already"):
        invite(registrar, "coordinator")
    with pytest.raises(FarrError, match="its codes: UK, CN"):
        invite(registrar, attributes={"country": "XX"})
    with pytest.raises(QueryError):
        invite(registrar, attributes={"beds": "3"})
    with pytest.raises(FarrError):
        invite(registrar, label_en="a\nb")
    assert registrar.registry.outstanding(NOW) == ()


# --- applications


def test_a_good_application_is_admitted(registrar):
    """The new member is on the next roster as invited, under the keys that it made and the name that was given."""
    given_token = invite(registrar, label_zh="圣玛丽医院", attributes={"country": "UK"})
    identity, tls_key = keys.new_identity(), keys.new_tls_key()
    decision = decide(registrar, [application(given_token, identity=identity, tls_key=tls_key)], now=NOW + 60)
    assert (decision.admitted, decision.refused) == (("st-mary",), ())
    roster = registrar.roster()[1]
    member = roster.by_id["st-mary"]
    assert roster.version == 2
    assert (member.identity_key, member.label_zh, member.role) == (identity.public, "圣玛丽医院", Role.ROLE_NODE)
    assert (dict(member.attributes), member.joined_at) == ({"country": "UK"}, NOW + 60)
    (published,) = publication(registrar).admitted
    issued = x509.load_der_x509_certificate(published.certificate)
    assert [name.value for name in issued.subject] == ["st-mary"]
    assert issued.public_key() == tls_key.public_key()
    assert member.certificate_digest == hashlib.sha256(published.certificate).digest()
    assert member.expires_at == int(issued.not_valid_after_utc.timestamp())


def test_a_token_admits_once(registrar):
    """A second application under a token is refused, in the same visit or later, and does not displace the first."""
    given_token = invite(registrar)
    first, second = application(given_token), application(given_token)
    decision = decide(registrar, [first, second], now=NOW)
    assert decision.admitted == ("st-mary",)
    assert [refused.code for refused in decision.refused] == ["bad-token"]
    assert refusal(registrar, second) == "bad-token"
    (published,) = publication(registrar, decision.refused).admitted
    assert published.certificate
    assert not published.refused


def test_an_application_that_is_repeated_gets_the_same_answer(registrar):
    """A member whose admission was lost on the way gets the same certificate, and no new roster is made."""
    first = application(invite(registrar))
    decide(registrar, [first], now=NOW)
    before = publication(registrar)
    note_published(registrar, before)
    assert not publication(registrar).admitted
    assert decide(registrar, [first], now=NOW).refused == ()
    assert publication(registrar) == before


def test_a_token_expires(registrar):
    """A token is good until its last second and not one longer."""
    given_token = invite(registrar, days=2)
    assert refusal(registrar, application(given_token), now=NOW + 2 * DAY + 1) == "bad-token"
    assert decide(registrar, [application(given_token)], now=NOW + 2 * DAY).admitted == ("st-mary",)


def test_a_new_token_voids_the_one_before(registrar):
    """A token that went astray is void once another one is given for the same member."""
    astray, given_token = invite(registrar), invite(registrar)
    assert refusal(registrar, application(astray)) == "bad-token"
    assert decide(registrar, [application(given_token)], now=NOW).admitted == ("st-mary",)


def test_a_withdrawn_token_admits_nobody(registrar):
    """A token that was taken back is refused, once; one that was used cannot be taken back."""
    astray = invite(registrar)
    assert withdraw(registrar, "st-mary")
    assert not withdraw(registrar, "st-mary")
    assert refusal(registrar, application(astray)) == "bad-token"
    decide(registrar, [application(invite(registrar))], now=NOW)
    assert not withdraw(registrar, "st-mary")
    assert "st-mary" in members(registrar)


def test_a_forged_signature_is_refused(registrar):
    """Whoever knows only the token's public parts cannot apply, and does not use the token up by trying."""
    given_token = invite(registrar)
    assert refusal(registrar, application(given_token, signer=keys.new_tls_key())) == "bad-signature"
    for signature in (b"", b"\x00" * 70, b"no"):
        forged = SignedApplication(body=application(given_token).body, signature=signature)
        assert refusal(registrar, forged) == "bad-signature"
    assert decide(registrar, [application(given_token)], now=NOW).admitted == ("st-mary",)


@pytest.mark.parametrize("field", ["identity_key", "certificate_request"])
def test_a_relay_that_swaps_a_key_is_noticed(registrar, field):
    """The coordinator cannot put a key of its own into an application, nor any other byte."""
    honest = application(invite(registrar))
    message = ApplicationMessage.FromString(honest.body)
    own = {"identity_key": keys.new_identity().public, "certificate_request": request_of(keys.new_tls_key())}
    setattr(message, field, own[field])
    swapped = SignedApplication(body=message.SerializeToString(), signature=honest.signature)
    assert refusal(registrar, swapped) == "bad-signature"


def test_no_byte_of_an_application_can_be_changed(registrar):
    """Any flipped bit of the body or the signature is noticed."""
    honest = application(invite(registrar))
    for at in range(0, len(honest.body), 7):
        body = bytearray(honest.body)
        body[at] ^= 1
        assert refusal(registrar, SignedApplication(body=bytes(body), signature=honest.signature)) in {
            "bad-signature", "malformed", "bad-token",
        }  # fmt: skip


def request_of(key):
    """Return a certificate request for a key."""
    return keys.certificate_request(key, "x")


def test_keys_that_the_applicant_does_not_hold_are_refused(registrar):
    """A token's holder cannot enter another party's signing key or TLS key under his own name."""
    given_token, victim = invite(registrar), keys.new_identity()
    honest = ApplicationMessage.FromString(application(given_token).body)
    honest.identity_key = victim.public
    stolen = joining.sign(honest.SerializeToString(), given_token.private_key())
    assert refusal(registrar, stolen) == "bad-signature"
    request = bytearray(request_of(keys.new_tls_key()))
    request[-1] ^= 1
    assert refusal(registrar, made_with(given_token, bytes(request))) in {"bad-signature", "malformed"}


def test_a_certificate_request_of_an_unknown_version_is_refused(registrar):
    """The library has an error of its own for it; it must not end the registrar's visit, nor any later one."""
    given_token = invite(registrar)
    request = request_of(keys.new_tls_key()).replace(b"\x02\x01\x00", b"\x02\x01\x01", 1)
    assert refusal(registrar, made_with(given_token, request)) == "malformed"


def made_with(given_token, request):
    """Apply with any bytes as the certificate request."""
    return application(given_token, request=request)


def other_request(key, algorithm):
    """Return a request for a key that is no P-256 key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"not a request",
        other_request(ec.generate_private_key(ec.SECP384R1()), SHA256()),
        other_request(ed25519.Ed25519PrivateKey.generate(), None),
    ],
    ids=["empty", "garbage", "P-384", "Ed25519"],
)
def test_only_a_p256_request_is_accepted(registrar, request_bytes):
    """A certificate is issued for P-256 keys only; anything else is malformed."""
    assert refusal(registrar, made_with(invite(registrar), request_bytes)) == "malformed"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"federation": "heart"}, "wrong-federation"),
        ({"federation": ""}, "wrong-federation"),
        ({"role": Role.ROLE_ANALYST}, "wrong-role"),
        ({"role": Role.ROLE_REGISTRAR}, "wrong-role"),
        ({"id": "other"}, "bad-token"),
        ({"id": "coordinator"}, "bad-token"),
        ({"id": "No Name"}, "malformed"),
        ({"token": bytes(32)}, "bad-token"),
    ],
)
def test_a_token_admits_only_whom_it_was_made_for(registrar, fields, code):
    """Federation, role and id are the token's, not the applicant's choice."""
    assert refusal(registrar, application(invite(registrar), **fields)) == code


def test_a_token_does_not_displace_a_member(registrar):
    """Even a token that names a member, which none should, admits nobody in its place."""
    decide(registrar, [application(invite(registrar))], now=NOW)
    given_token = invite(registrar, "other")
    grant = registrar.registry.grant(hashlib.sha256(given_token.certificate).digest())
    registrar.registry.add_grant(replace(grant, member="st-mary", token=bytes(32)))
    signed = application(given_token, id="st-mary", token=bytes(32))
    assert refusal(registrar, signed) == "bad-token"


def test_a_foreign_federations_token_is_refused(registrar, tmp_path):
    """A token of another federation, even one of the same name, admits nobody."""
    parties.found(tmp_path / "other")
    with at_work(tmp_path / "other" / "r") as other:
        assert refusal(registrar, application(invite(other))) == "bad-token"


def test_one_key_is_one_member(registrar):
    """A signing key serves one member: neither in one visit nor later can it stand for two hospitals."""
    identity = keys.new_identity()
    one, two, three = (application(invite(registrar, name), identity=identity) for name in ("one", "two", "three"))
    decision = decide(registrar, [one, two], now=NOW)
    assert (decision.admitted, [refused.code for refused in decision.refused]) == (("one",), ["key-in-use"])
    assert refusal(registrar, three) == "key-in-use"
    assert refusal(registrar, application(invite(registrar, "four"), identity=registrar.identity)) == "key-in-use"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=400), signature=st.binary(max_size=80))
def test_garbage_is_refused_and_changes_nothing(registrar, body, signature):
    """Whatever the coordinator hands over, it is refused with a code."""
    refusal(registrar, SignedApplication(body=body, signature=signature))


def test_an_oversized_application_is_refused(registrar):
    """An application is small; a large one is not even parsed."""
    assert refusal(registrar, SignedApplication(body=bytes(100_000))) == "oversized"


# --- rosters


def test_rosters_grow_by_one_version_a_visit(registrar):
    """All who are admitted in one visit are on one new roster; a visit that admits nobody makes none."""
    waiting = [application(invite(registrar, f"site-{number}")) for number in range(5)]
    decide(registrar, waiting[:3], now=NOW)
    assert registrar.roster()[1].version == 2
    decide(registrar, [], now=NOW)
    assert registrar.roster()[1].version == 2
    decide(registrar, waiting[3:], now=NOW)
    assert registrar.roster()[1].version == 3
    assert members(registrar) == ["coordinator", "registrar", *(f"site-{number}" for number in range(5))]


def test_a_revoked_member_is_gone(registrar):
    """It is on no later roster, its old token does not bring it back, and a new one does under new keys."""
    given_token = invite(registrar)
    first = application(given_token)
    decide(registrar, [first], now=NOW)
    assert revoke(registrar, "st-mary", now=NOW).version == 3
    assert "st-mary" not in members(registrar)
    assert refusal(registrar, first) == "bad-token"
    assert refusal(registrar, application(given_token)) == "bad-token"
    decide(registrar, [application(invite(registrar, "other"))], now=NOW)
    assert "st-mary" not in members(registrar)
    decide(registrar, [application(invite(registrar))], now=NOW)
    assert "st-mary" in members(registrar)


@pytest.mark.parametrize("member", ["coordinator", "registrar", "nobody"])
def test_a_federation_keeps_its_two_founders(registrar, member):
    """Neither the coordinator nor the registrar can be revoked, nor somebody who is not there."""
    with pytest.raises(FarrError):
        revoke(registrar, member, now=NOW)
    assert registrar.roster()[1].version == 1


# --- visits


# ruff: noqa: N802 - the methods of a service are called as in wire.proto
class Coordinator:
    """Stands in for the coordinator's service: holds what waits, remembers what was published."""

    def __init__(self, *waiting):
        self.waiting = list(waiting)
        self.published = []
        self.fails = False

    def Waiting(self, message, timeout):
        """Hand out what waits."""
        assert message == Nothing()
        return Applications(waiting=self.waiting)

    def Publish(self, message, timeout):
        """Take a publication, or break off."""
        if self.fails:
            raise ConnectionError
        self.published.append(Publication.FromString(message.SerializeToString()))
        settled = {admitted.token for admitted in message.admitted}
        self.waiting = [each for each in self.waiting if joining.token_of(each) not in settled]
        return Nothing()


@pytest.fixture
def visit(registrar, monkeypatch):
    """Return a function that visits a stand-in for the coordinator."""

    def go(coordinator, **fields):
        monkeypatch.setattr(visits, "MembershipStub", lambda _channel: coordinator)
        return visits.admit(registrar, clock=lambda: float(NOW), sleep=lambda _seconds: None, **fields)

    return go


def test_a_visit_publishes_all_admissions_at_once(registrar, visit):
    """One publication carries the new roster, every certificate, every refusal, and the catalogue."""
    waiting = [application(invite(registrar, f"site-{number}")) for number in range(3)]
    bad = application(invite(registrar, "forged"), signer=keys.new_tls_key())
    coordinator = Coordinator(*waiting, bad)
    outcome = visit(coordinator)
    (published,) = coordinator.published
    assert outcome.admitted == ("site-0", "site-1", "site-2")
    assert [(each.member, each.code) for each in outcome.refused] == [("forged", "bad-signature")]
    assert published.roster == registrar.registry.roster()
    assert published.catalogue == parties.CATALOGUE
    assert sorted(bool(admitted.certificate) for admitted in published.admitted) == [False, True, True, True]
    assert coordinator.waiting == []


def test_a_crash_between_saving_and_publishing_is_healed_by_the_next_visit(tmp_path, monkeypatch):
    """The decision is durable before the coordinator hears of it, and the next visit publishes the very same."""
    parties.found(tmp_path)
    with at_work(tmp_path / "r") as registrar:
        coordinator = Coordinator(application(invite(registrar)))
        monkeypatch.setattr(visits, "MembershipStub", lambda _channel: coordinator)
        coordinator.fails = True
        with pytest.raises(ConnectionError):
            visits.admit(registrar, clock=lambda: float(NOW))
    with at_work(tmp_path / "r") as registrar:
        assert "st-mary" in members(registrar)
        saved = publication(registrar)
        coordinator.fails, coordinator.waiting = False, []
        outcome = visits.admit(registrar, clock=lambda: float(NOW))
    assert coordinator.published == [saved]
    assert (outcome.admitted, outcome.version) == (("st-mary",), 2)


def test_a_visit_waits_for_as_many_as_it_is_told(registrar, visit):
    """With --wait the visits go on until so many were admitted, and end when no token is left."""
    late = application(invite(registrar, "late"))

    class Slow(Coordinator):
        """Has one application at first and the other after a while."""

        visits = 0

        def Waiting(self, message, timeout):
            """Hand out what waits by now."""
            self.visits += 1
            if self.visits == 3:
                self.waiting.append(late)
            return super().Waiting(message, timeout)

    coordinator = Slow(application(invite(registrar, "early")))
    assert visit(coordinator, wait=2).admitted == ("early", "late")
    assert len(coordinator.published) == 2
    assert visit(Coordinator(), wait=5).admitted == ()


def test_a_visit_names_those_who_did_not_come(registrar, visit):
    """When the time is up, the error says how many came and who did not."""
    invite(registrar, "absent")
    with pytest.raises(FarrError, match="absent") as error:
        visit(Coordinator(application(invite(registrar))), wait=2, timeout=0.0)
    assert error.value.code == "not-all"
    assert "st-mary" in members(registrar)


def test_an_authority_does_not_show_its_key():
    """The CA's key is not in the text form of the authority."""
    assert "key" not in repr(Authority(certificate=b"", key=keys.new_tls_key()))


@pytest.mark.parametrize("name", ["ca.key", "tls.key", "identity.key", "registrar.sqlite"])
def test_a_damaged_folder_is_called_so(tmp_path, name):
    """Each file that a backup restored badly is named, in words instead of a library's."""
    parties.found(tmp_path)
    for file in (tmp_path / "r").glob("registrar.sqlite-*"):
        file.unlink()
    (tmp_path / "r" / name).write_bytes(b"\xffjunk")
    with pytest.raises(FarrError, match=name) as found_out, at_work(tmp_path / "r"):
        pass
    assert found_out.value.code == "damaged-home"


@pytest.mark.parametrize("member", ["St Mary", "", "x" * 65, "-x"])
def test_a_name_that_is_none_is_told_with_its_form(registrar, member):
    """Whoever wrote it reads what a name looks like, not that two versions may differ."""
    with pytest.raises(FarrError, match="a-z 0-9") as refused:
        invite(registrar, member)
    assert refused.value.code == "name"


def test_a_token_that_could_not_be_written_voids_none(tmp_path, capsys):
    """The folder is looked for first: the token that was handed out before is still good."""
    parties.found(tmp_path, now=int(time.time()))
    with at_work(tmp_path / "r") as office:
        invite(office, now=int(time.time()))
        before = office.registry.outstanding(0)
    arguments = ["registrar", "token", "--home", str(tmp_path / "r"), "--node", "st-mary", "--out"]
    assert main([*arguments, str(tmp_path / "no" / "x.token")], {}) == 1
    assert f"{tmp_path / 'no'}: there is no such folder" in capsys.readouterr().err
    with at_work(tmp_path / "r") as office:
        assert office.registry.outstanding(0) == before
