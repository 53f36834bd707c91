"""Leaks: two hospitals that differ in one patient, side by side; whatever leaves, is logged or is named is compared.

Both worlds run the real parts of a node: files, preparation, policy, ledger, seats, scan, gate. Their noise is coupled,
so that the noisy figures agree; every other byte must agree then by itself, or it would tell the worlds apart for
nothing. That the worlds do differ is shown by the exact figures, which stay inside.
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import time
from pathlib import Path

import numpy as np
import pytest

from node.authority import policy
from node.books.evidence import Keeper
from node.books.ledger import Ledger
from node.books.promises import Promises
from node.books.state import read_state
from node.gate import Gate
from node.records.mapping import SourceError, read_mapping
from node.records.prepare import prepare
from node.scan.scan import Scanner
from protocols import PROTOCOL_VERSION
from protocols import request as requests
from protocols.wire_pb2 import Confirm, Hello, NodeMessage, NodeStatus, Proposal
from queries.asked.canonical import encode
from queries.asked.plan import Aggregate, Between, CodeKey, Members
from tests.node.company import Company, Played
from tests.node.rig import NAME, NOW, POLICY, SITE, Rig, announce, catalogue, key_of, plan, request, roster

HEADER = "patient_id,sex,died,age\n"
ROWS = [f"p{number},{'FM'[number % 2]},{'YNU'[number % 3]},{number % 100}\n" for number in range(60)]
PATIENTS = {
    "one more": "p99,F,Y,117\n",
    "another value": "p99,M,N,3\n",
    "two rows": "p99,F,Y,117\np99,M,Y,117\n",
}
MALFORMED = {
    "a number that is none": "p99,F,Y,one hundred and seventeen\n",
    "a number beyond all": "p99,F,Y,1e999999\n",
    "not a number": "p99,F,Y,NaN\n",
    "a whole number that overflows": "p99,F,Y,170141183460469231731687303715884105728\n",
    "an unknown code": "p99,\u2603,\U0001f600,1\n",
    "nothing at all": ",,,\n",
    "too few fields": "p99,F\n",
    "too many fields": "p99,F,Y,1,2,3,4,5\n",
    "a null character": "p99,F\0,Y,1\n",
    "a very long field": f"p99,{'F' * 100_000},Y,1\n",
    "what a database would run": "p99,'; DROP TABLE stay; --,Y,1\n",
    "a formula": "=cmd|' /C calc'!A0,F,Y,1\n",
}
QUESTIONS = (
    plan(),
    plan(where=Between(column="age", low=117, high=117)),
    plan(keys=(CodeKey(column="died"),), aggregates=(Aggregate(statistic="count"),)),
    plan(where=Members(column="died", codes=("Y",))),
    plan(table="visit"),
)


class World:
    """One hospital's node, from its files to its gate, with all that it draws known beforehand."""

    def __init__(self, folder: Path, rows: bytes, monkeypatch, caplog):
        """Prepare the data and take a seat."""
        drawn = itertools.count()
        monkeypatch.setattr(os, "urandom", lambda size: bytes(next(drawn) % 251 for _ in range(size)))
        monkeypatch.setattr(secrets, "token_hex", lambda size=16: f"{next(drawn):0{2 * size}x}")
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "stay.csv").write_bytes(HEADER.encode() + rows)
        os.utime(folder / "data" / "stay.csv", (NOW, NOW))
        caplog.clear()
        caplog.set_level(logging.DEBUG)
        home = folder / "home"
        self.prepared = prepare(home, folder / "data", None, catalogue, bytes(32))
        self.scanner = Scanner(self.prepared.path)
        self.exact = []
        (home / policy.FILE).write_text(POLICY)
        self.rig = Rig(home, scan=self.scan, tables=self.scanner.tables, noise=self.coupled)
        self.committed = read_state(home)
        self.gate = Gate(
            member=SITE, ledger=Ledger(connection=self.committed), promises=Promises(connection=self.committed),
            policy_file=home / policy.FILE, tables=tuple(sorted(self.scanner.tables)),
        )  # fmt: skip
        self.left = []
        self.home = home
        self.caplog = caplog

    def scan(self, tally, attributes, tables):
        """Read the records, and remember what was read: it must not leave."""
        self.exact.append(self.scanner.tally(tally, catalogue, SITE, attributes, own_row=True, tables=tables))
        return self.exact[-1]

    def coupled(self, exact, measurement):
        """Return the same noisy vector in every world: the noise is what is left after the records."""
        chance = np.random.default_rng(len(exact))
        return chance.integers(0, 1 << 63, size=len(exact), dtype=np.uint64)

    def say(self, *messages):
        """Let messages out by the gate."""
        self.left += [self.gate.release(message).SerializeToString(deterministic=True) for message in messages]

    def play(self):
        """Do all that a node does: hello, proposals, rounds from key to shares, refusals, faults, evidence."""
        rig, replier = self.rig, self.rig.replier
        self.say(NodeMessage(hello=Hello(protocol=PROTOCOL_VERSION, software="farr/0.1.0")))
        self.say(NodeMessage(status=NodeStatus()))
        for number, asked in enumerate(QUESTIONS, start=1):
            made = request(number, plan=encode(asked))
            self.say(*replier.proposal(Proposal(request=requests.write(made, key_of("ada"))), roster))
            signed = announce(made, slot=number)
            reply = replier.reply(signed, roster)
            self.say(reply)
            if number == 1:
                company = Company(rig.deposits)
                played = Played(company, signed, reply.upload, entries=2)
                (confirmation,) = replier.confirm(played.confirm)
                self.say(confirmation, *replier.unmask(played.unmask(confirmation.confirmation)))
            self.say(*replier.deposits(again=False), NodeMessage(status=NodeStatus()))
        self.say(replier.reply(announce(request(9, plan=b"nonsense"), slot=9), roster))
        self.say(replier.reply(announce(request(1), slot=9), roster))
        self.say(*replier.confirm(Confirm(announcement=bytes(32), survivors=b"\xff")))
        keeper = Keeper(
            member=SITE, identity=key_of(SITE), federation=NAME, connection=rig.connection, clock=lambda: rig.now
        )
        self.say(NodeMessage(checkpoint=keeper.checkpoint()), *replier.attest([], roster))
        return self

    @property
    def log(self):
        """Return every line that was logged, with all that belongs to it but the time."""
        shown = []
        for record in self.caplog.records:
            facts = {name: value for name, value in vars(record).items() if name not in PLAIN}
            facts.pop("seconds", None)
            told = sorted((name, str(value)) for name, value in facts.items())
            shown.append((record.name, record.levelname, record.getMessage(), told))
        return shown

    @property
    def names(self):
        """Return the names of all files outside the data folder; the prepared file's is keyed, so it is one name."""
        found = {str(path.relative_to(self.home)) for path in self.home.rglob("*")}
        return sorted("prepared" if name == self.prepared.path.name else name for name in found)

    def close(self):
        """End."""
        self.rig.close()
        self.committed.close()
        self.scanner.close()


