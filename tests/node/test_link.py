from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import grpc
import numpy as np
import pytest

from node import link as links
from node import pauses
from node.authority import policy
from node.books import attesting
from node.books.audit import ROSTER, Audit
from node.books.ledger import Ledger
from node.books.promises import Promises
from node.books.state import read_state
from node.desk import Desk
from node.gate import Gate
from node.link import Link
from node.membership import Membership
from node.pauses import delay
from protocols import PROTOCOL_VERSION
from protocols import checkpoint as checkpoints
from protocols import roster as rosters
from protocols.credentials import Credentials
from protocols.errors import Rejected
from protocols.farrsum import epoch as epochs
from protocols.wire_pb2 import Closing, Confirm, CoordinatorMessage, Role, Signed, Welcome
from protocols.wire_pb2_grpc import NodesServicer, add_NodesServicer_to_server
from tests.coordinator.federation import Authority
from tests.node.company import Company, Played
from tests.node.rig import (
    CATALOGUE,
    NAME,
    NOW,
    SITE,
    Rig,
    announce,
    digest_of,
    exchange_of,
    freeze_of,
    key_of,
    open_epoch,
    request,
    roster,
    seed_of,
)

SOON = 60.0
REGISTRAR = key_of("registrar")
SIGNED_ROSTER = rosters.write(roster, REGISTRAR)


@pytest.fixture(scope="module")
def authority():
    """One CA for all tests."""
    return Authority()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Reconnect without the pauses of real life."""
    monkeypatch.setattr(pauses, "SHORTEST", 0.02)
    monkeypatch.setattr(pauses, "LONGEST", 0.2)
    monkeypatch.setattr(links, "GOODBYE", 0.05)


def welcome(signed=SIGNED_ROSTER, **changes):
    """Return a welcome, good unless changed."""
    said = {"protocol": PROTOCOL_VERSION, "roster": signed, "catalogue": CATALOGUE, **changes}
    return CoordinatorMessage(welcome=Welcome(**said))


class Convener(NodesServicer):
    """A coordinator that does with a stream what the test tells it to."""

    def __init__(self):
        """Nobody has called yet."""
        self.visits = asyncio.Queue()

    async def Link(self, messages, context):  # noqa: N802
        """Hand the stream to the test, and hold it until the test lets go."""
        visit = Visit(messages, context)
        self.visits.put_nowait(visit)
        await visit.over.wait()
        if visit.code:
            context.set_trailing_metadata((("farr-code", visit.code),))
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, visit.code)


class Visit:
    """One stream of the node."""

    def __init__(self, messages, context):
        """Begin."""
        self.messages = messages
        self.context = context
        self.over = asyncio.Event()
        self.code = ""

    async def hear(self, kind):
        """Return the node's next message of this kind, passing over statuses."""
        while True:
            message = await asyncio.wait_for(anext(self.messages), SOON)
            found = message.WhichOneof("kind")
            if found == kind:
                return getattr(message, kind)
            assert found in {"status", "deposits"}, message

    async def say(self, message):
        """Send a message."""
        await self.context.write(message)

    async def announce(self, signed):
        """Announce a question."""
        await self.say(CoordinatorMessage(announcement=signed))

    async def greet(self):
        """Hear the hello and answer it with a good welcome."""
        hello = await self.hear("hello")
        await self.say(welcome())
        return hello

    def end(self, code=""):
        """Let the stream end, with a code or without."""
        self.code = code
        self.over.set()


