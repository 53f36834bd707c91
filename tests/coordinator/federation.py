"""A federation for the tests: a CA, certificates, a catalogue, hospitals and analysts that speak to a real server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coordinator.serve import serve
from coordinator.settings import CoordinatorSettings
from protocols import PROTOCOL_VERSION, announcement, blobs, checks, joining, ring, upload
from protocols import release as releases
from protocols import request as requests
from protocols import roster as rosters
from protocols.credentials import Credentials
from protocols.farrsum import epoch as epochs
from protocols.farrsum import seat as seats
from protocols.farrsum.epoch import ExchangeKey
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.unmasking import OwnShares
from protocols.mandate import Mandate
from protocols.request import Request
from protocols.roster import Member, Roster
from protocols.signing import IdentityKey
from protocols.upload import Upload
from protocols.wire_pb2 import Announcement as AnnouncementMessage
from protocols.wire_pb2 import (
    BlobOffer,
    BlobPart,
    BlobWanted,
    CoordinatorMessage,
    Deposits,
    Hello,
    NodeMessage,
    NodeStatus,
    Nothing,
    Publication,
    Refusal,
    RequestId,
    Role,
    Signed,
    State,
)
from protocols.wire_pb2 import Upload as UploadMessage
from protocols.wire_pb2_grpc import AnalystsStub, BlobsStub, MembershipStub, NodesStub
from queries.agreed.catalogue_file import read_catalogue
from queries.asked.canonical import encode
from queries.asked.plan import EVERYTHING, Aggregate, Bound, CodeKey
from tests.queries.whole import altered, whole

NAME = "harbour"
SOON = 60.0
"""Seconds after which a test gives up waiting for what should happen at once."""

CATALOGUE = b"""
name = "harbour"
version = "1"
sites_per_patient = 1
rows_per_site = 1_000_000
[tables.stay]
patient = "patient_id"
rows_per_patient = 2
[tables.stay.columns.sex]
codes = ["F", "M"]
[tables.stay.columns.died]
codes = ["Y", "N", "U"]
"""

HOSPITALS = ("aden", "brest", "cork", "delft", "essen")
"""Five: one may be feared to collude, one may drop out, three are honest in any sum."""

NEEDED = 4
"""m: fewest of the five for a sum."""


def mandate(**changes):
    """Return what every analyst may ask: everything, for one of two purposes."""
    value = Mandate(authority="nation", purposes=("statistics", "test"), expires_at=int(time.time()) + 86400)
    return replace(value, **changes)


def seed_of(id_):
    """Return the seed of a party's identity key."""
    return hashlib.sha256(id_.encode()).digest()


