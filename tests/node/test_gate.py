from __future__ import annotations

import ast
import sqlite3
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from node.authority import policy
from node.authority.decisions import PAUSE, Decisions
from node.books.ledger import Ledger
from node.books.promises import Promises
from node.books.state import read_state, transaction
from node.gate import METADATA, Gate, Withheld
from protocols import PROTOCOL_VERSION, upload
from protocols import announcement as announcements
from protocols.codes import ADVICE
from protocols.farrsum import epoch as epochs
from protocols.signing import sign
from protocols.upload import Upload
from protocols.wire_pb2 import Deposits, Hello, LoadedThrough, NodeMessage, NodeStatus, Note, Refusal, Signed
from tests.node.company import Company, Played
from tests.node.rig import (
    NAME,
    SITE,
    Rig,
    announce,
    digest_of,
    exchange_of,
    freeze_of,
    key_of,
    request,
    roster,
)

NODE = Path(__file__).resolve().parents[2] / "node"
TAU = bytes(range(32))
REFERENCE = "0123456789abcdef" * 2


@pytest.fixture
def rig(tmp_path):
    """A node with made-up records."""
    made = Rig(tmp_path / "home")
    yield made
    made.close()


def gate_of(home, reader):
    """Return a node's gate over a connection."""
    return Gate(
        member=SITE,
        ledger=Ledger(connection=reader),
        promises=Promises(connection=reader),
        policy_file=home / policy.FILE,
        tables=("stay",),
    )


@pytest.fixture
def gate(rig):
    """The node's gate, over a connection of its own."""
    reader = read_state(rig.home)
    yield gate_of(rig.home, reader)
    reader.close()


def with_unknown_field(message):
    """Return the message as a newer version might write it: with a field that this one does not know."""
    kind = type(message)
    return kind.FromString(message.SerializeToString() + b"\xfa\x3f\x05Alice")


def hello(**changes):
    """Return a hello, good unless changed."""
    return NodeMessage(hello=Hello(**{"protocol": PROTOCOL_VERSION, "software": "farr/0.1.0", **changes}))


def refusal(**changes):
    """Return a refusal, good unless changed."""
    return NodeMessage(refusal=Refusal(**{"announcement": TAU, "code": "busy", "reference": REFERENCE, **changes}))


def test_a_hello_and_a_heartbeat_say_what_policy_and_ledger_say(rig, gate):
    """Budget and tables are read by the gate itself, each time, from what was committed."""
    allowed = rig.answerer.policy()
    first = gate.release(hello(roster_version=3)).hello
    assert (first.protocol, first.software, first.roster_version) == (PROTOCOL_VERSION, "farr/0.1.0", 3)
    expected = NodeStatus(
        lifetime_units=allowed.lifetime_units, remaining_units=allowed.lifetime_units, tables=["stay"]
    )
    assert first.status == expected
    rig.answer(announce())
    spent = Ledger(connection=rig.connection).spent()
    beat = gate.release(NodeMessage(status=NodeStatus())).status
    assert beat.remaining_units == allowed.lifetime_units - spent < allowed.lifetime_units
    (rig.home / policy.FILE).write_text("")
    assert gate.release(NodeMessage(status=NodeStatus())).status == NodeStatus()


def test_a_status_says_to_which_day_an_offered_table_is_complete(rig, gate):
    """The operator's word travels for tables that the hospital has and offers, and for no other."""
    said = {"stay": date(2026, 10, 31), "visit": date(2026, 9, 30)}
    status = replace(gate, loaded=said).release(NodeMessage(status=NodeStatus())).status
    assert [(each.table, each.day) for each in status.loaded] == [("stay", "2026-10-31")]
    text = (rig.home / policy.FILE).read_text()
    (rig.home / policy.FILE).write_text(text.replace('tables = "all"', "tables = []"))
    assert not replace(gate, loaded=said).release(NodeMessage(status=NodeStatus())).status.loaded


def test_a_budget_that_was_lowered_below_what_was_spent_shows_nothing_left(rig, gate):
    """A remaining budget is never negative."""
    rig.answer(announce())
    text = (rig.home / policy.FILE).read_text()
    (rig.home / policy.FILE).write_text(text.replace("lifetime_epsilon = 10", "lifetime_epsilon = 0.5"))
    assert gate.release(NodeMessage(status=NodeStatus())).status.remaining_units == 0


