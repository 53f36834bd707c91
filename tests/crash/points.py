"""Kill points: how a life of a node is ended, what is done to its files afterwards, and what must hold then."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from node.authority import policy
from node.books.audit import TORN, Audit
from node.books.ledger import Ledger
from node.books.opening import open_checked
from node.books.promises import Promises
from node.books.state import FILE, StateError
from protocols import announcement as announcements
from protocols import merkle
from protocols import upload as uploads
from protocols.wire_pb2 import Confirmation, Signed, Upload
from tests.crash.life import ENTRIES, RICH, ROUNDS
from tests.node.rig import NOW, roster

ROOT = Path(__file__).resolve().parents[2]

WAYS = (
    *("delay",) * 4, *("step",) * 6, *("full",) * 3, *("cut",) * 4, *("torn log",) * 4, *("zeroed log",) * 3, "clean",
    *("torn database",) * 2,
)  # fmt: skip
"""How points end, as often as each stands here."""

STEPS = 700
"""Statements and steps of a long life, about."""


class Undertaker:
    """Lets nodes live and die, and keeps what left each of them."""

    def __init__(self):
        """Start the process that they are forked from."""
        command = [sys.executable, "-W", "ignore", "-m", "tests.crash.life"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def life(self, **wish):
        """Return what one life told, and the signal that ended it."""
        self.process.stdin.write(json.dumps(wish) + "\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        return told["left"], told["signal"]

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@dataclass(kw_only=True)
class Node:
    """A node's home, and what its coordinator remembers of it."""

    home: Path
    epoch: int = 0
    uploads: dict[bytes, bytes] = field(default_factory=dict)
    """By announcement, the upload that left."""
    other: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    """By kind and announcement, what else left."""
    noise: dict[str, bytes] = field(default_factory=dict)
    """By digest of a noisy vector, the announcement that it was drawn for; of those that left."""
    head: bytes = b""
    """Its newest checkpoint that left."""
    tears: int = 0
    """How often its last page was torn after it had been confirmed to be on the disk."""

    lost: int = 0
    """Answers that left and are no longer in the state."""
    charged: int = 0
    """Charges for what a tear may have undone."""
    trained: int = 0
    """Rounds of training that were charged."""

    def __post_init__(self):
        """Write its policy."""
        self.home.mkdir(parents=True)
        (self.home / policy.FILE).write_text(RICH)

    def remember(self, left):
        """Take what left a life; whatever was said before is said in the same bytes."""
        drawn = {}
        for kind, announced, message in left:
            assert kind != "fault", message
            if kind == "noise":
                drawn[announced] = message
                continue
            if kind in {"alive", "refused", "refusal", "verdict", "status", "witness", "receipt"}:
                continue
            data = bytes.fromhex(message)
            if kind == "checkpoint":
                self.head = data
                continue
            name = bytes.fromhex(announced)
            tau = announcements.tau(Signed.FromString(name))
            if kind == "upload":
                assert self.uploads.setdefault(name, data) == data
                if announced in drawn:
                    # One noise, one announcement.
                    assert self.noise.setdefault(drawn[announced], name) == name
            else:
                assert self.other.setdefault((kind, tau), data) == data


def end_of(node, way, draw):
    """Return what ends a life in this way."""
    if way == "delay":
        return {"kill_after": draw.uniform(0.005, 0.35)}
    if way in {"torn log", "zeroed log"} and draw.random() < 0.6:
        # Right after an answer has left: the transaction that the tear undoes is its charge.
        return {"die_after": draw.randrange(1, 5)}
    if way in {"step", "torn log", "zeroed log"}:
        return {"die_at": draw.randrange(1, STEPS)}
    if way in {"full", "cut"}:
        return {"room": draw.randrange(0, 160_000), "torn": way == "cut"}
    return {"clean": True}


def tear(node, way, draw):
    """Tear the last page of the log or the database; return whether there was one."""
    file = node.home / (FILE if way == "torn database" else f"{FILE}-wal")
    size = file.stat().st_size if file.exists() else 0
    if size <= 4096:
        return False
    page = 4096 if way == "torn database" else 4096 + 24
    last = _end_of_log(file) if way != "torn database" else size
    at = last - draw.randrange(1, page)
    with file.open("r+b") as opened:
        if way == "zeroed log":
            opened.seek(at)
            opened.write(bytes(last - at))
        else:
            opened.truncate(at)
    return True


def _end_of_log(file):
    """Return where the last frame of the log's present use ends."""
    data = file.read_bytes()
    salts, place = data[16:24], 32
    while place + 24 + 4096 <= len(data) and data[place + 8 : place + 16] == salts:
        place += 24 + 4096
    return place


