"""A node on a file system of 600 kB, in a mount namespace of its own: it runs full, is emptied, and goes on."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from node.books.audit import Audit
from node.books.ledger import Ledger
from node.books.opening import open_checked
from queries.asked.canonical import encode
from queries.asked.plan import BandKey
from tests.node import rig

WIDE = encode(rig.plan(keys=(BandKey(column="age", starts=tuple(range(120))),)))
MS_REC_PRIVATE = 0x4000 | 0x40000


def mount(folder):
    """Mount a small file system; end the process where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=600k"):
        sys.stdout.write(f"no small file system: {os.strerror(ctypes.get_errno())}\n")
        sys.exit(3)


def main():
    """Fill the disk while a node answers, then make room."""
    disk = Path(sys.argv[1]) / "disk"
    disk.mkdir()
    mount(disk)
    rig.open_state = lambda home: open_checked(home, lambda: rig.NOW)
    node = rig.Rig(disk / "home")
    left, ballast = {}, disk / "ballast"
    ballast.write_bytes(bytes(100_000))
    for slot in range(1, 33):
        announced = rig.announce(rig.request(slot, plan=WIDE), slot=slot)
        answer = node.reply(announced)
        if answer.WhichOneof("kind") == "upload":
            left[slot] = answer.upload.SerializeToString(deterministic=True)
            continue
        if answer.refusal.code == "unavailable":
            break
    else:
        raise AssertionError("the disk never ran full")
    answered = len(list(Ledger(connection=node.connection).charges()))
    if answered != len(left):
        raise AssertionError(f"{answered} charged, {len(left)} left")
    ballast.unlink()
    if node.reply(announced).WhichOneof("kind") != "upload":
        raise AssertionError("does not answer with room on the disk")
    node.close()
    with open_checked(disk / "home", lambda: rig.NOW) as connection:
        ledger = Ledger(connection=connection)
        if ledger.verify() is not None or Audit(connection=connection).verify() is not None:
            raise AssertionError("the evidence does not hold")
        if len(list(ledger.charges())) != len(left) + 1:
            raise AssertionError("undercounted")
    sys.stdout.write(f"{len(left)} left, then the disk was full, then answered again\n")


if __name__ == "__main__":
    main()