def test_a_status_says_that_the_node_holds_requests_or_is_paused(rig, gate):
    """From the next status on, by the policy's own word and the operator's; paused also where no policy can be read."""
    status = gate.release(NodeMessage(status=NodeStatus())).status
    assert (status.holds, status.paused) == (False, False)
    text = (rig.home / policy.FILE).read_text()
    (rig.home / policy.FILE).write_text(text.replace('approval_purposes = "none"', 'approval_purposes = ["research"]'))
    with transaction(rig.connection):
        Decisions(connection=rig.connection).add(PAUSE, by="it", at=1_800_000_000)
    status = gate.release(NodeMessage(status=NodeStatus())).status
    assert (status.holds, status.paused) == (True, True)
    (rig.home / policy.FILE).write_text("")
    assert gate.release(NodeMessage(status=NodeStatus())).status == NodeStatus(paused=True)


@pytest.mark.parametrize("code", ADVICE)
def test_a_refusal_with_a_known_code_leaves(gate, code):
    """Code, digest and random reference, and nothing else."""
    assert gate.release(refusal(code=code)) == refusal(code=code)


def test_an_upload_leaves_once_it_is_charged(rig, gate):
    """The bytes that were committed with their charge leave unchanged."""
    message = NodeMessage(upload=rig.answer(announce()))
    assert gate.release(message) == message


def test_an_upload_that_was_not_committed_stays(rig, gate):
    """Between charge and commit nothing of the upload may leave."""
    seen = []

    def step(name):
        if name == "stored":
            stored = rig.connection.execute("SELECT upload FROM uploads").fetchone()[0]
            with pytest.raises(Withheld):
                gate.release(NodeMessage(upload=Signed.FromString(stored)))
            seen.append(name)

    object.__setattr__(rig.answerer, "step", step)
    assert gate.release(NodeMessage(upload=rig.answer(announce()))).upload
    assert seen == ["stored"]


def crafted(rig):
    """Return messages that must not leave, by what is wrong with them."""
    charged = rig.answer(announce())
    tau = announcements.tau(announce(request(2), slot=2))
    tally = rig.answerer.compiler.compile(request().plan, request().rho_units, 1).tally
    exact = rig.records.scan(tally, {}, frozenset())
    bare = Upload(site=SITE, announcement=tau, vector=exact.astype("uint64"), salt=b"", sealed=b"")
    uncharged = upload.write(bare, federation=NAME, key=key_of(SITE))
    swapped = Signed()
    swapped.CopyFrom(charged)
    swapped.body = uncharged.body
    noted = upload.write(replace(bare, notes=(Note.NOTE_TABLE_ABSENT,)), federation=NAME, key=key_of(SITE))
    release = Signed()
    release.CopyFrom(charged)
    release.kind = "release"
    return {
        "nothing": NodeMessage(),
        "unknown kind": NodeMessage.FromString(b"\xfa\x3f\x05Alice"),
        "kind beside a field": with_unknown_field(NodeMessage(status=NodeStatus())),
        "field in a status": NodeMessage(status=with_unknown_field(NodeStatus())),
        "status of its own": NodeMessage(status=NodeStatus(remaining_units=17)),
        "table of its own": NodeMessage(status=NodeStatus(tables=["Alice"])),
        "day of its own": NodeMessage(status=NodeStatus(loaded=[LoadedThrough(table="stay", day="2026-10-31")])),
        "hello with a status": hello(status=NodeStatus(lifetime_units=5)),
        "hello of another protocol": hello(protocol=PROTOCOL_VERSION + 1),
        "hello with a text": hello(software="farr/0.1.0 Alice"),
        "hello with a line": hello(software="farr/0.1.0\n"),
        "field in a hello": NodeMessage(hello=with_unknown_field(hello().hello)),
        "code of its own": refusal(code="row 17"),
        "no code": refusal(code=""),
        "reference of its own": refusal(reference="Alice"),
        "long reference": refusal(reference=REFERENCE + "0"),
        "reference with a line": refusal(reference=REFERENCE + "\n"),
        "no digest": refusal(announcement=b""),
        "long digest": refusal(announcement=TAU + b"Alice"),
        "field in a refusal": NodeMessage(refusal=with_unknown_field(refusal().refusal)),
        "upload that was not charged": NodeMessage(upload=uncharged),
        "upload of an exact vector": NodeMessage(upload=noted),
        "body of another upload": NodeMessage(upload=swapped),
        "another kind of object": NodeMessage(upload=release),
        "field in an upload": NodeMessage(upload=with_unknown_field(charged)),
        "empty upload": NodeMessage(upload=Signed()),
        **crafted_in_the_sum(rig, charged),
    }