def examine(node):
    """Restart a node as its service does and hold its state against all that ever left it."""
    with contextlib.closing(open_checked(node.home, lambda: NOW)) as connection:
        ledger, promises, audit = (
            Ledger(connection=connection),
            Promises(connection=connection),
            Audit(connection=connection),
        )
        assert ledger.verify() is None
        assert audit.verify() is None
        size, _ = audit.head()
        leaves = [merkle.leaf(entry.digest) for entry in audit.entries()]
        if size:
            assert _root(leaves) == audit.log.root(size)
        charges = {charge.tau: charge for charge in ledger.charges()}
        torn = [entry for entry in audit.entries() if entry.kind == TORN]
        lost, owed = 0, 0
        for announced, upload in node.uploads.items():
            signed = Signed.FromString(announced)
            tau = announcements.tau(signed)
            read = announcements.read(signed, roster=roster, now=NOW)
            stored = ledger.stored(tau)
            if stored is None:
                lost, owed = lost + 1, owed + read.request.rho_units
                continue
            assert stored == upload
            _, record = promises.bound(tau)
            assert record.sent
            confirmation = node.other.get(("confirmation", tau))
            if confirmation and not node.tears:
                body = Confirmation.FromString(confirmation).signed.body
                assert body == promises.frozen(read.epoch) + record.confirmed
            if ("shares", tau) in node.other and not node.tears:
                assert record.released == record.confirmed
        # Never undercounted: what left is charged, and what a disk lost after it had confirmed it is charged for too.
        assert lost <= node.tears
        assert sum(charge.units for charge in ledger.charges() if charge.epoch == 0) >= owed
        assert len(torn) >= bool(lost)
        _check_vectors(ledger, [*charges], node)
        trained = _check_runs(ledger)
        return {"charges": len(charges), "trained": trained, "torn": len(torn), "lost": lost, "halted": audit.halted}


def _check_runs(ledger):
    """A round is charged under its run and an approval, or it is zeros; no run has more rounds, or costs more."""
    spent, rounds = Counter(), Counter()
    for charge in ledger.charges():
        run = json.loads(charge.evidence).get("run")
        if run is not None and charge.units:
            assert charge.approval is not None
            spent[run["id"]] += charge.units
            rounds[run["id"]] += 1
            assert spent[run["id"]] <= run["units"]
            assert rounds[run["id"]] <= run["rounds"] == ROUNDS
    return sum(rounds.values())


def _check_vectors(ledger, taus, node):
    """Never the same hidden vector twice, neither of what is stored nor of what left."""
    stored = [upload for tau in taus if (upload := ledger.stored(tau))]
    vectors = Counter()
    for upload in {*stored, *node.uploads.values()}:
        signed = Signed.FromString(upload)
        tau = Upload.FromString(signed.body).announcement
        read = uploads.read(signed, roster=roster, announcement=tau, entries=ENTRIES + 2)
        vectors[read.vector.tobytes()] += 1
    assert all(count == 1 for count in vectors.values())


def _root(leaves):
    """Return the root over leaf hashes, by the definition of RFC 6962, section 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return merkle.inner(_root(leaves[:split]), _root(leaves[split:]))


def run(undertaker, folder, *, seed, points, say=lambda _text: None):
    """Go through kill points in turn; return how often each way came up and what came of it."""
    draw = random.Random(seed)  # noqa: S311
    tally, node = Counter(), Node(home=folder / "home 1")
    for point in range(1, points + 1):
        way = draw.choice(WAYS)
        node.epoch += 1
        recent = list(node.uploads)[-2:]
        left, ended = undertaker.life(
            home=str(node.home), epoch=node.epoch, seed=f"{seed} {point}", old=[each.hex() for each in recent],
            heads=[node.head.hex()] if node.head else [], **end_of(node, way, draw),
        )  # fmt: skip
        node.remember(left)
        refused = [text for kind, _, text in left if kind == "refused"]
        assert not refused or way in {"full", "cut"}, refused
        assert all("node.db" in text for text in refused)
        tally[way] += 1
        tally[f"{way}: killed"] += bool(ended)
        tally["messages that left"] += len(
            [kind for kind, _, _ in left if kind in {"upload", "confirmation", "shares"}]
        )
        try:
            if way in {"torn log", "zeroed log"}:
                node.tears += tear(node, way, draw)
            if way == "torn database" and tear(node, way, draw):
                found = _torn_database(node)
                tally[f"{way}: {found}"] += 1
                node = Node(home=folder / f"home {point + 1}")
                continue
            found = examine(node)
        except AssertionError as error:
            raise AssertionError(f"seed {seed!r}, point {point} ({way}), home {node.home.name}: {error}") from error
        tally["answers that a tear undid"] += found["lost"] - node.lost
        tally["charged for a tear"] += found["torn"] - node.charged
        tally["rounds of training"] += found["trained"] - node.trained
        node.lost, node.charged, node.trained = found["lost"], found["torn"], found["trained"]
        say(
            f"point {point:>3}  {way:<14} charges {found['charges']:>3}  lost {found['lost']}  halted {found['halted']}"
        )
        if node.epoch >= 24 or found["halted"] or node.tears > 4:
            node = Node(home=folder / f"home {point + 1}")
    return tally


def _torn_database(node):
    """Demand a message that names the file and what to do, or a state that holds; never a fresh start."""
    copy = node.home.with_name(f"{node.home.name} torn")
    shutil.copytree(node.home, copy)
    try:
        examine(node)
    except StateError as error:
        assert str(error).startswith("node.db "), error
        assert "backup" in str(error)
        return "refused"
    return "held"