class Hospital:
    """A node with its link, dialling the test's coordinator."""

    def __init__(self, home, authority, address, *, registrar=REGISTRAR, certificates=None, number=1, step=None):
        """Prepare with a seat in an epoch (0: in none); ``run`` dials."""
        self.rig = Rig(home, number=number, step=step)
        issuer = certificates or authority
        party = issuer.party(SITE, Role.ROLE_NODE)
        credentials = Credentials(
            federation=NAME,
            member=SITE,
            role=Role.ROLE_NODE,
            address=address,
            ca_certificate=issuer.pem,
            certificate=party.certificate_pem,
            tls_key=party.key_pem,
            identity=key_of(SITE),
            registrar_key=registrar.public,
        )
        self.reader = read_state(home)
        self.desk = Desk()
        self.membership = Membership(credentials, self.rig.connection, lambda: NOW, SIGNED_ROSTER)
        self.link = Link(
            credentials=credentials,
            software="farr/0.1.0",
            gate=Gate(
                member=SITE,
                ledger=Ledger(connection=self.reader),
                promises=Promises(connection=self.reader),
                policy_file=home / policy.FILE,
                tables=("stay",),
            ),
            desk=self.desk,
            membership=self.membership,
            replier=self.rig.replier,
        )
        self.stop = asyncio.Event()
        self.running = asyncio.ensure_future(self.link.run(self.stop))

    @property
    def ledger(self):
        """Return the ledger as it was committed."""
        return Ledger(connection=self.reader)

    async def leave(self):
        """Stop the node and return its exit code."""
        self.stop.set()
        code = await asyncio.wait_for(self.running, SOON)
        self.desk.close()
        self.reader.close()
        return code


@asynccontextmanager
async def convening(authority):
    """Run a coordinator on a free port."""
    party = authority.party("convener", Role.ROLE_COORDINATOR)
    server = grpc.aio.server()
    convener = Convener()
    add_NodesServicer_to_server(convener, server)
    tls = grpc.ssl_server_credentials(
        [(party.key_pem, party.certificate_pem)], root_certificates=authority.pem, require_client_auth=True
    )
    port = server.add_secure_port("127.0.0.1:0", tls)
    await server.start()
    try:
        yield convener, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def play(authority, home, scene, **parts):
    """Run a scene between a coordinator and a node."""

    async def run():
        async with convening(authority) as (convener, address):
            hospital = Hospital(home, authority, address, **parts)
            await scene(convener, hospital)
            return await hospital.leave()

    return asyncio.run(run())


async def until(holds):
    """Wait until a condition holds."""
    async with asyncio.timeout(SOON):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def slowly(hospital):
    """Let the node's next scans wait; return what is set when one has begun, and what lets them go on."""
    begun, go, scan = threading.Event(), threading.Event(), hospital.rig.records.scan

    def waiting(*given):
        begun.set()
        assert go.wait(SOON)
        return scan(*given)

    object.__setattr__(hospital.rig.answerer, "scan", waiting)
    return begun, go


async def visit(convener):
    """Wait for the node's next stream."""
    return await asyncio.wait_for(convener.visits.get(), SOON)


def test_a_node_says_hello_and_answers(tmp_path, authority):
    """Hello comes first with the version held and the public budget; an announcement is answered with an upload."""

    async def scene(convener, hospital):
        stream = await visit(convener)
        hello = await stream.greet()
        assert hello.protocol == PROTOCOL_VERSION
        assert hello.roster_version == roster.version
        assert hello.status.remaining_units == hello.status.lifetime_units > 0
        await stream.announce(announce())
        upload = await stream.hear("upload")
        assert upload.signer == SITE
        assert hospital.ledger.paid(upload.SerializeToString(deterministic=True))
        await stream.announce(announce(request(2), slot=1))
        assert (await stream.hear("refusal")).code == "slot-used"

    assert play(authority, tmp_path / "home", scene) == 0


def test_heartbeats_carry_the_budget_that_is_left(tmp_path, authority, monkeypatch):
    """Between questions the node keeps saying what may still be released."""
    monkeypatch.setattr(links, "HEARTBEAT", 0.05)

    async def scene(convener, hospital):
        stream = await visit(convener)
        full = (await stream.greet()).status.remaining_units
        assert (await stream.hear("status")).remaining_units == full
        await stream.announce(announce())
        await stream.hear("upload")
        status = await stream.hear("status")
        assert status.remaining_units == full - hospital.ledger.spent() < full

    assert play(authority, tmp_path / "home", scene) == 0