def crafted_in_the_sum(rig, charged):
    """Return messages of the secure sum that must not leave, after one round was confirmed and opened."""
    played = Played(Company(rig.deposits), announce(), charged)
    confirmation = rig.seats.confirm(played.confirm)
    shares = rig.seats.unmask(played.unmask())
    key = rig.offer(2)
    other = epochs.write_key(3, roster, digest_of(roster), member=SITE, key=key_of(SITE), exchange=exchange_of(SITE, 3))
    texted = sign(key_of(SITE), kind=epochs.KIND, signer=SITE, federation=NAME, body=key.body + b"\xfa\x3f\x05Alice")
    foreign = changed(confirmation.signed, body=confirmation.signed.body[:-1] + b"\x00")
    deposit = rig.deposits[0]
    return {
        "hello with an epoch of its own": hello(epoch=7),
        "hello with an epoch that has no freeze": hello(epoch=2),
        "key of an epoch that was not promised": NodeMessage(epoch_key=other),
        "key with a text": NodeMessage(epoch_key=texted),
        "key that does not parse": NodeMessage(epoch_key=changed(key, body=b"\xff\xff")),
        "key of another member": NodeMessage(epoch_key=changed(key, signer="cork")),
        "another object as a key": NodeMessage(epoch_key=charged),
        "field in a key": NodeMessage(epoch_key=with_unknown_field(key)),
        "no deposits": NodeMessage(deposits=Deposits()),
        "deposit under another freeze": NodeMessage(deposits=Deposits(deposits=[changed(deposit, freeze=TAU)])),
        "one of two deposits": NodeMessage(deposits=Deposits(deposits=[deposit, changed(deposit, freeze=TAU)])),
        "field in a deposit": NodeMessage(deposits=Deposits(deposits=[with_unknown_field(deposit)])),
        "confirmation of another set": NodeMessage(confirmation=changed(confirmation, signed=foreign)),
        "confirmation of another round": NodeMessage(confirmation=changed(confirmation, announcement=TAU)),
        "upload as a confirmation": NodeMessage(confirmation=changed(confirmation, signed=charged)),
        "field in a confirmation": NodeMessage(confirmation=with_unknown_field(confirmation)),
        "shares of another round": NodeMessage(shares=changed(shares, announcement=TAU)),
        "no shares": NodeMessage(shares=changed(shares, shares=b"")),
        "shares with a rest": NodeMessage(shares=changed(shares, shares=shares.shares + b"x")),
        "field in shares": NodeMessage(shares=with_unknown_field(shares)),
    }


def changed(message, **changes):
    """Return a copy of a message with other fields."""
    copy = type(message)()
    copy.CopyFrom(message)
    for name, value in changes.items():
        copy.ClearField(name)
        if isinstance(value, (bytes, str)):
            setattr(copy, name, value)
        else:
            getattr(copy, name).CopyFrom(value)
    return copy


def test_nothing_that_is_not_listed_leaves(rig, gate):
    """Every crafted message is withheld; so default-deny holds for kinds, fields, texts and unpaid vectors."""
    let_out = []
    for what, message in crafted(rig).items():
        try:
            gate.release(message)
        except Withheld:
            continue
        let_out.append(what)
    assert let_out == []


