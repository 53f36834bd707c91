"""A whole log, checked offline: from a home and from the file that its operator exported."""

from __future__ import annotations

import json

import pytest

from farr.errors import FarrError
from farr.hospital import log_file
from protocols import checkpoint as checkpoints
from protocols import merkle
from protocols import roster as rosters
from protocols.checkpoint import Checkpoint
from tests.farr import harbour
from tests.protocols.test_log import fresh

KEY = harbour.key("registrar").public


def kept(count=12, signed=(4, 9, 12), *, log=None, key="brest"):
    """Return a hospital's log with checkpoints at some sizes."""
    log = log or fresh(count)
    made, previous = [], 0
    for size in signed:
        proof = tuple(merkle.consistency(previous, size, log.at)) if previous else ()
        made.append(
            checkpoints.write(
                Checkpoint(
                    federation="harbour", member="brest", size=size, root=log.root(size), at=7, previous=previous,
                    consistency=proof,
                ),
                harbour.key(key),
            )
        )  # fmt: skip
        previous = size
    return log_file.Kept(
        member="brest",
        federation="harbour",
        entries=tuple(log.entries()),
        checkpoints=tuple(made),
        roster=rosters.write(harbour.roster(), harbour.key("registrar")),
    )


def check(log):
    """Check a log."""
    return log_file.check(log, harbour.roster())


def test_a_log_comes_back_from_its_file_as_it_was():
    """All entries and checkpoints, with the roster that names the keeper."""
    log = kept()
    found, roster = log_file.read(log_file.write(log), registrar_key=KEY)
    assert found == log
    assert roster.federation == "harbour"
    assert check(found).good
    assert check(found).signed == 12


@pytest.mark.parametrize("number", [1, 5, 12])
def test_the_first_bad_entry_is_named(number):
    """A changed entry breaks the chain at its place; and where the whole chain was made anew, the checkpoint shows."""
    log = kept()
    entries = list(log.entries)
    entries[number - 1] = type(entries[0])(
        number=number, kind="started", at=8, facts="{}", digest=entries[number - 1].digest
    )
    changed = log_file.Kept(
        member=log.member, federation=log.federation, entries=tuple(entries), checkpoints=log.checkpoints,
        roster=log.roster,
    )  # fmt: skip
    assert check(changed).bad_entry == number
    again = kept(log=_rewritten(number))
    anew = log_file.Kept(
        member=log.member, federation=log.federation, entries=again.entries, checkpoints=log.checkpoints,
        roster=log.roster,
    )  # fmt: skip
    found = check(anew)
    assert not found.good
    assert found.bad_entry == {1: 1, 5: 5, 12: 10}[number]


def test_a_log_that_was_cut_off_is_named():
    """Entries that a checkpoint covers are gone."""
    log = kept()
    cut = log_file.Kept(
        member=log.member, federation=log.federation, entries=log.entries[:7], checkpoints=log.checkpoints,
        roster=log.roster,
    )  # fmt: skip
    assert check(cut).bad_entry == 8


def test_a_checkpoint_of_another_key_is_named():
    """Only the keeper signs for its log."""
    assert check(kept(key="aden")).bad_checkpoint is not None


def test_a_file_that_was_written_otherwise_is_refused():
    """Another spelling, a line less, another registrar: refused in words."""
    raw = log_file.write(kept())
    lines = raw.splitlines(keepends=True)
    head = json.loads(lines[0])
    for changed in (
        raw.replace(b",", b", ", 1),
        b"".join(lines[:-1]),
        raw[:-1],
        raw + b"\n",
        b"",
        b"[]\n",
        json.dumps(head | {"more": 1}).encode() + b"\n" + b"".join(lines[1:]),
    ):
        with pytest.raises(FarrError):
            log_file.read(changed, registrar_key=KEY)
    with pytest.raises(FarrError):
        log_file.read(raw, registrar_key=harbour.key("someone").public)


def _rewritten(number):
    """Return a log with one entry changed and everything after it made anew."""
    from tests.protocols.test_log import add

    log = fresh()
    for each in range(12):
        add(log, number=each if each != number - 1 else 99)
    return log
