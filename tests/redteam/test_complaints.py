"""What users and reviewers of other systems for federated analysis have complained about, tried here.

Twenty public complaints, by number, and where each is tried (file, or file::test, in this folder unless a path is
given). "none": it is about comfort or networks, not about what leaves; the named test elsewhere looks after it.

    1  a stock privacy filter at an epsilon of 70,333 a round     test_an_epsilon_that_means_nothing
    2  a run goes to every hospital, past its approval            test_a_question_at_a_hospital_that_is_not_asked;
                                                                  test_approvals_attacked.py
    3  counts in a status page pass by the threshold              test_two_worlds.py
    4  a researcher's code may send any SQL                       test_a_plan_that_is_a_program
    5  a slow link wedges a round of 758 MB                       none: a cut link is taken up again,
                                                                  tests/node/test_link.py
    6  suppressed looks other than no data                        test_two_worlds.py::
                                                                  test_a_small_and_an_empty_cell_are_refused_alike
    7  a new kit of certificates almost weekly                    none: tests/farr/test_renewing.py
    8  a researcher could submit disclosive code                  test_a_plan_that_is_a_program
    9  difference attacks retrieve data                           test_guessing.py
    10 a column of ones and noughts, times another, and its mean  test_the_mean_of_one_patient
    11 a node dies behind an intercepting proxy                   none: tests/farr/test_doctor.py
    12 "failed, check the node's logs"                            test_an_error_that_says_nothing_useful
    13 an error's text holds values of records                    test_an_error_that_quotes_a_record
    14 nothing checks what leaves                                 test_two_worlds.py, tests/node/test_gate.py
    15 a client that polls every second                           none: requests are watched by a stream,
                                                                  tests/coordinator/test_rounds.py
    16 provisioning breaks behind NAT                             none: hospitals dial out, tests/farr/test_doctor.py
    17 a privacy filter passed values without noise               test_a_value_without_noise
    18 ten manual steps at each restart                           none: tests/node/test_serve.py
    19 no reconnection with TLS                                   none: tests/node/test_link.py
    20 permissions by column that filter and group get round      test_a_column_read_by_a_side_door
"""

from __future__ import annotations

import ast
import logging
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from node.authority import policy
from node.authority.policy import PolicyError
from node.books.ledger import Ledger
from node.noise import noisy_vector
from protocols.codes import ADVICE
from protocols.wire_pb2 import Note
from protocols.wire_pb2 import Upload as UploadMessage
from queries.asked.canonical import encode
from queries.asked.plan import Aggregate, Between, CodeKey, FlagKey, Members
from queries.cost.accounting import rho_of_units
from queries.cost.measurement import calibrate
from queries.cost.sensitivity import of_tally
from queries.cost.tally import tally
from queries.errors import PrivacyError
from tests.node.rig import HOSPITALS, POLICY, PRICE, Rig, announce, catalogue, plan, request

HERE = Path(__file__).resolve().parent


@pytest.fixture
def rig(tmp_path):
    """A node with a seat in the first epoch."""
    made = Rig(tmp_path / "home")
    yield made
    made.close()


def notes(rig, signed):
    """Have the node answer; return its notes. It charges exactly where it reads."""
    reads, spent = rig.records.reads, Ledger(connection=rig.connection).spent()
    upload = rig.answer(signed)
    assert (rig.records.reads > reads) == (Ledger(connection=rig.connection).spent() > spent)
    return list(UploadMessage.FromString(upload.body).notes)


def test_an_epsilon_that_means_nothing(rig):
    """A question is asked at an epsilon of tens of thousands; a hospital's policy is written to allow one.

    Gained: figures whose noise hides nobody, under the name of privacy.
    """
    for number, price in enumerate((1 << 44, 1 << 49), start=1):
        assert notes(rig, announce(request(number, rho_units=price), slot=number)) == [Note.NOTE_WITHHELD_COST]
    assert notes(rig, announce(request(3), slot=3)) == []
    for key in ("lifetime_epsilon = 10", "most_epsilon_per_question = 2.0", "epsilon_per_period = 100"):
        assert key in POLICY
        with pytest.raises(PolicyError):
            policy.parse(POLICY.replace(key, key.split(" = ")[0] + " = 70333").encode(), policy.FILE)