PLAIN = set(vars(logging.makeLogRecord({}))) | {"message"}


def world(folder, rows, caplog):
    """Return what one world shows: what left, what was logged, the names of files, and the exact figures."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "time", lambda: float(NOW))
        made = World(folder, rows, patched, caplog)
        try:
            made.play()
            return made.left, made.log, made.names, [vector.tolist() for vector in made.exact]
        finally:
            made.close()


def alike(tmp_path, caplog, rows, *, differ=True):
    """Compare the world with these rows to the one without."""
    without = world(tmp_path / "without", "".join(ROWS).encode(), caplog)
    beside = world(tmp_path / "beside", rows, caplog)
    assert len(without[0]) > 20
    assert len(without[1]) > 2
    if differ:
        assert without[3] != beside[3]
    assert without[0] == beside[0]
    assert without[1] == beside[1]
    assert without[2] == beside[2]


def test_the_comparison_sees_a_leak(tmp_path, caplog, monkeypatch):
    """Noise that is not drawn, a count in a log line, a count in a file's name: each would be seen."""
    rows = "".join([*ROWS, PATIENTS["one more"]]).encode()
    read = World.scan

    def loud(made, tally, attributes, tables):
        exact = read(made, tally, attributes, tables)
        logging.getLogger("node.scan.scan").info("read", extra={"first": int(exact[0])})
        (made.home / f"spill-{int(exact.sum())}").touch()
        return exact

    monkeypatch.setattr(World, "coupled", lambda _world, exact, _measurement: exact.astype(np.uint64))
    monkeypatch.setattr(World, "scan", loud)
    without = world(tmp_path / "without", "".join(ROWS).encode(), caplog)
    beside = world(tmp_path / "beside", rows, caplog)
    assert [one == other for one, other in zip(without, beside, strict=True)] == [False] * 4


