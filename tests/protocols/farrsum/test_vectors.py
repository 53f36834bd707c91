"""The vectors in tests/vectors/farrsum.json: the package makes them, and a second implementation agrees on each."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from protocols import hashing
from protocols.farrsum import field, sealing, shamir
from protocols.farrsum.cohort import Cohort, cohort, context
from protocols.farrsum.confirming import check_quorum, confirm
from protocols.farrsum.edges import edges
from protocols.farrsum.epoch import ExchangeKey, freeze, read_freeze
from protocols.farrsum.finishing import finish
from protocols.farrsum.rehearsal import Absences, rehearse
from protocols.farrsum.rehearsal import Hospital as Rehearsed
from protocols.farrsum.slot_record import SlotRecord
from protocols.farrsum.slots import read_deposit
from protocols.farrsum.unmasking import OwnShares, release_shares
from protocols.wire_pb2 import Deposit, Freeze, Signed

FILE = Path(__file__).resolve().parents[2] / "vectors" / "farrsum.json"
WRITTEN = json.loads(FILE.read_text(encoding="utf-8"))
ROUNDS = [pytest.param(case, id=case["name"]) for case in WRITTEN["rounds"]]
BAD = [pytest.param(bad, id=f"{bad['step']}: {bad['case']}") for bad in WRITTEN["bad"]]


class Known:
    """A round of the file, as far as a step needs it, rebuilt from what is written."""

    def __init__(self, case, hospitals):
        self.case, self.expected = case, case["expected"]
        self.members = hospitals.federation(len(case["hospitals"]))
        keys = [
            Signed(
                suite=1, kind="epoch-key", signer=each["name"], body=bytes.fromhex(key["body"]),
                signature=bytes.fromhex(key["signature"]),
            )
            for each, key in zip(case["hospitals"], self.expected["keys"], strict=True)
        ]  # fmt: skip
        self.epoch = self.read(freeze(case["number"], keys))
        self.tau, self.slot = bytes.fromhex(case["tau"]), case["slot"]
        self.survivors = tuple(self.expected["survivors"])
        asked = tuple(self.epoch.index[name] for name in case["vectors"])
        self.cohort = Cohort(slot=self.slot, tau=self.tau, members=asked, minimum=case["minimum"])
        self.named = bytes.fromhex(self.expected["context"])

    def read(self, message, own=None):
        """Read a freeze."""
        return read_freeze(
            message, number=self.case["number"], roster=self.members.roster,
            roster_digest=bytes.fromhex(self.case["roster"]), own=own,
        )  # fmt: skip

    def exchange(self, index, hospitals):
        """Return a hospital's exchange key."""
        return ExchangeKey.from_seed(hospitals.Shake(self.case["hospitals"][index]["entropy"])(32))

    def box(self, index, member, keeper):
        """Return salt and sealed share that a keeper is asked to open."""
        part = self.expected["uploads"].get(str(member)) or self.expected["deposits"][member]
        place = keeper if keeper < member else keeper - 1
        sealed = bytes.fromhex(part["sealed"])
        return bytes.fromhex(part["salt"]), sealed[36 * place : 36 * (place + 1)]

    def total(self):
        """Return the sum of the hidden vectors."""
        rows = [bytes.fromhex(self.expected["uploads"][str(member)]["vector"]) for member in self.survivors]
        return np.sum([np.frombuffer(row, dtype="<u8") for row in rows], axis=0, dtype=np.uint64)


def test_the_package_makes_what_is_written(hospitals, cases):
    """From the same entropy the package makes every byte of the file again."""
    assert json.loads(json.dumps(cases.make(hospitals))) == WRITTEN


@pytest.mark.parametrize("case", ROUNDS)
def test_a_second_implementation_agrees(naive, case):
    """Plain integers, messages spelt by hand and no code of the package: the same keys, boxes, vectors and sum."""
    assert naive.play(case) == case["expected"]