@pytest.mark.parametrize("what", ["HEARTBEAT", "WATCH"])
def test_what_fails_beside_the_link_ends_it_and_the_next_one_goes_on(tmp_path, authority, monkeypatch, what):
    """A state that is locked when a heartbeat or a look at the operator's word needs it: no link lives on without."""
    monkeypatch.setattr(links, what, 0.02)
    failing = []

    async def scene(convener, hospital):
        gate = hospital.link._gate

        def release(message):
            if failing and message.HasField("status"):
                failing.clear()
                raise sqlite3.OperationalError("database is locked")
            return gate.release(message)

        hospital.link._gate = SimpleNamespace(release=release)
        hospital.rig.replier.proposals.stirred = lambda _now: what == "WATCH"
        first = await visit(convener)
        await first.greet()
        await first.hear("status")
        failing.append(True)
        second = await visit(convener)
        await second.greet()
        await second.hear("status")
        await second.announce(announce())
        await second.hear("upload")

    assert play(authority, tmp_path / "home", scene) == 0


def test_a_cut_stream_is_dialled_again_and_the_same_bytes_are_given(tmp_path, authority):
    """After a cut in the middle of a question the node comes back and answers it once, in the same bytes."""

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        slow = threading.Event()
        scan = hospital.rig.records.scan
        object.__setattr__(hospital.rig.answerer, "scan", lambda *given: slow.wait(SOON) and scan(*given))
        await stream.announce(announce())
        await asyncio.sleep(0.1)
        stream.end()
        slow.set()
        first = None
        for _ in range(3):
            stream = await visit(convener)
            await stream.greet()
            await stream.announce(announce())
            upload = await stream.hear("upload")
            assert first in {None, upload.SerializeToString()}
            first = upload.SerializeToString()
            stream.end()
        assert len(list(hospital.ledger.charges())) == 1
        assert hospital.rig.records.reads == 1

    assert play(authority, tmp_path / "home", scene) == 0


@pytest.mark.parametrize("code", ["displaced", "protocol-version"])
@pytest.mark.parametrize("greeted", [True, False])
def test_a_final_closing_ends_the_node(tmp_path, authority, code, greeted):
    """A second process with the same identity, or another version, is for a person to look at: exit code 1."""

    async def scene(convener, hospital):
        stream = await visit(convener)
        await (stream.greet() if greeted else stream.hear("hello"))
        await stream.say(CoordinatorMessage(closing=Closing(code=code)))
        assert await asyncio.wait_for(hospital.running, SOON) == 1

    assert play(authority, tmp_path / "home", scene) == 1


@pytest.mark.parametrize(("theirs", "who"), [(PROTOCOL_VERSION + 1, "update this node"), (0, "its operator has to")])
def test_a_welcome_of_another_protocol_ends_the_node(tmp_path, authority, caplog, theirs, who):
    """Nothing is exchanged between versions that do not know each other; the log names both and who has to update."""

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.hear("hello")
        await stream.say(welcome(protocol=theirs))
        assert await asyncio.wait_for(hospital.running, SOON) == 1

    assert play(authority, tmp_path / "home", scene) == 1
    (told,) = [record for record in caplog.records if hasattr(record, "theirs")]
    assert (told.ours, told.theirs) == (PROTOCOL_VERSION, theirs)
    assert who in told.msg