def test_a_question_at_a_hospital_that_is_not_asked(rig):
    """The coordinator sends a question to a hospital that the analyst did not name.

    Gained: records of a hospital that has no part in the project. It adds zeros, reads nothing and charges nothing.
    """
    others = tuple(site for site in HOSPITALS if site != rig.site)
    assert notes(rig, announce(request(1, sites=others), slot=1)) == []
    assert rig.records.reads == 0
    assert notes(rig, announce(request(2), slot=2)) == []
    assert rig.records.reads == 1


PROGRAMS = {
    "SQL": b"SELECT * FROM stay",
    "a statistic that there is not": encode(plan()).replace(b"count", b"every"),
    "a table that there is not": encode(plan()).replace(b"stay", b"pg_x"),
    "a column that there is not": encode(plan()).replace(b'"sex"', b'"pid"'),
    "a column with a quote": encode(plan()).replace(b'"sex"', b'"s\\"x"'),
    "the patient's own number": encode(plan()).replace(b'"sex"', b'"patient_id"'),
    "a pickle": b"\x80\x04\x95.",
    "nothing": b"",
    "a plan and something after it": encode(plan()) + b" ",
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_plan_that_is_a_program(rig, what):
    """An analyst, with the coordinator, sends something else than a plan: SQL, code, a column outside the catalogue.

    Gained: whatever a program in the hospital could read. A node has no interpreter for anything but plans.
    """
    assert PROGRAMS[what] != encode(plan())
    reply = rig.reply(announce(request(1, plan=PROGRAMS[what]), slot=1))
    assert reply.refusal.code in {"bad-plan", "wrong-catalogue", "malformed"}
    assert rig.records.reads == 0
    assert notes(rig, announce(request(2), slot=2)) == []


def test_the_mean_of_one_patient(rig):
    """A condition that one patient meets, and the sum of a column over it; or the same as a flag to group by.

    Gained: his value, which a threshold on the number of rows would not notice, were it met by adding others. The noise
    is for the widest value that the catalogue allows, whoever meets the condition: the same as for everybody's sum.
    """
    alone = Between(column="age", low=117, high=117)
    years = (Aggregate(statistic="sum", column="age"),)
    scales = set()
    for number, asked in enumerate(
        (
            plan(keys=(), aggregates=years),
            plan(keys=(), aggregates=years, where=alone),
            plan(keys=(FlagKey(term=alone),), aggregates=years),
        ),
        start=1,
    ):
        assert notes(rig, announce(request(number, plan=encode(asked)), slot=number)) == []
        shape = tally(asked, catalogue)
        measured = calibrate(shape, of_tally(shape, catalogue.sites_per_patient), rho_of_units(PRICE), 1)
        widest = max(measured.blocks, key=lambda block: block.sensitivity.l2_squared)
        assert widest.sensitivity.l2_squared >= 120**2
        scales.add(widest.share_scale / widest.grid)
    assert min(scales) > 120 * 2
    assert max(scales) == min(scales)


class Quoting(Exception):
    """What an engine raises: it quotes the record that it failed on."""


@pytest.mark.parametrize(
    "fault", [Quoting("could not cast 'Ines Alvarez, HIV+' to INT"), MemoryError("patient-p99x,F,Y")]
)
def test_an_error_that_quotes_a_record(rig, caplog, fault):
    """A scan fails, and the error's text holds the record that it failed on.

    Gained: the record. A code from a fixed list and a random number leave; log lines hold the kind of error only.
    """
    caplog.set_level(logging.DEBUG)
    signed = announce(request(1), slot=1)
    rig.records.fault = fault
    reply = rig.reply(signed)
    assert (reply.refusal.code, len(reply.refusal.reference)) == ("unavailable", 32)
    shown = reply.SerializeToString() + repr([vars(record) for record in caplog.records]).encode()
    for secret in ("Ines", "Alvarez", "HIV+", "p99x", "could not cast"):
        assert secret.encode() not in shown
    rig.records.fault = None
    assert notes(rig, signed) == []


def test_an_error_that_says_nothing_useful(rig):
    """The other way round: the analyst gets so little that the hospital is asked to read its logs aloud.

    Gained: logs in mails. Each code has advice for the analyst, and the operator finds the detail under the reference.
    """
    rig.records.fault = Quoting("disk")
    reference = rig.reply(announce(request(1), slot=1)).refusal.reference
    assert ADVICE["unavailable"]
    assert "disk" in (rig.home / "failures" / f"{reference}.txt").read_text()
    assert all(text for text in ADVICE.values())


def test_a_value_without_noise(rig):
    """The noise's scale is made smaller than what was charged for, or none, by a defect or by somebody's hand.

    Gained: the exact figures. The noise is computed a second time before it is drawn; nothing is drawn that costs more.
    """
    shape = tally(plan(), catalogue)
    good = calibrate(shape, of_tally(shape, catalogue.sites_per_patient), rho_of_units(PRICE), 1)
    exact = np.full(shape.entries, 100, dtype=np.int64)
    assert (noisy_vector(exact, good) != exact.astype(np.uint64) * good.blocks[0].grid).any()
    for scale in (Fraction(0), Fraction(1, 1024), good.blocks[0].share_scale / 2):
        bad = replace(good, blocks=tuple(replace(block, share_scale=scale) for block in good.blocks))
        with pytest.raises(PrivacyError):
            noisy_vector(exact, bad)
        broken = Rig(
            rig.home.parent / f"broken{scale.denominator}", noise=lambda vector, _, bad=bad: noisy_vector(vector, bad)
        )
        assert broken.reply(announce(request(1), slot=1)).WhichOneof("kind") == "refusal"
        assert Ledger(connection=broken.connection).spent() == 0
        broken.close()


DEAD = Members(column="died", codes=("Y",))
SIDE_DOORS = {
    "a group": {"keys": (CodeKey(column="died"),)},
    "a filter": {"where": DEAD},
    "a statistic's own filter": {
        "aggregates": (Aggregate(statistic="count", where=Members(column="died", codes=("Y",))),)
    },
    "a flag": {"keys": (FlagKey(term=Members(column="died", codes=("Y",))),)},
}


@pytest.mark.parametrize("what", SIDE_DOORS)
def test_a_column_read_by_a_side_door(rig, what):
    """A hospital closes a column; a question reads it as a group, in a filter, in a flag.

    Gained: the closed column. It counts as read wherever it stands.
    """
    (rig.home / policy.FILE).write_text(POLICY.replace('columns = "all"', 'columns = ["stay.sex", "stay.age"]'))
    asked = encode(plan(**SIDE_DOORS[what]))
    assert notes(rig, announce(request(1, plan=asked), slot=1)) == [Note.NOTE_WITHHELD_POLICY]
    assert notes(rig, announce(request(2), slot=2)) == []


def attacks():
    """Return each test of this folder, as file::test."""
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.name}::{node.name}", ast.get_docstring(node) or ""


def test_every_attack_is_in_the_threat_model():
    """Each test here has its row in the table of attacks, each row its test, and each says what would be gained."""
    text = (HERE.parents[1] / "docs" / "threat-model.md").read_text(encoding="utf-8")
    named = {f"{name}.py::{test}" for name, test in re.findall(r"`(test_\w+)::(test_\w+)`", text)}
    found = {name for name, told in attacks() if "Gained" in told}
    assert found == named
