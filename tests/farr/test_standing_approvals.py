"""Standing approvals of the pack that ships: every run of it is covered, and nothing else that can be asked."""

import io
from dataclasses import replace
from datetime import date
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

import farr
from farr.cli import approval_pages
from farr.errors import FarrError
from farr.hospital.office import Office
from farr.hospital.standing_approvals import Terms, add, items_of_pack, listed, to_plain, withdraw
from farr.packs import signed_packs
from farr.packs.indicators import Run, Scope, round_of
from farr.packs.signed_packs import read, shipped
from farr.questions.periods import period_of
from node.authority import policy, standing
from node.authority.decisions import STANDING, Decisions
from node.authority.proposals import Bench
from node.authority.standing import Limits
from node.books.state import open_state, transaction
from node.scan.compiled import Compiler
from protocols.request import Request
from protocols.roster import REGISTRAR
from queries.agreed.catalogue_file import read_catalogue
from queries.agreed.pack_items import items_of
from queries.sql import read as read_sql
from tests.node.rig import POLICY, roster

ROOT = Path(farr.__file__).parent
FACTS = {"level": "3", "type": "GEN", "teaching": "Y", "beds": "500-999"}
SITES = {
    "hangzhou": FACTS | {"prefecture": "3301", "province": "33"},
    "ningbo": FACTS | {"prefecture": "3302", "province": "33"},
    "nanjing": FACTS | {"prefecture": "3201", "province": "32"},
}
NOW = 1_800_000_000


@cache
def model():
    """Read the common model."""
    return read_catalogue((ROOT / "model" / "model.toml").read_bytes(), "model.toml")


@cache
def pack():
    """Read the shipped pack."""
    return read(shipped())


@cache
def approved():
    """Return what the shipped pack asks."""
    return items_of_pack(pack(), model(), SITES)


def run_of(names=(), **scope):
    """Return the plan of a run of the pack."""
    public = {name: Fraction(9_600_000) for name in pack().public}
    described = Scope(**{"period": period_of("2026-10"), "public": public, **scope})
    run = Run(pack=pack(), scope=described, catalogue=model(), sites=SITES)
    return round_of(run, pack().named(names), skip=True).question.plan


SCOPES = {
    "a month": {},
    "a year": {"period": period_of("2025")},
    "a province": {"region": ("33",)},
    "homes in a prefecture": {"residence": ("3301",)},
    "by month and level": {"period": period_of("2026-Q3"), "by": ("month", "level")},
    "by sex and age": {"by": ("sex", "age")},
    "by prefecture of residence": {"by": ("home",)},
}


@pytest.mark.parametrize("what", SCOPES)
def test_every_run_of_the_pack_is_covered(what):
    """Whatever period, region or grouping of its own, all indicators in one round or a few: nothing is foreign."""
    assert items_of(run_of(**SCOPES[what]), model()) <= approved()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT COUNT(*) AS n FROM discharge WHERE sex = '1' AND disch_dt BETWEEN '2026-10-01' AND '2026-10-31'",
        "SELECT AVG(age) AS a FROM discharge WHERE disch_dt BETWEEN '2026-10-01' AND '2026-10-31'",
        "SELECT dx_main, COUNT(*) AS n FROM discharge GROUP BY dx_main",
    ],
)
def test_what_the_pack_does_not_ask_is_not_covered(statement):
    """A question of the same tables, by an analyst who names the pack, waits for a person."""
    assert not items_of(read_sql(statement, model(), SITES).plan, model()) <= approved()


LIMITS = Limits(
    title="monthly@1", items=(), purpose="statistics", every="month", runs=1, units=1 << 40, total=1 << 41,
    hospitals=1, time="month", place="", until=NOW + 100, analyst="",
)  # fmt: skip


def covered(folder, plan, **changes):
    """Tell whether a standing approval with these limits covers a run."""
    limits = replace(LIMITS, items=tuple(sorted(item.hex() for item in approved())), **changes)
    connection = open_state(folder)
    try:
        with transaction(connection):
            Decisions(connection=connection).add(
                STANDING, by="li", at=NOW, subject=pack().digest, binding=standing.binding_of(pack().digest, limits),
                facts=standing.facts_of(limits),
            )  # fmt: skip
        request = Request(
            federation="f", id=bytes(16), analyst="ada", plan=b"", view=b"", rho_units=1, sites=("hangzhou",),
            minimum=1, purpose="statistics", created_at=NOW, expires_at=NOW + 1, statement="", fresh=False,
            pack=pack().digest,
        )  # fmt: skip
        found = standing.covering(connection, request=request, plan=plan, catalogue=model(), hospitals=3, now=NOW)
    finally:
        connection.close()
    return found is not None