@pytest.mark.parametrize("what", PATIENTS)
def test_nothing_but_the_noisy_figures_depends_on_a_patient(tmp_path, caplog, what):
    """Whoever sees every message, every log line and every file's name compares them with what he expects.

    Gained, were one of them to depend on a record: the record, for nothing: a count in a status, a row in an error, a
    size, a refusal for a small cell, a name. Timing is not looked at (see the threat model).
    """
    alike(tmp_path, caplog, "".join([*ROWS, PATIENTS[what]]).encode())


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_record_changes_no_message(tmp_path, caplog, what):
    """A patient's record holds what raises in a cast, overflows, is no text, or is code of some other program.

    Gained: an error, a refusal or a missing hospital that shows that this patient was asked about.
    """
    alike(tmp_path, caplog, "".join([*ROWS, MALFORMED[what]]).encode(), differ=False)


def test_bytes_that_are_no_text_change_no_message(tmp_path, caplog):
    """A record holds bytes that are no UTF-8.

    Gained: the same.
    """
    alike(tmp_path, caplog, "".join(ROWS).encode() + b"p99,\xff\xfe\xc0,Y,1\n", differ=False)


def test_a_small_and_an_empty_cell_are_refused_alike(tmp_path, caplog):
    """A question about a value that one patient has, or nobody: a threshold would refuse the one and not the other.

    Gained: whether somebody is there. Noise is the only protection, so nothing is refused for its count.
    """
    empty = world(tmp_path / "empty", b"", caplog)
    full = world(tmp_path / "full", "".join([*ROWS, PATIENTS["one more"]]).encode(), caplog)
    assert empty[3] != full[3]
    assert empty[:3] == full[:3]


CLOSED_LATER = 'p99,"F,Y,1\n' + "p98,F,Y,1\n" * 3 + 'p97",Y,1\n'


def test_a_record_cannot_merge_others_into_itself(tmp_path):
    """A text begins with a quote, and a later record happens to close it: the records between become one text.

    Gained: one patient's record hides others, and no reader can tell it from a text of several lines. So such a file is
    refused unless the operator said that texts in quotes go over several lines, which is then the export's own promise.
    """
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "stay.csv"
    file.write_text(HEADER + "".join(ROWS) + CLOSED_LATER + "".join(ROWS))
    with pytest.raises(SourceError, match="several lines") as refused:
        prepare(tmp_path / "home", tmp_path / "data", None, catalogue, bytes(32))
    assert "p98" not in str(refused.value)
    allowed = read_mapping(b"[tables.stay]\nmultiline = true\n", "mapping.toml")
    assert prepare(tmp_path / "home", tmp_path / "data", allowed, catalogue, bytes(32)).tables[0].read == 121


SWALLOWING = {
    "a quote that nobody closes": 'p99,"F,Y,1\n',
    "a quote that a later record closes": 'p99,"F,Y,1\n' + ROWS[0] + 'p98,F,"Y,1\n',
    "a quote that a later line's end closes": 'p99,"F,Y,1\n' + ROWS[0] + 'p98,F"\n',
}


@pytest.mark.parametrize("what", SWALLOWING)
def test_a_record_cannot_swallow_others(tmp_path, what):
    """A patient's text begins with a quote, and the hospital's export does not double it: lines after it are lost.

    Gained: one patient's record decides whether hundreds of others are counted, far beyond what the noise hides. Such
    a file is refused before anything is answered, with words for the operator that quote no record.
    """
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "stay.csv"
    file.write_text(HEADER + "".join(ROWS) + "p99,F,Y,1\n" + "".join(ROWS))
    assert prepare(tmp_path / "home", tmp_path / "data", None, catalogue, bytes(32)).tables[0].read == 121
    file.write_text(HEADER + "".join(ROWS) + SWALLOWING[what] + "".join(ROWS))
    with pytest.raises(SourceError, match="quote") as refused:
        prepare(tmp_path / "home", tmp_path / "data", None, catalogue, bytes(32))
    assert "p99" not in str(refused.value)
    assert "p98" not in str(refused.value)