def test_a_renewed_certificate_is_dialled_with_at_once(tmp_path, authority):
    """Turned away because the roster names another certificate, the node takes the new one without the long pause."""

    async def scene(convener, hospital):
        turned = asyncio.Queue()
        hospital.link._turned_away = lambda: turned.put_nowait(True)
        stream = await visit(convener)
        await stream.greet()
        await stream.say(CoordinatorMessage(closing=Closing(code="renewed")))
        stream.end()
        await asyncio.wait_for(turned.get(), SOON)
        stream = await visit(convener)
        stream.end("unknown-member")
        await asyncio.wait_for(turned.get(), SOON)
        party = authority.party(SITE, Role.ROLE_NODE)
        hospital.link.renew(
            replace(hospital.link._credentials, certificate=party.certificate_pem, tls_key=party.key_pem)
        )
        while True:
            stream = await visit(convener)
            shown = stream.context.auth_context()["x509_pem_cert"][0]
            if shown.strip() == party.certificate_pem.strip():
                break
            stream.end("unknown-member")
        await stream.greet()

    assert play(authority, tmp_path / "home", scene) == 0


def test_a_node_that_is_not_on_the_roster_keeps_trying(tmp_path, authority):
    """Revoked by mistake or not yet admitted, it comes back by itself once it is a member."""

    async def scene(convener, hospital):
        for _ in range(3):
            stream = await visit(convener)
            stream.end("unknown-member")
        stream = await visit(convener)
        await stream.greet()
        await stream.announce(announce())
        await stream.hear("upload")

    assert play(authority, tmp_path / "home", scene) == 0


def test_pauses_double_up_to_half_a_minute_and_are_spread():
    """Attempts begin quickly and end at the longest pause, spread out; what only a registrar can change is slow."""
    first, last = pauses.SHORTEST, pauses.LONGEST
    assert [delay(attempt, "unavailable", 0.9999999) for attempt in range(3)] == pytest.approx(
        [first, 2 * first, 4 * first], rel=1e-5
    )
    assert delay(0, "unavailable", 0.0) == first / 2
    assert delay(10_000, "unavailable", 0.0) == last / 2
    assert delay(0, "unknown-member", 0.0) == last / 2


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: welcome(rosters.write(roster, key_of("convener"))),
        lambda: welcome(rosters.write(replace(roster, version=2), REGISTRAR)),
        lambda: welcome(rosters.write(replace(roster, issued_at=NOW), REGISTRAR)),
        lambda: welcome(rosters.write(replace(roster, federation="other"), REGISTRAR)),
        lambda: welcome(catalogue=CATALOGUE + b"\n"),
        lambda: welcome(Signed()),
        lambda: CoordinatorMessage(announcement=announce()),
        CoordinatorMessage,
    ],
    ids=["forged", "older", "two of a version", "other federation", "other catalogue", "empty", "early", "nothing"],
)
def test_a_wrong_welcome_is_not_taken(tmp_path, authority, wrong):
    """The node asks nothing of such a coordinator, answers it nothing, and dials again; a right one is answered."""

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.hear("hello")
        await stream.say(wrong())
        stream = await visit(convener)
        assert hospital.ledger.spent() == 0
        assert hospital.membership.roster == roster
        await stream.greet()
        await stream.announce(announce())
        await stream.hear("upload")

    assert play(authority, tmp_path / "home", scene) == 0


def test_a_roster_never_becomes_older(tmp_path, authority):
    """A newer roster holds from then on, also after a restart; an older one is refused wherever it comes from."""
    newer = replace(roster, version=5)

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        await stream.say(CoordinatorMessage(roster=rosters.write(newer, REGISTRAR)))
        hospital.rig.seed = seed_of(SITE, 2)
        await stream.say(CoordinatorMessage(open_epoch=open_epoch(2, newer)))
        await stream.hear("epoch_key")
        await stream.say(CoordinatorMessage(freeze=freeze_of(2, newer)))
        await stream.announce(announce(held=newer, number=2))
        await stream.hear("upload")
        await stream.say(CoordinatorMessage(roster=SIGNED_ROSTER))
        await stream.announce(announce(request(2), slot=2))
        assert (await stream.hear("refusal")).code == "stale-roster"
        with pytest.raises(Rejected, match="stale-roster"):
            await hospital.desk.ask(hospital.membership.take, SIGNED_ROSTER)

    async def after(convener, hospital):
        assert hospital.membership.roster.version == 5
        stream = await visit(convener)
        assert (await stream.hear("hello")).roster_version == 5

    home = tmp_path / "home"
    assert play(authority, home, scene) == 0
    assert play(authority, home, after, number=0) == 0
    reader = read_state(home)
    kept = [entry for entry in Audit(connection=reader).entries() if entry.kind == ROSTER]
    assert len(kept) == 2
    reader.close()


