from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from node.books.audit import Audit
from node.books.ledger import Ledger
from node.books.promises import Promises
from node.books.state import read_state
from protocols import announcement as announcements
from protocols import upload as uploads
from protocols.wire_pb2 import Confirmation, Signed
from tests.node.mortal import asked
from tests.node.rig import NOW, Rig, roster

ROOT = Path(__file__).resolve().parents[2]
BEFORE = (
    "offering", "offered", "accepting", "accepted",
    "read", "checked", "scanned", "begun", "charged", "noised", "masked", "stored",
)  # fmt: skip
"""Steps before anything of a round is durable."""

LEFT = {
    **dict.fromkeys(BEFORE, 0),
    "committed": 0,
    "upload left": 1, "confirming": 1, "confirmed": 1,
    "confirmation left": 2, "releasing": 2, "released": 2,
    "shares left": 3,
}  # fmt: skip
"""By the step at which a node dies, how many messages of a round have left it."""

RELEASED = ("released", "shares left")
CONFIRMED = ("confirmed", "confirmation left", "releasing", *RELEASED)


class Undertaker:
    """Lets nodes live and die, and keeps what left each of them."""

    def __init__(self):
        """Start the process that they are forked from."""
        command = [sys.executable, "-m", "tests.node.mortal"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ended_by = 0

    def life(self, home, epoch, numbers, *, old=(), die_at=None, kill_after=None, apart=False):
        """Return what left one life of a node: kind, announcement and message, all of them bytes or text."""
        wish = {"home": str(home), "epoch": epoch, "numbers": list(numbers), "old": [each.hex() for each in old]}
        self.process.stdin.write(
            json.dumps({**wish, "die_at": die_at, "kill_after": kill_after, "apart": apart}) + "\n"
        )
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        self.ended_by = told["signal"]
        return [(kind, bytes.fromhex(announced), bytes.fromhex(message)) for kind, announced, message in told["left"]]

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def undertaker():
    """One process to fork from, for all tests."""
    made = Undertaker()
    yield made
    made.close()


def examine(home, left):
    """Check a home after deaths, against everything that ever left it; return how many charges there are."""
    rig = Rig(home, number=0)
    ledger, promises = Ledger(connection=rig.connection), Promises(connection=rig.connection)
    charges = {charge.tau: charge for charge in ledger.charges()}
    assert ledger.verify() is None
    assert Audit(connection=rig.connection).verify() is None
    stored = {tau: ledger.stored(tau) for tau in charges}
    assert None not in stored.values()
    cost = rig.answerer.compiler.compile(announced(1).request.plan, announced(1).request.rho_units, 1).cost
    assert ledger.spent() == len(charges) * cost

    said = {}
    for kind, signed, message in left:
        tau = announcements.tau(Signed.FromString(signed))
        # Charged at least what left, said once, and asked again the same bytes.
        assert said.setdefault((kind, tau), message) == message
        epoch, record = promises.bound(tau)
        assert record.sent
        if kind == "upload":
            assert stored[tau] == message
            assert rig.answer(Signed.FromString(signed)).SerializeToString(deterministic=True) == message
        elif kind == "confirmation":
            body = Confirmation.FromString(message).signed.body
            assert body == promises.frozen(epoch) + record.confirmed
        else:
            assert record.released == record.confirmed

    # Never the same hidden vector twice.
    vectors = [
        uploads.read(Signed.FromString(upload), roster=roster, announcement=tau, entries=122).vector
        for tau, upload in stored.items()
    ]
    assert all(count == 1 for count in Counter(vector.tobytes() for vector in vectors).values())
    rig.close()
    return len(charges)


def announced(number):
    """Return the announcement of this number as a node reads it."""
    return announcements.read(asked(number), roster=roster, now=NOW)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("point", LEFT)
def test_a_node_that_is_killed_at_any_step_undercounts_nothing(undertaker, tmp_path, point, apart):
    """Killed before a commit, nothing of it left; after it, charge, promise and the same bytes hold.

    Also where the records are read beside the desk, as an app does, and all that is public is looked at twice.
    """
    home = tmp_path / "home"
    left = undertaker.life(home, 1, [1], die_at=point, apart=apart)
    assert undertaker.ended_by == signal.SIGKILL
    assert [kind for kind, _, _ in left] == ["upload", "confirmation", "shares"][: LEFT[point]]
    assert examine(home, left) == (0 if point in BEFORE else 1)
    promises = Promises(connection=read_state(home))
    bound = promises.slot(1, 1)
    # What was bound before the message could leave stays bound, whether or not it left.
    assert (bound.announced is not None) == (point not in BEFORE)
    assert (bound.confirmed is not None) == (point in CONFIRMED)
    assert (bound.released is not None) == (point in RELEASED)
    assert (promises.epoch().number, promises.frozen(1) is not None) == (
        0 if point == "offering" else 1,
        point not in {"offering", "offered", "accepting"},
    )
    promises.connection.close()


@pytest.mark.parametrize("point", LEFT)
def test_lives_that_end_at_a_step_again_and_again_end_well(undertaker, tmp_path, point):
    """After every death the node waits for the next epoch; what it answered stays answered, in the same bytes."""
    home = tmp_path / "home"
    left = undertaker.life(home, 1, [1])
    assert [kind for kind, _, _ in left] == ["upload", "confirmation", "shares"]
    (first,) = {announcement for _, announcement, _ in left}
    for epoch in (2, 3):
        left += undertaker.life(home, epoch, [2], old=[first], die_at=point)
    again = undertaker.life(home, 4, [1, 2, 3], old=[first])
    assert again[0] == left[0]
    # Request 1 was answered in the first epoch, 2 in the first life that came to commit it, 3 is new.
    asked_now = [announcements.read(Signed.FromString(each), roster=roster, now=NOW) for _, each, _ in again[1:]]
    left_open = point in {*BEFORE, "upload left"}
    assert {each.request.id[-1] for each in asked_now} == ({2, 3} if left_open else {3})
    assert examine(home, left + again) == 3


def test_a_node_that_is_killed_at_any_instant_undercounts_nothing(undertaker, tmp_path):
    """Killed at random instants, over many lives of one home: nothing leaves unpaid or unbound, or in two versions."""
    home, left = tmp_path / "home", []
    instants = random.Random(7)  # noqa: S311
    for life in range(1, 31):
        numbers = range(life * 2, life * 2 + 4)
        old = list({announcement: None for _, announcement, _ in left})[-3:]
        left += undertaker.life(home, life, numbers, old=old, kill_after=instants.uniform(0.01, 0.05 + 0.02 * life))
    assert len(left) > 3
    examine(home, left)
