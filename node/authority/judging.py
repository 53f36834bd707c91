"""What a hospital's policy says of one question: every rule in order, and the ruling that follows from them.

Judged on public facts only: the request, the plan, the price, the roster, the round, what was spent. No rule here looks
at a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from node.authority import finest, reads, runs, training
from node.authority.alike import alike
from node.authority.policy import FEAR, Policy
from node.authority.runs import priced
from node.authority.training import Check, Told
from node.books.ledger import NO_ROUND, Spent, Trained
from protocols.request import Request
from protocols.roster import Roster
from queries.agreed.catalogue import Catalogue
from queries.asked.plan import Part as PlanPart
from queries.asked.plan import Plan


class Outcome(Enum):
    """What becomes of a question."""

    ALLOWED = "allowed"
    HELD = "held"
    """Somebody at the hospital has to approve it."""
    WITHHELD = "withheld"
    """The hospital's records stay out of it, whoever approves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a rule, or all of them together, say of a question."""

    outcome: Outcome
    """What becomes of it."""
    rule: str = ""
    """The key of the policy that decided; empty: none stood against it."""
    code: str = ""
    """One of protocols/codes.py; empty where it is allowed."""
    told: Told = ""
    """The detail, or what writes it."""
    remedy: str = ""
    """What the operator could change, or what to ask instead."""

    @property
    def detail(self) -> str:
        """Return what was compared with what, for the operator."""
        return self.told if isinstance(self.told, str) else self.told()


@dataclass(frozen=True, kw_only=True)
class Question:
    """All that a ruling rests on."""

    site: str
    """Own member id."""
    request: Request
    """As its analyst signed it."""
    plan: Plan
    """Its plan, checked."""
    cost: int
    """In ledger units."""
    catalogue: Catalogue
    """What the plan was checked against."""
    tables: frozenset[str]
    """The catalogue's tables that the hospital has."""
    roster: Roster
    """That holds."""
    counted: frozenset[str]
    """Hospitals of the roster that this node has known long enough; itself always."""
    spent: Spent
    """What was charged so far."""
    trained: Trained = NO_ROUND
    """Of that, for the run of training that the request is a round of."""
    asked: tuple[str, ...]
    """Hospitals whose records are asked for: those of the round, or before it those of the request."""
    contributors: tuple[str, ...] = ()
    """All hospitals of the round; empty before it."""
    minimum: int | None = None
    """m: fewest hospitals in the sum; None: before the round, so that its own rule waits for it."""
    colluders: int = 0
    """c: of them, how many are feared to collude."""


def judge(policy: Policy, question: Question) -> Ruling:
    """Return the ruling: the first rule that withholds, else the first that holds, else allowed.

    Guarantee: it follows from its arguments, which are all public; budgets are checked again where the charge is
    written. Tests: tests/node/test_judging.py::test_each_rule_has_its_own_name_and_code,
    tests/node/test_judging.py::test_a_question_passes_exactly_where_every_rule_allows_it.
    """
    held = Ruling(outcome=Outcome.ALLOWED)
    for ruling in _rules(policy, question):
        if ruling.outcome is Outcome.WITHHELD:
            return ruling
        if ruling.outcome is Outcome.HELD and held.outcome is Outcome.ALLOWED:
            held = ruling
    return held


def trace(policy: Policy, question: Question) -> tuple[Ruling, ...]:
    """Return what each rule says, in order; of those that stand against the question, the first decides."""
    return tuple(_rules(policy, question))


def offered(policy: Policy, tables: frozenset[str]) -> frozenset[str]:
    """Return which of the hospital's tables may be asked about."""
    return frozenset(table for table in tables if policy.offers(table))


def fewest_behind(question: Question) -> int:
    """Return how many hospitals that count are sure to be on the roster, among those asked and behind the answer.

    Guarantee: a release may rest on no more hospitals than the request's minimum, and the newcomers may all be among
    them, so they are taken off it. Test: tests/node/test_judging.py::test_newcomers_reach_no_smallest_number.
    """
    known = sum(site in question.counted for site in question.asked)
    behind = question.request.minimum - (len(question.asked) - known)
    return max(0, min(sum(site in question.counted for site in question.roster.nodes), known, behind))


def _rules(policy: Policy, question: Question) -> Iterator[Ruling]:
    finest.check_names(policy, question.catalogue)
    yield from _who(policy, question)
    yield from _what(policy, question)
    yield from map(_checked, training.checks(policy.training, question.plan))
    yield from map(_checked, runs.checks(question.request, question.trained))
    yield from _among_whom(policy, question)
    yield from _how_much(policy, question)
    yield from _by_whom(policy, question)


def _who(policy: Policy, question: Question) -> Iterator[Ruling]:
    request, analyst = question.request, question.roster.by_id.get(question.request.analyst)
    authority = analyst.mandate.authority if analyst is not None and analyst.mandate is not None else "none"
    yield _rule(
        "authorities",
        policy.authorities is None or authority in policy.authorities,
        f"asked on the authority of: {authority}",
    )
    yield _rule(
        "analysts", policy.analysts is None or request.analyst in policy.analysts, f"asked by {request.analyst}"
    )
    yield _rule("purposes", request.purpose in policy.purposes, f"asked for {request.purpose!r}", code="wrong-purpose")


