from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from node.audit import Audit
from node.ledger import Ledger
from protocols import announcement as announcements
from protocols import upload as uploads
from protocols.wire_pb2 import Signed
from tests.node.mortal import asked
from tests.node.rig import Rig, roster

ROOT = Path(__file__).resolve().parents[2]
POINTS = ("read", "checked", "scanned", "begun", "charged", "noised", "stored", "committed", "left")


class Undertaker:
    """Lets nodes live and die, and keeps what left each of them."""

    def __init__(self):
        """Start the process that they are forked from."""
        command = [sys.executable, "-m", "tests.node.mortal"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ended_by = 0

    def life(self, home, numbers, *, die_at=None, kill_after=None):
        """Return what left one life of a node."""
        wish = {"home": str(home), "numbers": list(numbers), "die_at": die_at, "kill_after": kill_after}
        self.process.stdin.write(json.dumps(wish) + "\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        self.ended_by = told["signal"]
        return {number: bytes.fromhex(upload) for number, upload in told["left"]}

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def undertaker():
    """One process to fork from, for all tests."""
    made = Undertaker()
    yield made
    made.close()


def examine(home, left, numbers):
    """Check a home after deaths, against everything that ever left it; return how many charges there are."""
    rig = Rig(home)
    ledger = Ledger(connection=rig.connection)
    charges = {charge.tau: charge for charge in ledger.charges()}
    assert ledger.verify() is None
    assert Audit(connection=rig.connection).verify() is None
    stored = {tau: ledger.stored(tau) for tau in charges}
    assert None not in stored.values()

    # Charged at least what left.
    taus = {number: announcements.tau(asked(number)) for number in numbers}
    cost = rig.answerer.compiler.compile(announced(1).request.plan, announced(1).request.rho_units).cost
    assert ledger.spent() == len(charges) * cost >= len(left) * cost
    for number, upload in left.items():
        assert stored[taus[number]] == upload

    # Asked again, the same bytes for what was charged, and never the same noise twice.
    again = {number: rig.answer(asked(number)).SerializeToString(deterministic=True) for number in numbers}
    for number, upload in again.items():
        assert stored.get(taus[number], upload) == upload
    vectors = [
        uploads.read(Signed.FromString(upload), roster=roster, announcement=taus[number], entries=120).vector
        for number, upload in again.items()
    ]
    noise = [tuple(np.diff(vector.view(np.int64))) for vector in vectors]
    assert Counter(noise).most_common(1)[0][1] == 1
    rig.close()
    return len(charges)


def announced(number):
    """Return the announcement of this number as a node reads it."""
    return announcements.read(asked(number), roster=roster, now=1_800_000_000)


@pytest.mark.parametrize("point", POINTS)
def test_a_node_that_is_killed_at_any_step_undercounts_nothing(undertaker, tmp_path, point):
    """Killed before the commit, nothing was charged and nothing left; after it, the charge and the same bytes hold."""
    home = tmp_path / "home"
    left = undertaker.life(home, [1], die_at=point)
    assert undertaker.ended_by == signal.SIGKILL
    assert bool(left) == (point == "left")
    charged = examine(home, left, [1])
    assert charged == (1 if point in {"committed", "left"} else 0)


@pytest.mark.parametrize("point", POINTS)
def test_lives_that_end_at_a_step_again_and_again_end_well(undertaker, tmp_path, point):
    """Announced again after every death, a question is answered by the first life that is let to, always alike."""
    home = tmp_path / "home"
    left = undertaker.life(home, [1])
    left |= undertaker.life(home, [1, 2], die_at=point if point != "left" else None)
    for upload in (undertaker.life(home, [2], die_at=point) for _ in range(2)):
        left |= upload
    assert undertaker.life(home, [1])[1] == left[1]
    examine(home, left, [1, 2])


def test_a_node_that_is_killed_at_any_instant_undercounts_nothing(undertaker, tmp_path):
    """Killed at random instants, over many lives of one home: no upload without its charge, none in two versions."""
    home, left = tmp_path / "home", {}
    instants = random.Random(7)  # noqa: S311
    numbers = range(1, 61)
    for life in range(30):
        begin = life * 2
        asked_now = [number for number in numbers if number > begin][:6] + list(range(1, begin + 1))[-4:]
        told = undertaker.life(home, asked_now, kill_after=instants.uniform(0.003, 0.08))
        for number, upload in told.items():
            assert left.setdefault(number, upload) == upload
    assert len(left) > 3
    examine(home, left, sorted(left))