LIMITED = {
    "a month": ({}, {}, True),
    "half a month": ({"period": period_of("2026-10-01..2026-10-15")}, {}, False),
    "a week": ({"period": period_of("2026-W41")}, {}, False),
    "a week, allowed by week": ({"period": period_of("2026-W41")}, {"time": "week"}, True),
    "homes, not allowed": ({"residence": ("3301",)}, {}, False),
    "homes by prefecture": ({"residence": ("3301",)}, {"place": "prefecture"}, True),
    "homes finer than allowed": ({"residence": ("330106",)}, {"place": "prefecture"}, False),
    "homes by prefecture, allowed by province": ({"by": ("home",)}, {"place": "province"}, False),
}


@pytest.mark.parametrize("what", LIMITED)
def test_runs_finer_than_approved_are_held(tmp_path, what):
    """The finest part of the calendar and the finest level of homes are limits on every key and every condition."""
    scope, changes, expected = LIMITED[what]
    assert covered(tmp_path, run_of(("mortality",), **scope), **changes) is expected


@pytest.fixture
def office(tmp_path):
    """The office of a node of the common model."""
    (tmp_path / policy.FILE).write_text(POLICY)
    connection = open_state(tmp_path)
    bench = Bench(
        member="brest", compiler=Compiler(catalogue=model()), connection=connection,
        policy=lambda: policy.load(tmp_path / policy.FILE), tables=frozenset(),
    )  # fmt: skip
    yield Office(home=tmp_path, held=None, bench=bench, roster=roster, clock=lambda: float(NOW))
    connection.close()


def terms(**changes):
    """Return what an operator allows the pack."""
    made = Terms(
        purpose="statistics", every="month", runs=1, epsilon=0.5, total=5.0, hospitals=10, time="month", place="",
        until=date(2027, 12, 31), analyst="",
    )  # fmt: skip
    return replace(made, **changes)


def signed_by(monkeypatch, signer, signed=None):
    """Have the pack be signed by somebody whose signature holds, or by nobody."""
    held = signed_packs.Held(pack=signed or pack(), file=shipped(), signer=signer)
    monkeypatch.setattr(signed_packs, "find", lambda _file, _home: held)


def test_a_standing_approval_is_added_listed_and_withdrawn(office, monkeypatch):
    """It is of the registrar's pack by its digest; withdrawn once, and no second time."""
    few = replace(pack(), indicators=pack().indicators[:8])
    signed_by(monkeypatch, REGISTRAR, few)
    number = add(office, shipped(), terms(), "li")
    (kept,) = listed(office)
    assert (kept.number, kept.decision.subject, kept.intact) == (number, pack().digest, True)
    assert frozenset(map(bytes.fromhex, kept.limits.items)) == items_of_pack(few, model(), roster.nodes)
    assert to_plain(kept, NOW)["state"] == "holds"
    assert to_plain(kept, kept.limits.until)["state"] == "ended"
    void = replace(kept, limits=replace(kept.limits, runs=100))
    assert to_plain(void, NOW)["state"] == "void"
    text = io.StringIO()
    Console(file=text, width=80).print(approval_pages.standing([to_plain(kept, NOW)]))
    (line,) = (each.split() for each in text.getvalue().splitlines() if each.startswith(f"{number:6}"))
    assert line[-5:-1] == ["0", f"{terms().epsilon:.3g}", f"{terms().total:.3g}", str(terms().until)]
    withdraw(office, number, "li")
    (kept,) = listed(office)
    assert to_plain(kept, NOW)["state"] == "withdrawn"
    with pytest.raises(FarrError, match="no standing approval"):
        withdraw(office, number, "li")


@pytest.mark.parametrize("signer", ["", "ada"])
def test_a_pack_that_the_registrar_did_not_sign_is_not_approved(office, monkeypatch, signer):
    """Signed by nobody, or by an analyst: refused, so nobody writes a pack for their own questions."""
    signed_by(monkeypatch, signer)
    with pytest.raises(FarrError, match="signed"):
        add(office, shipped(), terms(), "li")
    assert listed(office) == ()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"purpose": "audit"}, "--purpose"),
        ({"place": "street"}, "--finest-place"),
        ({"until": date(2020, 1, 1)}, "is over"),
    ],
)
def test_terms_that_make_no_sense_are_refused(office, monkeypatch, changes, named):
    """A purpose that the policy does not have, a level that no list has, a day that is over."""
    signed_by(monkeypatch, REGISTRAR)
    with pytest.raises(FarrError, match=named):
        add(office, shipped(), terms(**changes), "li")
