"""What a coordinator reads of hospitals, analysts, applicants and the registrar: the real one, without a network."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace

from google.protobuf.message import DecodeError

from coordinator import listing
from coordinator.analysts import AnalystsService
from coordinator.blobs import BlobsService
from coordinator.concerned import Concerned
from coordinator.evidence import Keeper
from coordinator.links import Links, Stream
from coordinator.membership import MembershipService
from coordinator.nodes import NodesService, _checked
from coordinator.requests import Requests
from coordinator.serve import STATE_FILE, _members
from coordinator.store import Store
from protocols import blobs
from protocols import checkpoint as checkpoints
from protocols import roster as rosters
from protocols import round as steps
from protocols.blobs import Blob
from protocols.checkpoint import Checkpoint, Witness
from protocols.errors import Rejected
from protocols.farrsum.epoch import read_key
from protocols.request import Run
from protocols.wire_pb2 import (
    BlobOffer,
    BlobPart,
    BlobWanted,
    CoordinatorMessage,
    Deposits,
    Hello,
    LoadedThrough,
    NodeMessage,
    NodeStatus,
    Publication,
    Receipt,
    Refusal,
    RequestId,
    RequestsWanted,
    RosterVersion,
    Signed,
    SignedApplication,
    Stand,
    State,
    Verdict,
)
from tests.coordinator.federation import HOSPITALS, NAME, Federation, Hospital, seed_of
from tests.fuzz.mutation import key_of_seed
from tests.fuzz.trying import Parser, as_message
from tests.protocols.test_log import add, fresh

_keys = key_of_seed(seed_of)


def key_of(name):
    """Return the signing key of a member, or of the registrar."""
    return _keys("the registrar" if name == "registrar" else name)


class Caller:
    """Stands for a gRPC context: who calls, and what it was told."""

    def __init__(self, party):
        """Call as this party."""
        self.party = party
        self.told = []

    def auth_context(self):
        """Return the certificate."""
        return {"x509_pem_cert": [self.party.certificate_pem]}

    def peer(self):
        """Return where from."""
        return "ipv4:127.0.0.1:1"

    async def write(self, message):
        """Keep what is told."""
        self.told.append(message)


class Near(Hospital):
    """A hospital in the coordinator's own process: what it says is remembered and taken at once."""

    def __init__(self, stage, party):
        """Connect to a stage."""
        self.stage, self.said = stage, []
        super().__init__(stage, party)
        self.link = Stream(party.id, party.digest)

    async def connect(self):
        """Say hello and listen."""
        status = NodeStatus(lifetime_units=7, remaining_units=5, tables=["stay"], holds=self.party.id == "aden")
        self.stage.nodes._welcome(self.link, Hello(protocol=1, software="test/1", status=status))
        self._ear = asyncio.create_task(self.link.drain(self))

    async def write(self, message):
        """Hear a message."""
        kind = CoordinatorMessage.WhichOneof(message, "kind")
        self._queue(kind).put_nowait(getattr(message, kind))
        if react := getattr(self, f"on_{kind}", None):
            await react(getattr(message, kind))

    async def say(self, message):
        """Say a message."""
        self.said.append(message)
        self.stage.nodes._take(self.party.id, message)

    def last(self, kind):
        """Return the last message of a kind that it said."""
        return next(each for each in reversed(self.said) if each.WhichOneof("kind") == kind)