def test_a_coordinator_of_another_ca_hears_nothing(tmp_path, authority):
    """Without a certificate of the federation's registrar nobody gets as far as a hello; the node keeps trying."""

    async def scene(convener, hospital):
        await asyncio.sleep(0.5)
        assert convener.visits.empty()
        assert not hospital.running.done()

    assert play(authority, tmp_path / "home", scene, certificates=Authority()) == 0


def test_told_to_stop_a_node_finishes_the_question_under_way(tmp_path, authority):
    """The upload that was being made leaves before the node ends; nothing new is taken; the exit code is 0."""

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        under_way, go = slowly(hospital)
        await stream.announce(announce())
        await until(under_way.is_set)
        hospital.stop.set()
        await asyncio.sleep(0.05)
        await stream.announce(announce(request(2), slot=2))
        await asyncio.sleep(0.05)
        go.set()
        await stream.hear("upload")
        stream.end()
        assert await asyncio.wait_for(hospital.running, SOON) == 0
        assert hospital.rig.records.reads == 1

    assert play(authority, tmp_path / "home", scene) == 0


@pytest.mark.parametrize("under_way", [False, True])
def test_told_to_stop_a_node_shows_its_log_first_where_that_is_due(tmp_path, authority, monkeypatch, under_way):
    """An answer whose checkpoint waits for a quiet moment: it is signed and sent before the stream ends."""
    monkeypatch.setattr(attesting, "REST", SOON)

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        if under_way:
            begun, go = slowly(hospital)
        await stream.announce(announce())
        if under_way:
            await until(begun.is_set)
        else:
            await stream.hear("upload")
            await stream.hear("status")
        hospital.stop.set()
        if under_way:
            await asyncio.sleep(0.05)
            go.set()
            await stream.hear("upload")
        checkpoint = checkpoints.read(await stream.hear("checkpoint"), roster=roster)
        assert (checkpoint.member, checkpoint.charges) == (SITE, 1)
        stream.end()

    assert play(authority, tmp_path / "home", scene) == 0


def test_told_to_stop_a_node_does_not_wait_for_a_scan_without_end(tmp_path, authority, monkeypatch):
    """After its patience the node ends; what was not committed was not charged."""
    monkeypatch.setattr(links, "FAREWELL", 0.3)

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        released = threading.Event()
        object.__setattr__(hospital.rig.answerer, "scan", lambda *_given: released.wait(2 * SOON) and 1 / 0)
        await stream.announce(announce())
        await asyncio.sleep(0.1)
        hospital.stop.set()
        # The scan is let go of only below: a node that waited for it would not have ended by then.
        assert await asyncio.wait_for(hospital.running, SOON) == 0
        assert hospital.ledger.spent() == 0
        released.set()

    assert play(authority, tmp_path / "home", scene) == 0


def test_too_many_waiting_questions_are_refused_as_busy(tmp_path, authority, monkeypatch):
    """The queue is bounded: what does not fit is refused at once and can be asked again."""
    monkeypatch.setattr(links, "MOST_WAITING", 2)

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        await stream.hear("deposits")
        scan = hospital.rig.records.scan
        go = threading.Event()
        object.__setattr__(hospital.rig.answerer, "scan", lambda *given: go.wait(SOON) and scan(*given))
        for number in (1, 2, 3):
            await stream.announce(announce(request(number), slot=number))
        assert (await stream.hear("refusal")).code == "busy"
        go.set()
        await stream.hear("upload")
        await stream.hear("upload")
        await stream.announce(announce(request(3), slot=3))
        await stream.hear("upload")

    assert play(authority, tmp_path / "home", scene) == 0