@dataclass(frozen=True)
class Party:
    """One member, or somebody who would like to be one."""

    id: str
    role: Role
    identity: IdentityKey
    tls_key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def digest(self):
        """Return the digest that a roster names."""
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).digest()

    @property
    def certificate_pem(self):
        """Return the certificate as gRPC wants it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self):
        """Return the key as gRPC wants it."""
        form = serialization.PrivateFormat.PKCS8
        return self.tls_key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    def member(self, **changes):
        """Return the member as a roster lists it."""
        now = int(time.time())
        member = Member(
            id=self.id,
            role=self.role,
            identity_key=self.identity.public,
            certificate_digest=self.digest,
            label_en=self.id.title(),
            label_zh="",
            attributes={},
            joined_at=now,
            expires_at=now + 86400,
            mandate=mandate() if self.role == Role.ROLE_ANALYST else None,
        )
        return replace(member, **changes)


class Authority:
    """A CA with its registrar."""

    def __init__(self):
        """Make the keys."""
        self.registrar = IdentityKey.from_seed(seed_of("the registrar"))
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{NAME} CA")])
        self.certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self):
        """Return the CA's certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def party(self, id_, role):
        """Make a party's keys and issue its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, id_)])
        builder = self._builder(subject, key.public_key())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        if role == Role.ROLE_COORDINATOR:
            usage = ExtendedKeyUsageOID.SERVER_AUTH
            names = x509.SubjectAlternativeName([x509.DNSName("coordinator.farr")])
            builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        identity = IdentityKey.from_seed(seed_of(id_))
        return Party(id_, role, identity, key, builder.sign(self._key, hashes.SHA256()))

    def _builder(self, subject, key):
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=2))
        )


class Federation:
    """The parties, and what they hold in common."""

    def __init__(self, hospitals=HOSPITALS):
        """Found it."""
        self.authority = Authority()
        roles = {
            "ada": Role.ROLE_ANALYST,
            "bela": Role.ROLE_ANALYST,
            "convener": Role.ROLE_COORDINATOR,
            "office": Role.ROLE_REGISTRAR,
            **dict.fromkeys(hospitals, Role.ROLE_NODE),
        }
        self.parties = {id_: self.authority.party(id_, role) for id_, role in roles.items()}
        self.stranger = self.authority.party("stranger", Role.ROLE_ANALYST)
        self.catalogue = read_catalogue(CATALOGUE, "catalogue.toml")
        self.roster, self.signed_roster = self.issue(version=1)

    def issue(self, *, version, without=(), also=(), catalogue=CATALOGUE, **changed):
        """Return a roster and its signed form; ``changed`` replaces members by id."""
        listed = {id_: party.member() for id_, party in self.parties.items() if id_ not in without}
        listed.update({member.id: member for member in also}, **changed)
        roster = Roster(
            federation=NAME,
            version=version,
            issued_at=int(time.time()),
            catalogue_digest=hashlib.sha256(catalogue).digest(),
            members=tuple(listed[id_] for id_ in sorted(listed)),
        )
        return roster, rosters.write(roster, self.authority.registrar)

    def settings(self, home, **changes):
        """Return the coordinator's settings, impatient ones."""
        convener = self.parties["convener"]
        settings = CoordinatorSettings(
            credentials=Credentials(
                federation=NAME,
                member="convener",
                role=Role.ROLE_COORDINATOR,
                address="127.0.0.1:0",
                ca_certificate=self.authority.pem,
                certificate=convener.certificate_pem,
                tls_key=convener.key_pem,
                identity=convener.identity,
                registrar_key=self.authority.registrar.public,
            ),
            home=home,
            roster=self.signed_roster,
            catalogue=CATALOGUE,
            round_seconds=60,
            grace_seconds=0.2,
            straggler_seconds=20,
            settle_seconds=0.1,
            pace_seconds=0.2,
        )
        return replace(settings, **changes)

    def channel(self, party, address):
        """Dial the coordinator as this party."""
        tls = grpc.ssl_channel_credentials(self.authority.pem, party.key_pem, party.certificate_pem)
        options = [
            ("grpc.ssl_target_name_override", "coordinator.farr"),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", 64 << 20),
            ("grpc.max_receive_message_length", 16 << 20),
        ]
        return grpc.aio.secure_channel(address, tls, options=options)

    def plan(self, **changes):
        """Return a count by sex: two entries. Changes are to the plan, or to its only part."""
        plan = whole(
            self.catalogue.digest,
            table="stay",
            where=EVERYTHING,
            keys=(CodeKey(column="sex"),),
            aggregates=(Aggregate(statistic="count"),),
            bound=Bound(rows=1, groups=1),
        )
        return altered(plan, **changes)

    def request(self, analyst="ada", **changes):
        """Return a request, unsigned."""
        now = int(time.time())
        request = Request(
            federation=NAME,
            id=os.urandom(16),
            analyst=analyst,
            plan=encode(self.plan()),
            view=b"",
            rho_units=1 << 30,
            sites=HOSPITALS,
            minimum=NEEDED,
            purpose="test",
            created_at=now,
            expires_at=now + 3600,
            statement="SELECT count(*) FROM stay GROUP BY sex",
            fresh=False,
        )
        return replace(request, **changes)

    def sign(self, request, key=None):
        """Sign a request with its analyst's key, or with another one."""
        return requests.write(request, key or self.parties[request.analyst].identity)

    def publication(self, *, version=2, admitted=(), sent=CATALOGUE, **changes):
        """Return what a registrar publishes."""
        _, signed = self.issue(version=version, **changes)
        return Publication(roster=signed, catalogue=sent, admitted=admitted)

    def application(self, token, id_="dover", claim=None, name=NAME):
        """Return an application that is signed with a token (a party that is not a member) and names it, or another."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, id_)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        identity = IdentityKey.from_seed(os.urandom(32))
        application = joining.Application(
            federation=name,
            id=id_,
            role=Role.ROLE_NODE,
            identity_key=identity.public,
            certificate_request=csr.public_bytes(serialization.Encoding.DER),
            token=(claim or token).digest,
        )
        return joining.sign(joining.write(application, identity), token.tls_key)


class Running:
    """A coordinator at work, and connections to it."""

    def __init__(self, federation, settings):
        """Start with nobody connected."""
        self.federation = federation
        self.settings = settings
        self.address = ""
        self.all = []
        self._task = None
        self._channels = []

    async def start(self, **changes):
        """Start the coordinator, again if it ran before, on the same home."""
        self.settings = replace(self.settings, **changes)
        started = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(serve(self.settings, started.set_result))
        await asyncio.wait({self._task, started}, return_when=asyncio.FIRST_COMPLETED)
        self.address = await (started if started.done() else self._task)

    async def crash(self):
        """End the coordinator without a word: nothing is finished, nobody is told."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def stop(self):
        """Leave, as members and as coordinator."""
        await asyncio.gather(*(channel.close() for channel in self._channels))
        if self._task and not self._task.done():
            await self.crash()

    def channel(self, party):
        """Return a channel that is closed with the rest."""
        channel = self.federation.channel(party, self.address)
        self._channels.append(channel)
        return channel

    def analyst(self, id_="ada"):
        """Return an analyst's line."""
        return Analyst(self, self.federation.parties[id_])

    def membership(self, party):
        """Return a line to the membership service."""
        return MembershipStub(self.channel(party))

    async def hospital(self, id_, vector=(1, 2)):
        """Return a hospital that is connected and welcomed."""
        hospital = self.unconnected(id_, vector)
        await hospital.connect()
        return hospital

    def unconnected(self, id_, vector=(1, 2)):
        """Return a hospital that has not dialled yet."""
        return Hospital(self, self.federation.parties[id_], vector)

    async def hospitals(self, ids=HOSPITALS, *, seated=True):
        """Return several hospitals, with the vectors 1, 10, 100 ... and ten thousand times that, in one epoch."""
        found = [self.unconnected(id_, (10**place, 10 ** (place + 4))) for place, id_ in enumerate(ids)]
        await asyncio.gather(*(hospital.connect() for hospital in found))
        if seated:
            await asyncio.gather(*(hospital.seated() for hospital in found))
        return found

    async def answering(self, ids=HOSPITALS):
        """Return several hospitals in one epoch that answer every announcement."""
        found = await self.hospitals(ids)
        for hospital in found:
            hospital.answer_all()
        return found