def _what(policy: Policy, question: Question) -> Iterator[Ruling]:
    plan, catalogue = question.plan, question.catalogue
    may = offered(policy, question.tables)
    parts = tuple(part for part in plan.parts if {part.table, *part.beside} <= may)
    yield _rule("tables", bool(parts), "asks " + ", ".join(plan.tables), code="unknown-table")
    read = sorted({column for part in parts for column in reads.columns(part)})
    closed = [] if policy.columns is None else [column for column in read if column not in policy.columns]
    yield _rule("columns", not closed, "reads " + (", ".join(closed or read) or "no column"))
    days = _first(parts, lambda part: finest.too_fine_days(part, policy.finest_time, catalogue))
    yield _rule("finest.time", not days, days or f"no finer than {policy.finest_time}")
    for name, level in policy.finest.items():
        fine = _first(parts, lambda part: finest.too_fine_codes(part, name, level, catalogue))  # noqa: B023
        yield _rule(f"finest.{name}", not fine, fine or f"no finer than {level}")


def _among_whom(policy: Policy, question: Question) -> Iterator[Ruling]:
    request, roster, counted = question.request, question.roster, question.counted
    fewest = fewest_behind(question)
    yield _rule(
        "minimum_hospitals",
        fewest >= policy.minimum_hospitals,
        f"{fewest} hospitals, at least {policy.minimum_hospitals}" + _newcomers(question.asked, counted),
        code="cohort-too-small",
    )
    if question.minimum is not None:
        strangers = sum(site not in counted for site in question.contributors)
        among = question.minimum - question.colluders - strangers
        yield _rule(
            "least_honest",
            among >= policy.least_honest,
            f"hidden among {max(0, among)} honest hospitals, at least {policy.least_honest}"
            + _newcomers(question.contributors, counted),
        )
    yield _rule(
        "trust_floor",
        FEAR.index(request.trust) >= FEAR.index(policy.trust_floor),
        f"trust {request.trust.value}, least {policy.trust_floor.value}",
    )
    if not policy.own_row:
        described = {site: roster.nodes[site] for site in question.asked if site in counted or site == question.site}
        group = alike(question.plan, question.site, described) if question.site in described else 0
        yield _rule(
            "site_group_minimum",
            group >= policy.site_group_minimum,
            f"told apart from all but {group} hospitals, at least {policy.site_group_minimum}",
        )


def _how_much(policy: Policy, question: Question) -> Iterator[Ruling]:
    # Of a run, all of it counts: against the limit on one question always, against budgets before its first round.
    run, cost, spent = question.request.run, question.cost, question.spent
    whole = cost if run is None else run.rho_units
    yield _budget("most_epsilon_per_question", whole, policy.most_units_per_question, "cost-limit")
    if not question.trained.units:
        cost = whole
    lifetime, purpose = policy.lifetime_units, policy.purposes.get(question.request.purpose, 0)
    yield _budget("lifetime_epsilon", cost, lifetime - spent.lifetime, "budget")
    yield _budget(f"purposes.{question.request.purpose}", cost, purpose - spent.purpose, "budget")
    yield _budget("epsilon_per_period", cost, policy.units_per_period - spent.period, "budget")


def _by_whom(policy: Policy, question: Question) -> Iterator[Ruling]:
    # Before the round as in it, the price counts: what is charged moves by a hair with the hospitals of the round.
    # Of a round of training, the price of its whole run: many cheap rounds need a person's word as one dear one does.
    purpose, run = question.request.purpose, question.request.run
    cost = question.request.rho_units if run is None else run.rho_units
    yield _rule(
        "approval_purposes",
        not policy.approves(purpose),
        f"asked for {purpose!r}",
        code="approval",
        outcome=Outcome.HELD,
    )
    yield _rule(
        "approval_above_epsilon",
        cost <= policy.approval_above_units,
        lambda: f"costs {priced(cost)}, without approval at most {priced(policy.approval_above_units)}",
        code="approval",
        outcome=Outcome.HELD,
    )


_REMEDY = "change {rule} in policy.toml where the hospital wants such questions answered"


def _rule(rule: str, holds: object, told: Told, *, code: str = "policy", outcome: Outcome = Outcome.WITHHELD) -> Ruling:
    if holds:
        return Ruling(outcome=Outcome.ALLOWED, rule=rule, told=told)
    remedy = "approve or deny it: farr node approvals" if outcome is Outcome.HELD else _REMEDY.format(rule=rule)
    return Ruling(outcome=outcome, rule=rule, code=code, told=told, remedy=remedy)


def _checked(check: Check) -> Ruling:
    ruling = _rule(check.rule, check.holds, check.told, code=check.code)
    return replace(ruling, remedy=check.remedy) if ruling.remedy and check.remedy else ruling


def _budget(rule: str, cost: int, left: int, code: str) -> Ruling:
    word = "at most" if rule == "most_epsilon_per_question" else "left"
    return _rule(rule, cost <= left, lambda: f"costs {priced(cost)}, {word} {priced(max(0, left))}", code=code)


def _newcomers(sites: tuple[str, ...], counted: frozenset[str]) -> str:
    strangers = [site for site in sites if site not in counted]
    return f"; too new to count: {', '.join(strangers)}" if strangers else ""


def _first(parts: tuple[PlanPart, ...], found: Callable[[PlanPart], Iterator[str]]) -> str:
    return next((text for part in parts for text in found(part)), "")