def test_the_second_implementation_shares_no_code(naive):
    """It imports nothing of the package, and no numpy."""
    tree = ast.parse(Path(naive.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= {"__future__", "hashlib", "hmac", "typing", "cryptography"}


@pytest.mark.parametrize("case", ROUNDS[:2])
def test_the_rehearsal_makes_the_same_sum(hospitals, cases, case):
    """The executable specification, which asks everybody, opens the written sum from the same entropy."""
    members = hospitals.federation(len(case["hospitals"]))
    taking_part = {
        each["name"]: Rehearsed(
            key=members.identities[each["name"]],
            vector=np.array(case["vectors"][each["name"]], dtype=np.uint64),
            entropy=hospitals.Shake(each["entropy"]),
        )
        for each in case["hospitals"]
    }
    epoch, survivors, total = rehearse(
        taking_part, roster=members.roster, roster_digest=members.roster_digest, number=case["number"],
        slot=case["slot"], tau=bytes.fromhex(case["tau"]), minimum=case["minimum"],
        absences=Absences(before_upload=frozenset(case["dropped"])),
    )  # fmt: skip
    assert epoch.digest.hex() == case["expected"]["freeze"]
    assert list(survivors) == case["expected"]["survivors"]
    assert total.tolist() == case["expected"]["sum"]


@pytest.mark.parametrize("case", ROUNDS)
def test_the_sum_is_that_of_the_survivors(case):
    """The written sum is the sum of the written vectors of those who did not drop out, modulo 2^64."""
    rows = [vector for name, vector in case["vectors"].items() if name not in case["dropped"]]
    assert [sum(column) % 2**64 for column in zip(*rows, strict=True)] == case["expected"]["sum"]


@pytest.mark.parametrize("bad", BAD)
def test_both_implementations_refuse_alike(hospitals, naive, bad):
    """Each bad step is refused with the code that is written, by the package and by the second implementation."""
    case = WRITTEN["rounds"][1]
    assert naive.step(case, bad) == bad["code"]
    _, code = hospitals.attempt(lambda: take(Known(case, hospitals), bad, hospitals))
    assert code == bad["code"]


def take(known, bad, hospitals):
    """Try one step with the package."""
    if bad["step"] == "freeze":
        known.read(Freeze.FromString(bytes.fromhex(bad["message"])), (bad["own"], bytes.fromhex(bad["own_key"])))
    elif bad["step"] == "cohort":
        cohort(
            epoch=known.epoch, slot=known.slot, tau=known.tau, contributors=bad["contributors"], minimum=bad["minimum"]
        )
    elif bad["step"] == "confirm":
        record = SlotRecord().announce(bytes.fromhex(bad.get("announced", known.case["tau"])))
        for survivors in bad["sets"]:
            record, _ = confirm(
                survivors, record=record, epoch=known.epoch, cohort=known.cohort, own=0, federation="test",
                key=known.members.identities[known.epoch.members[0]],
            )  # fmt: skip
    elif bad["step"] == "quorum":
        given = {int(index): bytes.fromhex(signature) for index, signature in bad["confirmations"].items()}
        check_quorum(given, known.named, epoch=known.epoch, roster=known.members.roster)
    elif bad["step"] == "box":
        unmask(known, bad, hospitals)
    elif bad["step"] == "deposit":
        parts = {part: bytes.fromhex(bad[part]) for part in ("freeze", "salt", "sealed", "backups")}
        read_deposit(Deposit(slot=known.slot, **parts), epoch=known.epoch, own=0)
    else:
        answers = {
            int(keeper): {int(member): bytes.fromhex(share) for member, share in shares.items()}
            for keeper, shares in bad["answers"].items()
        }
        backups = {int(member): bytes.fromhex(kept) for member, kept in bad["backups"].items()}
        total = finish(
            known.total(), epoch=known.epoch, cohort=known.cohort, survivors=known.survivors, backups=backups,
            answers=answers,
        )  # fmt: skip
        assert total.tolist() == known.expected["sum"]


def unmask(known, bad, hospitals):
    """Ask one keeper, with one box as the case has it."""
    keeper = bad["keeper"]
    boxes = {member: known.box(keeper, member, keeper) for member in known.cohort.members if member != keeper}
    boxes[bad["member"]] = bytes.fromhex(bad["salt"]), bytes.fromhex(bad["sealed"])
    own = OwnShares(
        slot_share=bytes.fromhex(known.expected["deposits"][keeper]["shares"][keeper]),
        self_share=bytes.fromhex(known.expected["uploads"][str(keeper)]["shares"][keeper]),
    )
    confirmations = {int(index): bytes.fromhex(given) for index, given in known.expected["confirmations"].items()}
    _, shares = release_shares(
        known.survivors, record=SlotRecord().announce(known.tau), epoch=known.epoch, cohort=known.cohort, own=keeper,
        edges=edges(known.epoch, keeper, known.exchange(keeper, hospitals)), own_shares=own,
        confirmations=confirmations, sealed=boxes, roster=known.members.roster,
    )  # fmt: skip
    assert {str(member): share.hex() for member, share in shares.items()} == known.expected["answers"][str(keeper)]


def test_the_context_is_the_one_that_is_written(hospitals):
    """What witnesses sign is fixed, byte for byte."""
    for case in WRITTEN["rounds"]:
        known = Known(case, hospitals)
        assert context(known.survivors, epoch=known.epoch, cohort=known.cohort) == known.named


def test_both_implementations_share_their_primitives(naive):
    """Hash, draws, polynomials, weights, masks, seals and permutations agree on their own vectors."""
    known = WRITTEN["primitives"]
    parts = [bytes.fromhex(part) for part in known["digest"]["parts"]]
    for own in (hashing.digest, naive.digest):
        assert own(known["digest"]["label"], *parts).hex() == known["digest"]["digest"]
    for own in (field.uniform, naive.uniform):
        draws = iter(bytes.fromhex(draw) for draw in known["uniform"]["draws"])
        assert list(own(2, lambda _, draws=draws: next(draws))) == known["uniform"]["elements"]
    shares = known["shares"]
    assert [naive.evaluate(shares["coefficients"], point) for point in shares["points"]] == shares["values"]
    for own in (shamir.weights, naive.weights):
        assert list(own(known["weights"]["points"])) == known["weights"]["weights"]
    seed, tau = bytes.fromhex(known["mask"]["seed"]), bytes.fromhex(known["mask"]["tau"])
    assert naive.mask(seed, tau, 6) == known["mask"]["entries"]
    seal = {name: bytes.fromhex(value) if isinstance(value, str) else value for name, value in known["sealed"].items()}
    sealed = seal.pop("sealed")
    for own in (sealing.seal, naive.seal):
        assert own(**seal) == sealed
    assert naive.permutation(bytes.fromhex(known["permutation"]["seed"]), 20) == known["permutation"]["order"]