class Stage:
    """The coordinator's parts, put together as its process does."""

    def __init__(self, folder):
        """Start with an epoch to come."""
        self.federation = Federation()
        self.home = folder
        folder.mkdir()
        self.settings = replace(
            self.federation.settings(folder), round_seconds=3000.0, phase_seconds=3000.0, most_running=1
        )
        self.store = Store(folder / STATE_FILE)
        self.store._connection.execute("PRAGMA synchronous=OFF")
        self.members = _members(self.settings, self.store)
        self.links = Links(self.settings.clock, steady=lambda: 0.0)
        parts = {"settings": self.settings, "store": self.store, "members": self.members, "links": self.links}
        self.requests = Requests(**parts)
        self.keeper = Keeper(**parts)
        self.nodes = NodesService(members=self.members, links=self.links, requests=self.requests, keeper=self.keeper)
        self.analysts = AnalystsService(
            members=self.members, links=self.links, requests=self.requests, keeper=self.keeper
        )
        self.membership = MembershipService(**parts, requests=self.requests)
        self.blobs = BlobsService(
            members=self.members,
            store=self.requests.blobs,
            concerned=Concerned(requests=self.requests, reading=self.requests.reading),
            clock=self.settings.clock,
        )
        self.all = []

    async def begin(self):
        """Seat five hospitals, announce a round, and hear what one of them would say to it."""
        self.requests.epochs.start()
        self.hospitals = [Near(self, self.federation.parties[site]) for site in HOSPITALS]
        for hospital in self.hospitals:
            await hospital.connect()
        for hospital in self.hospitals:
            await hospital.seated()
        self.signed_request = self.federation.sign(self.federation.request())
        self.submit(self.signed_request)
        first = self.hospitals[0]
        self.requests.verdict("aden", Verdict(request=self.asked, stand=Stand.STAND_READY))
        announced = [await hospital.hear("announcement") for hospital in self.hospitals]
        (self.open,) = self.requests.rounds._open.values()
        self.running = self.asked
        uploads = [hospital.signed_upload(announced[0]) for hospital in self.hospitals]
        self.upload = uploads[0]
        state = self.open.state
        now = int(time.time())
        for each in uploads[1:]:
            state = steps.take_upload(state, each, roster=self.open.seated.roster, now=now)
        self.collecting = state
        state = steps.take_upload(state, self.upload, roster=self.open.seated.roster, now=now)
        self.fixed, question = steps.fix_survivors(state)
        self.confirmations = {each.party.id: each.confirmation(question) for each in self.hospitals}
        state = self.fixed
        for site, message in self.confirmations.items():
            if site != first.party.id:
                state = steps.take_confirmation(state, site, message, roster=self.open.seated.roster)
        self.confirming = state
        state = steps.take_confirmation(
            state, first.party.id, self.confirmations[first.party.id], roster=self.open.seated.roster
        )
        await first.on_unmask(steps.ask_committee(state, {})[first.party.id])
        self.unmasking, self.shares = state, first.last("shares").shares
        self.first = first

    def submit(self, signed):
        """Take a request as its analyst's stub would."""
        status = self.requests.submit(signed, self.members.roster.by_id["ada"])
        self.asked = status.id
        return status

    # --- what is fed

    def hear(self, data):
        """Take what a hospital says, then forget it again as far as rounds go."""
        message = NodeMessage.FromString(data)
        rounds, found = self.requests.rounds, self.open
        if message.WhichOneof("kind") == "upload":
            steps.take_upload(self.collecting, message.upload, roster=found.seated.roster, now=int(time.time()))
        elif message.WhichOneof("kind") == "confirmation":
            steps.take_confirmation(self.confirming, "aden", message.confirmation, roster=found.seated.roster)
        elif message.WhichOneof("kind") == "shares":
            steps.take_shares(self.unmasking, "aden", message.shares)
        elif message.WhichOneof("kind") == "epoch_key":
            read_key(
                message.epoch_key,
                number=found.seated.epoch.number,
                roster=found.seated.roster,
                roster_digest=rosters.digest_of(self.members.signed),
            )
        if found.state.tau not in rounds._open or self.asked not in self.requests._alive:
            raise AssertionError("the round of the stage ended")
        kept = (found.state, found.phase, dict(found.awaited), found.spoke)
        try:
            self.nodes._take("aden", message)
            self.keeper.flush()
        finally:
            found.state, found.phase, found.awaited, found.spoke = kept
            self.requests.epochs._current = found.seated

    def hello(self, data):
        """Take a hospital's first message."""
        message = NodeMessage.FromString(data)
        if message.WhichOneof("kind") != "hello":
            raise Rejected("malformed", "the first message is not a hello")
        hello = message.hello
        _checked(hello.status)
        if hello.protocol != 1:
            raise Rejected("protocol-version", "hello")
        self.requests.epochs.check_seat(hello.epoch)
        self.links.heard("brest", hello.status)
        self.links.view("brest").SerializeToString()

    def ask(self, data):
        """Take an analyst's request; let go of it again."""
        signed = Signed.FromString(data)
        status = self.requests.submit(signed, self.members.roster.by_id["ada"])
        if status.id != self.asked and status.id in self.requests._alive:
            self.requests.cancel(status.id, self.members.roster.by_id["ada"])

    def look(self, data):
        """Take what an analyst asks about by an id or a number."""
        caller = Caller(self.federation.parties["ada"])
        analyst = self.members.roster.by_id["ada"]
        message = RequestId.FromString(data)
        refused = []
        calls = (
            lambda: self.requests.status(message.id, analyst).SerializeToString(),
            lambda: self.requests.reading.release(message.id, analyst),
            lambda: _run(AnalystsService.Prove.__wrapped__(self.analysts, message, caller)),
            lambda: self.requests.reading.roster(RosterVersion.FromString(data).version),
        )
        for call in calls:
            try:
                call()
            except Rejected as rejected:
                refused.append(rejected)
        if len(refused) == len(calls):
            raise refused[0]

    def listed(self, data):
        """Take which of an analyst's requests are wanted; what is listed is hers."""
        page = listing.read(RequestsWanted.FromString(data))
        found = self.requests.statuses(self.members.roster.by_id["ada"], page)
        if {each.analyst for each in found.requests} - {"ada"} or found.ByteSize() > 2 * listing.PAGE_BYTES:
            raise AssertionError("another's, or more than a page")

    def offer(self, data):
        """Take what a hospital or an analyst offers to send, as if the round's vectors were long."""
        message, refused = BlobOffer.FromString(data), []
        kept, blobs.INLINE_BYTES = blobs.INLINE_BYTES, 8
        try:
            for member in ("aden", "ada"):
                try:
                    place, _ = self.blobs._place(self.members.roster.by_id[member], message)
                    if place.folder not in (self.home / "blobs" / kind for kind in self.folders(member)):
                        raise AssertionError(f"out of its folder: {place.folder}")
                    if place.held:
                        raise AssertionError("held")
                except Rejected as rejected:
                    refused.append(rejected)
        finally:
            blobs.INLINE_BYTES = kept
        if len(refused) == 2:
            raise refused[0]

    def folders(self, member):
        """Return where a member's blobs may come to be."""
        return (f"uploads/{self.open.state.tau.hex()}/{member}", f"messages/{member}")

    def part(self, data):
        """Take a part of a blob of which 10 bytes are there, and forget it again."""
        message, store = BlobPart.FromString(data), self.requests.blobs
        place = store.message("ada", Blob(digest=bytes(32), size=100))
        turn = store.begin(place)
        place.part.write_bytes(bytes(10))
        store.add(place, turn, message)

    def want(self, data):
        """Take what a hospital asks for, which is what an open request names, and what an analyst asks for: nothing."""
        message, sent = BlobWanted.FromString(data), Blob(digest=bytes(32), size=100)
        alive = self.requests._alive[self.running]
        kept, alive.question = alive.question, replace(alive.question, message=sent)
        try:
            place = self.blobs._readable(self.members.roster.by_id["aden"], message)
            if place != self.requests.blobs.message("ada", sent):
                raise AssertionError(f"aden may read {place}")
            try:
                self.blobs._readable(self.members.roster.by_id["ada"], message)
            except Rejected:
                return
            raise AssertionError("ada may read what was not released")
        finally:
            alive.question = kept

    def apply(self, data):
        """Take an application of somebody who holds a token, here a stranger's certificate."""
        message = SignedApplication.FromString(data)
        caller = Caller(self.federation.stranger)
        _run(MembershipService.Apply.__wrapped__(self.membership, message, caller))

    def publish(self, data):
        """Take what the registrar publishes; let the first roster hold again."""
        message = Publication.FromString(data)
        caller = Caller(self.federation.parties["office"])
        held = (self.members.signed, self.members.roster, self.members.catalogue)
        requests, links = self.membership._requests, self.membership._links
        self.membership._requests, self.membership._links = _Quiet(), Links(self.settings.clock)
        try:
            _run(MembershipService.Publish.__wrapped__(self.membership, message, caller))
        finally:
            self.membership._requests, self.membership._links = requests, links
            self.members.adopt(*held)