def test_a_coordinator_that_reads_nothing_fills_no_memory(tmp_path, authority, monkeypatch):
    """Answers that are ready again and again, and never taken off: the node reads no more until they are."""
    monkeypatch.setattr(links, "MOST_UNSENT", 4)

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        await stream.hear("deposits")
        signed = announce()
        await stream.announce(signed)
        played = Played(Company(hospital.rig.deposits), signed, await stream.hear("upload"))
        await until(lambda: not hospital.link._answering)
        async with hospital.link._turn:
            for _ in range(20):
                await stream.say(CoordinatorMessage(confirm=played.confirm))
            await asyncio.sleep(0.3)
            assert len(hospital.link._answering) <= 4
            for _ in range(20):
                await stream.announce(signed)
            await asyncio.sleep(0.3)
            assert len(hospital.link._answering) <= 4
        await stream.hear("confirmation")

    assert play(authority, tmp_path / "home", scene) == 0


def test_a_question_that_waited_too_long_in_the_queue_is_late(tmp_path, authority):
    """What the queue kept past its deadline is refused without a charge."""

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        scan = hospital.rig.records.scan
        object.__setattr__(hospital.rig.answerer, "scan", lambda *given: time.sleep(1.3) or scan(*given))
        hospital.rig.now = float(NOW)
        begun = time.monotonic()
        object.__setattr__(hospital.rig.answerer, "clock", lambda: NOW + time.monotonic() - begun)
        await stream.announce(announce(deadline=NOW + 30))
        await stream.announce(announce(request(2), slot=2, deadline=NOW + 1))
        await stream.hear("upload")
        assert (await stream.hear("refusal")).code == "late"
        assert len(list(hospital.ledger.charges())) == 1

    assert play(authority, tmp_path / "home", scene) == 0


def test_an_epoch_is_opened_and_a_round_played_over_the_link(tmp_path, authority):
    """Key, deposits, upload, confirmation and shares leave as answers; the sum opens; the slot is replaced later."""

    async def scene(convener, hospital):
        stream = await visit(convener)
        assert (await stream.greet()).epoch == 0
        hospital.rig.seed = seed_of(SITE, 4)
        await stream.say(CoordinatorMessage(open_epoch=open_epoch(4)))
        key = await stream.hear("epoch_key")
        read = epochs.read_key(key, number=4, roster=roster, roster_digest=digest_of(roster))
        assert read == exchange_of(SITE, 4).public
        await stream.say(CoordinatorMessage(freeze=freeze_of(4)))
        deposits = (await stream.hear("deposits")).deposits
        assert [each.slot for each in deposits] == list(range(1, 17))
        signed = announce(number=4)
        await stream.announce(signed)
        played = Played(Company(deposits, number=4), signed, await stream.hear("upload"))
        await stream.say(CoordinatorMessage(confirm=played.confirm))
        confirmation = await stream.hear("confirmation")
        await stream.say(CoordinatorMessage(unmask=played.unmask(confirmation)))
        assert np.array_equal(played.finish(await stream.hear("shares")), hospital.rig.noisy[-1])
        assert [each.slot for each in (await stream.hear("deposits")).deposits] == [17]
        stream.end()
        stream = await visit(convener)
        assert (await stream.greet()).epoch == 4
        again = (await stream.hear("deposits")).deposits
        assert list(again)[:15] == list(deposits)[1:]

    assert play(authority, tmp_path / "home", scene, number=0) == 0