def test_what_was_promised_leaves_as_it_was_made(rig, gate):
    """Key, deposits, confirmation and shares pass once their promises are committed; a hello names the seat."""
    signed = announce()
    played = Played(Company(rig.deposits), signed, rig.answer(signed))
    for message in (
        NodeMessage(deposits=Deposits(deposits=rig.deposits)),
        NodeMessage(confirmation=rig.seats.confirm(played.confirm)),
        NodeMessage(shares=rig.seats.unmask(played.unmask())),
        NodeMessage(epoch_key=rig.offer(2)),
    ):
        assert gate.release(message) == message
    assert gate.release(hello(epoch=1)).hello.epoch == 1


def test_nothing_leaves_before_its_promise_is_committed(rig, gate):
    """Against the state of a moment earlier each is withheld, though its bytes are right; then it leaves."""
    signed = announce()
    played = Played(Company(rig.deposits), signed, rig.answer(signed))
    acts = {
        "confirmation": lambda: rig.seats.confirm(played.confirm),
        "shares": lambda: rig.seats.unmask(played.unmask()),
        "epoch_key": lambda: rig.offer(2),
        "deposits": lambda: rig.seats.accept(freeze_of(2))[0],
    }
    for kind, act in acts.items():
        earlier = sqlite3.connect(":memory:")
        rig.connection.backup(earlier)
        message = NodeMessage(**{kind: act()})
        with pytest.raises(Withheld):
            gate_of(rig.home, earlier).release(message)
        assert gate.release(message) == message
        earlier.close()


def trees():
    """Return the syntax tree of each of the node's modules."""
    return {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in NODE.rglob("*.py")}


def imports(tree):
    """Yield what a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_only_the_link_speaks_and_only_through_the_gate():
    """Three modules reach the coordinator: one dials, one writes what the gate released, one sends what it named."""
    network = {"grpc", "protocols.wire_pb2_grpc", "socket", "ssl", "http", "urllib", "smtplib", "ftplib", "requests"}
    network |= {"aiohttp", "httpx", "subprocess", "multiprocessing", "xmlrpc", "webbrowser", "socketserver"}
    reaching = {name for name, tree in trees().items() if {n.split(".")[0] for n in imports(tree)} & network}
    reaching |= {name for name, tree in trees().items() if set(imports(tree)) & network}
    # sandbox.py starts a child process, which has no way to a network.
    assert reaching - {"sandbox.py"} == {"blobs.py", "channel.py", "link.py"}

    calls = [node for node in ast.walk(trees()["link.py"]) if isinstance(node, ast.Call)]
    named = [(node.func.attr, node) for node in calls if isinstance(node.func, ast.Attribute)]
    sent = [ast.unparse(node) for name, node in named if name in {"write", "send", "sendall", "send_message"}]
    assert sent == ["call.write(self._gate.release(message))"]
    opened = [ast.unparse(node) for name, node in named if name == "Link"]
    assert opened == ["NodesStub(channel).Link(metadata=METADATA)"]
    assert METADATA == ()

    calls = [node for node in ast.walk(trees()["blobs.py"]) if isinstance(node, ast.Call)]
    named += [(node.func.attr, node) for node in calls if isinstance(node.func, ast.Attribute)]
    called = {ast.unparse(node) for name, node in named if name in {"Offer", "Put", "Get"}}
    assert called == {
        "BlobsStub(channel).Offer(offer, metadata=METADATA)",
        "BlobsStub(channel).Put(self._parts(offer, blob, held), metadata=METADATA)",
        "BlobsStub(channel).Get(request, timeout=seconds, metadata=METADATA)",
    }
    source = ast.unparse(trees()["blobs.py"])
    assert "offer = self._gate.offer(upload)" in source
    asking = {ast.unparse(node) for name, node in named if name == "_received"}
    assert asking == {"self._received(channel, wanted(blob.digest, held), left)"}
    assert not {"open_connection", "create_connection", "unary_unary", "stream_stream"} & {name for name, _ in named}


def test_no_module_of_the_node_prints():
    """Nothing goes to standard output: what a node says in its log passes the formatter's list of fields."""
    printing = {
        name
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr", "os.write"})
    }
    # An app's own process ends what it says to a file in memory, which sandbox.py makes and writes its job to likewise.
    assert printing == {"child.py", "sandbox.py"}