class _Quiet:
    def roster_changed(self):
        """Do nothing."""


def _run(coroutine):
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError("a handler waited")


@asynccontextmanager
async def parsers(folder):
    """Set the stage and yield the coordinator's parsers."""
    stage = Stage(folder)
    await stage.begin()
    try:
        yield _parsers(stage)
    finally:
        await stage.requests.epochs.stop()
        stage.blobs.stop()
        stage.requests.stop()
        for hospital in stage.hospitals:
            hospital._ear.cancel()
        stage.store.close()


def _parsers(stage):
    log, said = fresh(2), stage.first.last
    tau = stage.open.state.tau
    entry = add(log, kind="answered", round=tau.hex(), request=stage.asked.hex(), units=3)
    size, _ = log.head()
    signed = checkpoints.write(
        Checkpoint(federation=NAME, member="aden", size=size, root=log.root(size), at=5), key_of("aden")
    )
    own = stage.keeper.checkpoint()
    witness = checkpoints.write_witness(
        Witness(member="aden", checkpoint=checkpoints.digest_of(own), keeper="convener", at=5),
        federation=NAME, key=key_of("aden"),
    )  # fmt: skip
    status = NodeStatus(
        lifetime_units=7, remaining_units=5, tables=["stay"], loaded=[LoadedThrough(table="stay", day="2026-10-31")]
    )
    waiting = stage.submit(stage.federation.sign(stage.federation.request(fresh=True))).id
    stage.asked = stage.running
    run = Run(id=bytes(16), design=bytes(32), round=2, rounds=5, rho_units=1 << 33)
    stage.waiting = stage.federation.sign(stage.federation.request(fresh=True, run=run))
    deposits = said("deposits").deposits
    offered = BlobOffer(blob=blobs.write(Blob(digest=bytes(32), size=32)), announcement=tau)
    messages = {
        "upload": NodeMessage(upload=stage.upload),
        "confirmation": NodeMessage(confirmation=stage.confirmations["aden"]),
        "shares": NodeMessage(shares=stage.shares),
        "deposits": NodeMessage(deposits=Deposits(deposits=deposits.deposits[:2])),
        "epoch-key": said("epoch_key"),
        "verdict": NodeMessage(verdict=Verdict(request=waiting, stand=Stand.STAND_HELD, reference="00" * 16)),
        "checkpoint": NodeMessage(checkpoint=signed),
        "receipt": NodeMessage(
            receipt=Receipt(announcement=tau, entries=[log.shown(entry.number, size)], checkpoint=signed)
        ),
        "witness": NodeMessage(witness=witness),
        "status": NodeMessage(status=status),
        "refusal": NodeMessage(refusal=Refusal(announcement=tau, code="budget", reference="0" * 32)),
    }
    change = as_message(NodeMessage)
    made = [
        Parser(
            name=f"coordinator/{kind}", seeds=[message.SerializeToString(deterministic=True)], feed=stage.hear,
            errors=(Rejected, DecodeError), mutate=change,
        )
        for kind, message in messages.items()
    ]  # fmt: skip
    others = {
        "hello": (
            stage.hello,
            NodeMessage(hello=Hello(protocol=1, software="farr/1", status=status, epoch=1)),
            NodeMessage,
        ),
        "request": (stage.ask, stage.waiting, Signed),
        "lookup": (stage.look, RequestId(id=stage.asked), RequestId),
        "list": (
            stage.listed,
            RequestsWanted(most=3, states=[State.STATE_WAITING], before=waiting, beginning=stage.asked.hex()[:3]),
            RequestsWanted,
        ),
        "blob-offer": (stage.offer, offered, BlobOffer),
        "blob-part": (stage.part, BlobPart(offer=offered, offset=10, data=bytes(20)), BlobPart),
        "blob-wanted": (stage.want, BlobWanted(digest=bytes(32), release=stage.asked), BlobWanted),
        "apply": (stage.apply, stage.federation.application(stage.federation.stranger), SignedApplication),
        "publish": (stage.publish, stage.federation.publication(version=9), Publication),
    }
    return [
        *made,
        *(
            Parser(
                name=f"coordinator/{name}", seeds=[seed.SerializeToString(deterministic=True)], feed=feed,
                errors=(Rejected, DecodeError), mutate=as_message(kind),
            )
            for name, (feed, seed, kind) in others.items()
        ),
    ]  # fmt: skip