def test_messages_of_the_sum_in_the_wrong_order_get_a_code_or_silence(tmp_path, authority):
    """What names a round is refused with its code; what names an epoch is passed over; the link goes on."""

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        signed = announce()
        early = Played(Company(hospital.rig.deposits), signed)
        await stream.say(CoordinatorMessage(freeze=freeze_of(2)))
        await stream.say(CoordinatorMessage(open_epoch=open_epoch(1)))
        await stream.say(CoordinatorMessage(confirm=Confirm(announcement=b"short")))
        await stream.say(CoordinatorMessage(confirm=early.confirm))
        assert (await stream.hear("refusal")).code == "unknown-round"
        await stream.say(CoordinatorMessage(unmask=early.unmask()))
        assert (await stream.hear("refusal")).code == "unknown-round"
        await stream.announce(signed)
        upload = await stream.hear("upload")
        played = Played(Company(hospital.rig.deposits), signed, upload)
        await stream.say(CoordinatorMessage(unmask=played.unmask(others=False)))
        assert (await stream.hear("refusal")).code == "bad-quorum"

    assert play(authority, tmp_path / "home", scene) == 0


def test_a_round_is_not_held_up_by_the_questions_that_wait(tmp_path, authority, monkeypatch):
    """Confirm goes before announcements that came earlier: others wait for it, and for them nobody."""
    monkeypatch.setattr(links, "WATCH", SOON)  # what it has looked at would be counted among what waits
    monkeypatch.setattr(links, "CALM", SOON)

    async def scene(convener, hospital):
        stream = await visit(convener)
        await stream.greet()
        await stream.hear("deposits")
        signed = announce()
        await stream.announce(signed)
        played = Played(Company(hospital.rig.deposits), signed, await stream.hear("upload"))
        scan, go = hospital.rig.records.scan, threading.Event()
        object.__setattr__(hospital.rig.answerer, "scan", lambda *given: go.wait(SOON) and scan(*given))
        await until(lambda: hospital.desk.waiting == 0)
        for number in (2, 3):
            await stream.announce(announce(request(number), slot=number))
        await until(lambda: hospital.desk.waiting == 2)
        await stream.say(CoordinatorMessage(confirm=played.confirm))
        await until(lambda: hospital.desk.waiting == 3)
        go.set()
        kinds = []
        while len(kinds) < 3:
            message = await asyncio.wait_for(anext(stream.messages), SOON)
            if message.WhichOneof("kind") not in {"status", "deposits"}:
                kinds.append(message.WhichOneof("kind"))
        assert kinds == ["upload", "confirmation", "upload"]

    assert play(authority, tmp_path / "home", scene) == 0


def test_cryptography_and_arithmetic_stay_off_the_event_loop(tmp_path, authority):
    """Keys, edges, deposits, masks, signatures and shares are made in the desk's thread, so the link never stalls."""
    threads = {}

    def step(name):
        threads.setdefault(threading.current_thread().name, set()).add(name)

    async def scene(convener, hospital):
        entropy = hospital.rig.entropy
        hospital.rig.seats._entropy = lambda count: step("entropy") or entropy(count)
        stream = await visit(convener)
        await stream.greet()
        hospital.rig.seed = seed_of(SITE, 1)
        await stream.say(CoordinatorMessage(open_epoch=open_epoch()))
        await stream.hear("epoch_key")
        await stream.say(CoordinatorMessage(freeze=freeze_of()))
        deposits = (await stream.hear("deposits")).deposits
        signed = announce()
        await stream.announce(signed)
        played = Played(Company(deposits), signed, await stream.hear("upload"))
        await stream.say(CoordinatorMessage(confirm=played.confirm))
        await stream.hear("confirmation")
        await stream.say(CoordinatorMessage(unmask=played.unmask()))
        await stream.hear("shares")

    assert play(authority, tmp_path / "home", scene, number=0, step=step) == 0
    assert set(threads) == {"node-desk"}
    assert {"offered", "accepted", "masked", "confirmed", "released", "entropy"} <= threads["node-desk"]
