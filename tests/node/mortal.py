"""A process that makes nodes and lets them be killed: one line of JSON in, one out, for each life of a node.

    {"home": DIR, "numbers": [1, 2], "die_at": "charged" | null, "kill_after": SECONDS | null}
    {"signal": 9, "left": [[1, "hex of the upload"], ...]}

Each life is a fork of this process, which has one thread and no open state, so that a life costs milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from node import policy
from node.gate import Gate
from node.ledger import Ledger
from node.state import read_state
from queries.canonical import encode
from queries.plan import BandKey
from tests.node.rig import Rig, announce, plan, request

WIDE = encode(plan(keys=(BandKey(column="age", starts=tuple(range(120))),)))
"""A plan of 120 cells: no two draws of noise are ever alike by chance."""


def asked(number):
    """Return the announcement of this number."""
    return announce(request(number, plan=WIDE), slot=number)


def live(home, numbers, die_at, out):
    """Answer announcements in turn; what passes the gate is written to ``out`` and has left."""

    def step(name):
        if name == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    rig = Rig(home, step=step)
    gate = Gate(ledger=Ledger(connection=read_state(home)), policy_file=home / policy.FILE, tables=("stay",))
    for number in numbers:
        message = rig.reply(asked(number))
        if message.WhichOneof("kind") == "upload":
            upload = gate.release(message).upload.SerializeToString(deterministic=True)
            os.write(out, json.dumps([number, upload.hex()]).encode() + b"\n")
            step("left")


def one_life(wish):
    """Fork, live, and tell how it ended and what left."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 1
        try:
            live(Path(wish["home"]), wish["numbers"], wish["die_at"], write)
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