class Analyst:
    """An analyst's machine."""

    def __init__(self, running, party):
        """Dial."""
        self.federation = running.federation
        self.party = party
        self._channel = running.channel(party)
        self.stub = AnalystsStub(self._channel)

    async def leave(self):
        """Switch the machine off."""
        await self._channel.close()

    async def submit(self, **changes):
        """Ask; return the status."""
        signed = self.federation.sign(self.federation.request(self.party.id, **changes))
        return await self.stub.Submit(signed, timeout=SOON)

    async def end_of(self, status):
        """Wait for the end of a request; return the final status."""
        last = None
        async for seen in self.stub.Watch(RequestId(id=status.id), timeout=SOON):
            last = seen
        return last

    async def until(self, status, holds):
        """Wait until a status of the request meets a condition; return it."""
        call = self.stub.Watch(RequestId(id=status.id), timeout=SOON)
        async for seen in call:
            if holds(seen):
                call.cancel()
                return seen
        raise AssertionError(f"ended without: {seen}")

    async def start(self, **changes):
        """Ask and wait until the round was announced; return that status."""
        status = await self.submit(**changes)
        return await self.until(status, lambda now: now.state == State.STATE_RUNNING)

    async def ask(self, **changes):
        """Ask and wait for the end."""
        return await self.end_of(await self.submit(**changes))

    async def status(self, id_):
        """Return the status of one of the analyst's own requests."""
        listed = (await self.stub.Requests(Nothing(), timeout=SOON)).requests
        return next(each for each in listed if each.id == id_)

    async def answer(self, status):
        """Fetch the release of an answered request and return it, verified."""
        assert status.state == State.STATE_ANSWERED, status
        signed = await self.stub.Release(RequestId(id=status.release), timeout=SOON)
        coordinator = self.federation.parties["convener"].identity.public
        blob = releases.blob_of(signed)
        wanted = BlobWanted(digest=blob.digest, release=status.release) if blob else None
        vector = await self.get(wanted) if wanted else b""
        return releases.read(signed, federation=NAME, coordinator_key=coordinator, vector=vector)

    async def put(self, data, **changes):
        """Send a message; return how much of it the coordinator has then."""
        return await put(self._channel, BlobOffer(blob=blobs.write(blobs.blob_of(data))), data, **changes)

    async def get(self, wanted):
        """Fetch what is left of a blob."""
        return await get(self._channel, wanted)


