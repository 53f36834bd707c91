"""A process that makes nodes and lets them be killed: one line of JSON in, one out, for each life of a node.

    {"home": DIR, "epoch": 3, "numbers": [1, 2], "old": [HEX], "die_at": "charged" | null, "kill_after": SECONDS | null,
     "apart": false}
    {"signal": 9, "left": [["upload", "hex of the announcement", "hex of the message"], ...]}

A life opens an epoch of its own, gives old announcements their answers again, and plays a round for each number. Each
life is a fork of this process, which has one thread and no open state, so that a life costs milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from node.authority import policy
from node.books.ledger import Ledger
from node.books.promises import Promises
from node.books.state import read_state
from node.gate import Gate
from protocols.wire_pb2 import Signed
from queries.asked.canonical import encode
from queries.asked.plan import BandKey
from tests.node.company import Company, Played
from tests.node.rig import SITE, Rig, announce, freeze_of, plan, request, roster

WIDE = encode(plan(keys=(BandKey(column="age", starts=tuple(range(120))),)))
"""A plan of 120 cells: no two draws of noise are ever alike by chance."""


def asked(number, epoch=1, slot=1):
    """Return the announcement of this number."""
    return announce(request(number, plan=WIDE), slot=slot, number=epoch)


def live(wish, out):
    """Play rounds in turn; what passes the gate is written to ``out`` and has left."""

    def step(name):
        if name == wish["die_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    def leave(kind, announced, messages):
        for message in messages:
            found = message.WhichOneof("kind")
            if found != "refusal":
                left = getattr(gate.release(message), found).SerializeToString(deterministic=True)
                os.write(out, json.dumps([kind, announced, left.hex()]).encode() + b"\n")
                step(f"{kind} left")

    home, epoch = Path(wish["home"]), wish["epoch"]
    rig = Rig(home, number=0, step=step)
    reader = read_state(home)
    gate = Gate(
        member=SITE,
        ledger=Ledger(connection=reader),
        promises=Promises(connection=reader),
        policy_file=home / policy.FILE,
        tables=("stay",),
    )
    for announced in wish["old"]:
        leave("upload", announced, [rig.reply(Signed.FromString(bytes.fromhex(announced)))])
    rig.offer(epoch)
    for message in rig.seats.accept(freeze_of(epoch)):
        rig.deposits += message.deposits
    company = Company(rig.deposits, number=epoch)
    for slot, number in enumerate(wish["numbers"], start=1):
        signed = asked(number, epoch, slot)
        announced = signed.SerializeToString(deterministic=True).hex()
        answer = _in_two(rig, signed) if wish["apart"] else rig.reply(signed)
        leave("upload", announced, [answer])
        if answer.WhichOneof("kind") == "upload":
            played = Played(company, signed, answer.upload, entries=120)
            leave("confirmation", announced, rig.replier.confirm(played.confirm))
            leave("shares", announced, rig.replier.unmask(played.unmask()))


def _in_two(rig, signed):
    """Answer as where an app reads the records: begun, read beside the desk, ended."""
    begun = rig.answerer.begin(signed, roster)
    return rig.replier.end(begun, lambda: rig.answerer.exact(begun), roster)


def one_life(wish):
    """Fork, live, and tell how it ended and what left."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 1
        try:
            live(wish, write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    if wish["kill_after"] is not None:
        time.sleep(wish["kill_after"])
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
