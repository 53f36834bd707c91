"""A process that makes nodes and lets them be killed: one line of JSON in, one out, for each life of a node.

A life restarts the node as its service does, sits in an epoch of its own, and lives through announcements, proposals,
decisions of an operator beside it, pauses, heads and checkpoints, in an order drawn from its seed. What passes the gate
is written to a pipe and has left. Each life is a fork of this process, so that it costs milliseconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from node.authority import policy, runs
from node.authority.approvals import binding_of
from node.authority.decisions import APPROVE, DENY, PAUSE, RESUME, Decisions
from node.books.ledger import Ledger
from node.books.opening import open_checked
from node.books.promises import Promises
from node.books.state import FILE, StateError, open_state, read_state, transaction
from node.gate import Gate
from protocols import request as requests
from protocols.request import Run
from protocols.wire_pb2 import CoordinatorMessage, Heads, Proposal, Signed
from queries.asked.canonical import decode, encode
from queries.asked.design import design_of
from queries.asked.plan import BandKey, Plan
from tests.node import rig
from tests.node.company import Company, Played
from tests.node.trained import STEP, training

ENTRIES = 120
WIDE = encode(rig.plan(keys=(BandKey(column="age", starts=tuple(range(ENTRIES))),)))
"""A plan of 120 cells: no two draws of noise are ever alike by chance."""

HOLDING = rig.POLICY.replace('approval_purposes = "none"', 'approval_purposes = ["research"]')
"""Has a person look at every question of one purpose, and is rich enough for a long life."""

RICH = HOLDING.replace("lifetime_epsilon = 10", "lifetime_epsilon = 100")

QUESTIONS = 6
"""Announcements of a life."""

ROUND = encode(
    training(replace(STEP, terms=(BandKey(column="age", starts=tuple(range(ENTRIES))),), point=(0,) * ENTRIES))
)
"""A round of training whose vector is as long: an intercept, and each band of age after the first."""

ROUNDS = 5
"""Rounds of a run. Twice as many are asked, so that the last ones are beyond what was approved."""


def asked(number):
    """Return the request of this number: of three, one is for the purpose that a person looks at, one a round."""
    if number % 3 == 1:
        at = number // 3
        run = Run(
            id=(at // (2 * ROUNDS)).to_bytes(16, "big"), design=design_of(decode(Plan, ROUND)), round=1 + at % ROUNDS,
            rounds=ROUNDS, rho_units=2 * rig.PRICE,
        )  # fmt: skip
        return rig.request(number, plan=ROUND, purpose="research", rho_units=rig.PRICE // 4, run=run)
    purpose = "research" if number % 3 == 0 else "test"
    return rig.request(number, plan=WIDE, purpose=purpose)


class Life:
    """One life of a node, told what it does to ``out``."""

    def __init__(self, wish, out):
        """Restart the node; raise StateError where it refuses to."""
        self.wish, self.out = wish, out
        self.home, self.random = Path(wish["home"]), random.Random(wish["seed"])  # noqa: S311
        self.steps = self.answers = 0
        rig.open_state = lambda home: open_checked(home, lambda: rig.NOW)
        self.rig = rig.Rig(self.home, number=0, step=self.step)
        self.rig.connection.set_trace_callback(self.step)
        self.reader = read_state(self.home)
        self.gate = Gate(
            member=rig.SITE,
            ledger=Ledger(connection=self.reader),
            promises=Promises(connection=self.reader),
            policy_file=self.home / policy.FILE,
            tables=("stay",),
        )

    def step(self, _name):
        """Die where the wish says so: at a step between two writes, or at any statement of the state."""
        self.steps += 1
        if self.steps == self.wish.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    def tell(self, *what):
        """Tell the parent; one write, so that it is told whole or not at all."""
        os.write(self.out, json.dumps(what).encode() + b"\n")

    def leave(self, messages, announced=""):
        """Pass messages through the gate; they have left then."""
        for message in messages:
            kind = message.WhichOneof("kind")
            released = getattr(self.gate.release(message), kind)
            self.tell(kind, announced, released.SerializeToString(deterministic=True).hex())
            self.answers += kind == "upload"
            if self.answers == self.wish.get("die_after"):
                os.kill(os.getpid(), signal.SIGKILL)

    def go(self):
        """Live."""
        replier, roster = self.rig.replier, rig.roster
        heads = [Signed.FromString(bytes.fromhex(each)) for each in self.wish["heads"]]
        self.leave(replier.play(CoordinatorMessage(heads=Heads(checkpoints=heads)), roster, rig.digest_of(roster)))
        for announced in self.wish["old"]:
            self.answer(Signed.FromString(bytes.fromhex(announced)))
        epoch = self.wish["epoch"]
        self.rig.offer(epoch)
        for message in self.rig.seats.accept(rig.freeze_of(epoch)):
            self.rig.deposits += message.deposits
        company = Company(self.rig.deposits, number=epoch)
        for slot in range(1, QUESTIONS + 1):
            number = epoch * QUESTIONS + slot
            question = asked(number)
            signed = requests.write(question, rig.key_of("ada"))
            if self.random.random() < 0.5:
                self.leave(replier.proposal(Proposal(request=signed), roster))
            if question.purpose == "research" and self.random.random() < 0.7:
                self.decide(self.random.choice((APPROVE, APPROVE, DENY)), question, signed)
            if self.random.random() < 0.15:
                self.decide(self.random.choice((PAUSE, RESUME)), question, signed)
            self.leave(replier.stirred(roster))
            announced = rig.announce(question, slot=slot, number=epoch)
            answer = self.answer(announced)
            name = announced.SerializeToString(deterministic=True).hex()
            if answer.WhichOneof("kind") == "upload":
                played = Played(company, announced, answer.upload, entries=ENTRIES)
                self.leave(replier.confirm(played.confirm), name)
                self.leave(replier.unmask(played.unmask()), name)
            # As the link does: what was answered is shown before long.
            self.leave(replier.attest([], roster))

    def answer(self, signed):
        """Answer an announcement, and tell which noise was drawn for it."""
        drawn = len(self.rig.noisy)
        answer = self.rig.reply(signed)
        name = signed.SerializeToString(deterministic=True).hex()
        if answer.WhichOneof("kind") == "upload" and len(self.rig.noisy) > drawn:
            self.tell("noise", name, hashlib.sha256(self.rig.noisy[-1].tobytes()).hexdigest())
        self.leave([answer], name)
        return answer

    def decide(self, kind, question, signed):
        """Decide as a command beside the node does, over a connection of its own."""
        digest = policy.load(self.home / policy.FILE).digest
        binding = binding_of(signed, digest, question.rho_units) if kind == APPROVE else bytes(32)
        subject, facts = question.id if kind in (APPROVE, DENY) else b"", {}
        if question.run is not None and subject:
            subject = runs.subject_of(question)
            limits = runs.limits_of(question, digest, 3)
            if kind == APPROVE:
                binding, facts = runs.binding_of(limits), runs.facts_of(limits)
        with contextlib.closing(open_state(self.home)) as connection:
            connection.set_trace_callback(self.step)
            with contextlib.suppress(Exception), transaction(connection):
                Decisions(connection=connection).add(
                    kind, by="li", at=rig.NOW, subject=subject, binding=binding, facts=facts
                )


def limit(wish):
    """Set what ends this life from outside: how far files may grow, or that nothing may be written."""
    if wish.get("room") is not None:
        home = Path(wish["home"])
        size = max((path.stat().st_size for path in home.glob(f"{FILE}*")), default=0)
        if wish["torn"]:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + wish["room"], hard))
    if wish.get("as_user"):
        os.setgid(wish["as_user"])
        os.setuid(wish["as_user"])


def one_life(wish):
    """Fork, live, and tell how it ended and what left."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 1
        try:
            limit(wish)
            life = Life(wish, write)
            life.tell("alive", "", "")
            life.go()
            if wish.get("clean"):
                life.reader.close()
                life.rig.close()
            code = 0
        except StateError as error:
            os.write(write, json.dumps(["refused", "", str(error)]).encode() + b"\n")
            code = 3
        except Exception as error:  # noqa: BLE001 - told to the parent, which judges it
            os.write(write, json.dumps(["fault", "", repr(error)]).encode() + b"\n")
        finally:
            os._exit(code)
    os.close(write)
    if wish.get("kill_after") is not None:
        time.sleep(wish["kill_after"])
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    with os.fdopen(read) as pipe:
        left = [json.loads(line) for line in pipe.read().splitlines() if line.endswith("]")]
    _, status = os.waitpid(child, 0)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "left": left}


def main():
    """Serve wishes until the input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(one_life(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