class Hospital:
    """A hospital's machine: it keeps its seat by itself; what it hears is queued by kind, its uploads are the test's.

    ``mute`` holds the kinds of messages that it does not react to.
    """

    def __init__(self, running, party, vector=(1, 2)):
        """Prepare to dial."""
        self.running = running
        self.party = party
        self.vector = np.array(vector, dtype=np.int64)
        self.heard = {}
        self.mute = set()
        self.spoil_shares = False
        self.claim = 0
        self.long = {}
        self._turn = asyncio.Lock()
        self._deposited = asyncio.Condition()
        self.call = None
        self._task = None
        running.all.append(self)
        self.restart()

    def restart(self):
        """Forget what only its process knew."""
        self._keys, self._seats, self._own, self._entered, self._records = {}, {}, {}, {}, {}
        self._rosters = {}

    async def connect(self, *, protocol=PROTOCOL_VERSION, party=None):
        """Dial, say hello, hear the welcome or what comes instead."""
        self.heard = {}
        self.channel = self.running.channel(party or self.party)
        self.call = NodesStub(self.channel).Link()
        self._ear = asyncio.create_task(self._listen())
        hello = Hello(
            protocol=protocol,
            software="test/1",
            status=NodeStatus(lifetime_units=7, remaining_units=5),
            epoch=self.claim or max(self._seats, default=0),
        )
        await self.say(NodeMessage(hello=hello))
        if protocol == PROTOCOL_VERSION:
            return await self.hear("welcome")
        return None

    async def say(self, message):
        """Send a message, one at a time."""
        async with self._turn:
            await self.call.write(message)

    async def cut(self):
        """Lose the connection."""
        if self._task:
            self._task.cancel()
        self._ear.cancel()
        await self.channel.close()

    async def seated(self, above=0):
        """Wait until it has prepared slots in an epoch above a number; return the epoch's number."""
        async with asyncio.timeout(SOON), self._deposited:
            await self._deposited.wait_for(lambda: max(self._own, default=0) > above)
        # What it sent is read before anything that is asked from now on is answered.
        await asyncio.sleep(0.02)
        return max(self._own)

    async def hear(self, kind):
        """Return the next message of a kind."""
        return await asyncio.wait_for(self._queue(kind).get(), SOON)

    def waiting(self, kind):
        """Return how many messages of a kind were heard and not looked at."""
        return self._queue(kind).qsize()

    async def ended(self):
        """Wait for the end of the stream; return the error that it ended with, if any."""
        return await asyncio.wait_for(asyncio.shield(self._ear), SOON)

    def signed_upload(self, announced, *, vector=None, site=None, key=None, tau=None, notes=()):
        """Return an upload for an announcement, with whatever is wrong about it."""
        message = checks.parse(AnnouncementMessage, announced.body)
        seat, own_tau = self._seats[message.epoch], announcement.tau(announced)
        # The roster that it held when it heard the announcement.
        roster = self._rosters.get(own_tau, self.roster)
        read = announcement.read(announced, roster=roster, now=int(time.time()))
        entered = seats.enter(read, own_tau, seat=seat)
        own = self.vector if self.party.id in read.request.sites else np.zeros_like(self.vector)
        values = ring.to_ring(own if vector is None else np.array(vector, dtype=np.int64))
        masked = seats.mask(values, seat=seat, entered=entered, entropy=os.urandom)
        self._entered.setdefault(
            own_tau,
            (seat, entered, OwnShares(slot_share=self._own[message.epoch][message.slot], self_share=masked.shares.own)),
        )
        self._records.setdefault((message.epoch, message.slot), SlotRecord().announce(own_tau))
        answer = Upload(
            site=site or self.party.id,
            announcement=tau or own_tau,
            vector=masked.vector,
            salt=masked.shares.salt,
            sealed=b"".join(masked.shares.sealed.values()),
            notes=notes,
        )
        signed = upload.write(answer, federation=NAME, key=key or self.party.identity)
        if blob := upload.blob_of(signed):
            self.long[blob.digest] = ring.pack(masked.vector)
        return signed

    async def put(self, signed, content=None, *, offset=0, chunk=blobs.CHUNK):
        """Send the long vector of an upload, or other content under its name, beside it; return what is there then."""
        message = checks.parse(UploadMessage, signed.body)
        data = self.long[message.blob.digest] if content is None else content
        offer = BlobOffer(blob=message.blob, announcement=message.announcement)
        return await put(self.channel, offer, data, offset=offset, chunk=chunk)

    def forget(self, announced):
        """Forget the upload for an announcement, as if the next one were the first."""
        self._entered.pop(announcement.tau(announced))

    async def answer(self, announced, **changes):
        """Send an upload, and prepare another slot."""
        signed = self.signed_upload(announced, **changes)
        if upload.blob_of(signed):
            await self.put(signed)
        await self.say(NodeMessage(upload=signed))
        await self.prepare(checks.parse(AnnouncementMessage, announced.body).epoch)

    async def refuse(self, announced, code, reference="0" * 32):
        """Send a refusal."""
        refusal = Refusal(announcement=announcement.tau(announced), code=code, reference=reference)
        await self.say(NodeMessage(refusal=refusal))

    async def beat(self):
        """Send a heartbeat."""
        await self.say(NodeMessage(status=NodeStatus(lifetime_units=7, remaining_units=4)))

    def answer_all(self):
        """Answer every announcement from now on."""
        self._task = asyncio.create_task(self._answer_all())

    def silence(self):
        """Answer no more."""
        self._task.cancel()

    async def _answer_all(self):
        # A test may close the stream in the middle of an answer.
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            while True:
                await self.answer(await self._queue("announcement").get())

    async def _listen(self):
        try:
            async for message in self.call:
                kind = CoordinatorMessage.WhichOneof(message, "kind")
                body = getattr(message, kind)
                self._queue(kind).put_nowait(body)
                react = getattr(self, f"on_{kind}", None)
                if react and kind not in self.mute:
                    await react(body)
        except grpc.aio.AioRpcError as error:
            return error
        return None

    # --- its part in the secure sum

    async def on_welcome(self, welcome):
        """Hold the roster."""
        if welcome.HasField("roster"):
            await self.on_roster(welcome.roster)

    async def on_roster(self, signed):
        """Hold the roster."""
        self.signed_roster = signed
        self.roster = rosters.read(
            signed, federation=NAME, registrar_key=self.running.federation.authority.registrar.public
        )

    async def on_open_epoch(self, opened):
        """Send a key."""
        key = self._keys[opened.epoch] = ExchangeKey.from_seed(os.urandom(32))
        signed = epochs.write_key(
            opened.epoch, self.roster, rosters.digest_of(self.signed_roster), member=self.party.id,
            key=self.party.identity, exchange=key,
        )  # fmt: skip
        await self.say(NodeMessage(epoch_key=signed))

    async def on_announcement(self, announced):
        """Remember under which roster it was heard."""
        self._rosters[announcement.tau(announced)] = self.roster

    async def on_freeze(self, freeze):
        """Take a seat and prepare slots."""
        self._seats[freeze.epoch] = seats.take_seat(
            freeze, number=freeze.epoch, roster=self.roster, roster_digest=rosters.digest_of(self.signed_roster),
            member=self.party.id, exchange=self._keys[freeze.epoch],
        )  # fmt: skip
        await self._deposit(freeze.epoch, range(1, 17))

    async def prepare(self, number):
        """Prepare another slot of an epoch."""
        await self._deposit(number, [max(self._own[number]) + 1])

    async def _deposit(self, number, slots):
        message, kept = seats.deposit(slots, seat=self._seats[number], entropy=os.urandom)
        self._own.setdefault(number, {}).update(kept)
        if "deposits" not in self.mute:
            await self.say(NodeMessage(deposits=Deposits(deposits=message.deposits)))
        async with self._deposited:
            self._deposited.notify_all()

    async def on_confirm(self, question):
        """Sign the survivors."""
        if question.announcement not in self._entered:
            refusal = Refusal(announcement=question.announcement, code="unknown-round")
            await self.say(NodeMessage(refusal=refusal))
            return
        await self.say(NodeMessage(confirmation=self.confirmation(question)))

    def confirmation(self, question):
        """Return the signature on survivors."""
        seat, entered, _ = self._entered[question.announcement]
        slot = (seat.epoch.number, entered.cohort.slot)
        self._records[slot], confirmation = seats.confirm(
            question, record=self._records[slot], seat=seat, entered=entered, federation=NAME, key=self.party.identity
        )
        return confirmation

    async def on_unmask(self, question):
        """Release key shares."""
        if question.announcement not in self._entered:
            return
        seat, entered, own = self._entered[question.announcement]
        slot = (seat.epoch.number, entered.cohort.slot)
        self._records[slot], shares = seats.unmask(
            question, record=self._records[slot], seat=seat, entered=entered, own_shares=own, roster=self.roster
        )
        if self.spoil_shares:
            shares.shares = bytes(len(shares.shares))
        await self.say(NodeMessage(shares=shares))

    def _queue(self, kind):
        return self.heard.setdefault(kind, asyncio.Queue())


async def put(channel, offer, data, *, offset=0, chunk=blobs.CHUNK):
    """Send content in parts under a name; return how much the coordinator has then."""

    async def parts():
        for start in range(offset, len(data), chunk):
            yield BlobPart(offer=offer, offset=start, data=data[start : start + chunk])

    return (await BlobsStub(channel).Put(parts(), timeout=SOON)).size


async def get(channel, wanted):
    """Fetch what is left of a blob."""
    return b"".join([part.data async for part in BlobsStub(channel).Get(wanted, timeout=SOON)])


@asynccontextmanager
async def coordinator(federation, home, **changes):
    """Run a coordinator for the length of a block."""
    running = Running(federation, federation.settings(home, **changes))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def refused(call):
    """Await a call that must be refused; return its gRPC status and code."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), dict(error.trailing_metadata() or ()).get("farr-code", "")
    raise AssertionError("not refused")


def state_of(home):
    """Return all that a coordinator has stored, as SQL."""
    connection = sqlite3.connect(home / "coordinator.sqlite")
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def serve_alone(home, parts):
    """Run a coordinator as a process of its own; ``parts`` are what its settings are made of, in bytes."""
    credentials = Credentials(
        federation=NAME,
        member="convener",
        role=Role.ROLE_COORDINATOR,
        address="127.0.0.1:0",
        ca_certificate=parts["ca_certificate"],
        certificate=parts["certificate"],
        tls_key=parts["tls_key"],
        identity=IdentityKey.from_seed(seed_of("convener")),
        registrar_key=parts["registrar_key"],
    )
    roster = Signed.FromString(parts["roster"])
    settings = CoordinatorSettings(credentials=credentials, home=Path(home), roster=roster, catalogue=CATALOGUE)
    asyncio.run(serve(settings))
