"""A hospital's ledger as its operator reads it: what was spent, what is left, what more would come to.

Sums are of ledger units, in which losses add up exactly; the epsilon of a sum is worked out from it at the end.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from functools import partial

from farr.errors import FarrError
from farr.hospital.learnt import Learnt
from farr.texts import _
from node.authority.policy import Policy, period_start
from node.books.ledger import Charge
from queries.cost.accounting import DELTA, epsilon_of, rho_of, rho_of_units, units
from queries.errors import PrivacyError

EXPORTED = (
    "number", "at", "analyst", "purpose", "reason", "table", "units", "rho", "epsilon", "period", "policy", "approval",
    "request", "round", "run", "run_round", "model", "target", "epoch", "slot", "evidence",
)  # fmt: skip
"""Fields of an exported row, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A privacy loss, in the three ways in which people read it."""

    units: int
    """In ledger units: exact."""

    @property
    def rho(self) -> float:
        """Return it in zCDP."""
        return float(rho_of_units(self.units))

    @property
    def epsilon(self) -> float:
        """Return it as an epsilon at the usual delta."""
        return epsilon_of(rho_of_units(self.units))

    def to_plain(self) -> dict[str, float | int]:
        """Return it as JSON can hold it."""
        return {"units": self.units, "rho": self.rho, "epsilon": self.epsilon, "delta": float(DELTA)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One budget: what it is for, what was spent of it, and what is left."""

    name: str
    """``lifetime``, a purpose, or the day on which a period began."""
    spent: Loss
    """So far."""
    cap: Loss | None
    """All of it; None: the policy does not name it, or cannot be read."""

    @property
    def left(self) -> Loss | None:
        """Return what may still be spent."""
        return None if self.cap is None else Loss(units=max(0, self.cap.units - self.spent.units))

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "name": self.name,
            "spent": self.spent.to_plain(),
            "cap": None if self.cap is None else self.cap.to_plain(),
            "left": None if self.left is None else self.left.to_plain(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All charges of a hospital, and its budgets."""

    charges: tuple[Charge, ...]
    """Oldest first."""
    policy: Policy | None
    """As it is now; None: it cannot be read, so nothing may be spent."""
    now: int
    """Seconds since 1970, UTC."""
    runs: Mapping[tuple[str, str], Learnt] = field(default_factory=dict)
    """What runs of training trained, by id and analyst."""

    def learnt(self, charge: Charge) -> Learnt | None:
        """Return what the run of a charge trained; None: it is of none, or of one whose plan cannot be read."""
        return self.runs.get((str(run_of(charge).get("id", "")), charge.analyst))

    def lifetime(self) -> Line:
        """Return the budget for life."""
        cap = None if self.policy is None else Loss(units=self.policy.lifetime_units)
        return Line(name="lifetime", spent=Loss(units=sum(each.units for each in self.charges)), cap=cap)

    def purposes(self) -> tuple[Line, ...]:
        """Return the budget of each purpose, those of the policy and those that were ever charged."""
        caps = {} if self.policy is None else self.policy.purposes
        spent: dict[str, int] = defaultdict(int)
        for charge in self.charges:
            spent[charge.purpose] += charge.units
        return tuple(
            Line(name=name, spent=Loss(units=spent.get(name, 0)), cap=Loss(units=caps[name]) if name in caps else None)
            for name in sorted({*caps, *(name for name, paid in spent.items() if paid)})
        )

    def periods(self) -> tuple[Line, ...]:
        """Return what each period of the calendar came to, oldest first; the running one is there in any case.

        What was not used in one is not carried over, so only the running one has something left.
        """
        start_of = partial(period_start, "month") if self.policy is None else self.policy.period_start
        running = start_of(self.now)
        spent: dict[int, int] = {running: 0}
        for charge in self.charges:
            start = running if charge.counts_since(running) else start_of(charge.at)
            spent[start] = spent.get(start, 0) + charge.units
        cap = None if self.policy is None else Loss(units=self.policy.units_per_period)
        return tuple(
            Line(name=_day(start, self.policy), spent=Loss(units=paid), cap=cap if start == running else None)
            for start, paid in sorted(spent.items())
        )

    def to_plain(self) -> dict[str, object]:
        """Return its sums as JSON can hold them."""
        return {
            "lifetime": self.lifetime().to_plain(),
            "purposes": [line.to_plain() for line in self.purposes()],
            "period": None if self.policy is None else self.policy.period,
            "periods": [line.to_plain() for line in self.periods()],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What some further questions would come to."""

    each: Loss
    """One of them."""
    times: int
    """How many."""
    total: Loss
    """All of them."""
    after: Line
    """The budget for life behind them."""
    fit: Mapping[str, int]
    """By budget (``lifetime``, ``purpose``, ``period``), how many fit now; of a period, into each new one."""
    stops: str
    """The key of the policy that would stop them first; empty: all fit."""

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "each": self.each.to_plain(),
            "times": self.times,
            "total": self.total.to_plain(),
            "after": self.after.to_plain(),
            "fit": dict(self.fit),
            "stops": self.stops,
        }


def what_if(account: Account, *, epsilon: float, times: int, purpose: str) -> Prospect:
    """Return what so many questions at this price would come to; raise FarrError where no policy can be read.

    They may be spread over time, so a period stops them only where not even one fits into a new one.
    """
    policy = account.policy
    if policy is None:
        raise FarrError("policy", _("the policy cannot be read"), remedy=_("correct it: farr node policy check"))
    try:
        each = units(rho_of(epsilon))
    except PrivacyError as error:
        raise FarrError("usage", error.message, remedy=error.remedy) from error
    lifetime = account.lifetime()
    spent = {line.name: line.spent.units for line in account.purposes()}
    fit = {
        "lifetime": max(0, policy.lifetime_units - lifetime.spent.units) // each,
        "purpose": max(0, policy.purposes.get(purpose, 0) - spent.get(purpose, 0)) // each,
        "period": policy.units_per_period // each,
    }
    stops = ""
    if each > policy.most_units_per_question:
        stops = "most_epsilon_per_question"
    elif purpose not in policy.purposes:
        stops = "purposes"
    elif min(fit["lifetime"], times) <= min(fit["purpose"], times) and fit["lifetime"] < times:
        stops = "lifetime_epsilon"
    elif fit["purpose"] < times:
        stops = f"purposes.{purpose}"
    elif fit["period"] < 1:
        stops = "epsilon_per_period"
    after = Line(name="lifetime", spent=Loss(units=lifetime.spent.units + each * times), cap=lifetime.cap)
    return Prospect(
        each=Loss(units=each), times=times, total=Loss(units=each * times), after=after, fit=fit, stops=stops
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the ledger for people: one charge, or all charges of one run of training."""

    charges: tuple[Charge, ...]
    """Oldest first; one, or the rounds of one run."""
    run: str
    """Id of the run, hex; empty: none."""

    @property
    def loss(self) -> Loss:
        """Return what they came to."""
        return Loss(units=sum(charge.units for charge in self.charges))


def run_of(charge: Charge) -> Mapping[str, object]:
    """Return the run of training that a charge says it was a round of: id, design, round, rounds, units; else nothing.

    It stands in the charge's evidence, which the ledger's chain of digests holds.
    """
    evidence = json.loads(charge.evidence or "{}")
    run = evidence.get("run") if isinstance(evidence, dict) else None
    return run if isinstance(run, dict) else {}


def entries(account: Account) -> tuple[Entry, ...]:
    """Return the charges, oldest first, the rounds of one run of one analyst together where its first one stands."""
    found: dict[object, list[Charge]] = {}
    for charge in account.charges:
        run = run_of(charge)
        found.setdefault((run["id"], charge.analyst) if run else charge.request, []).append(charge)
    return tuple(Entry(charges=tuple(charges), run=str(run_of(charges[0]).get("id", ""))) for charges in found.values())


def plain_charge(number: int, charge: Charge, learnt: Learnt | None = None) -> dict[str, object]:
    """Return a charge as JSON can hold it, with what its run trained."""
    return {
        "number": number,
        "request": charge.request.hex(),
        "round": charge.tau.hex(),
        "epoch": charge.epoch,
        "slot": charge.slot,
        "units": charge.units,
        "rho": float(rho_of_units(charge.units)),
        "epsilon": epsilon_of(Fraction(rho_of_units(charge.units))),
        "table": charge.table,
        "analyst": charge.analyst,
        "purpose": charge.purpose,
        "reason": charge.reason,
        "at": charge.at,
        "period": charge.period,
        "policy": charge.policy.hex(),
        "approval": charge.approval,
        "run": run_of(charge).get("id", ""),
        "run_round": run_of(charge).get("round"),
        "model": "" if learnt is None else learnt.model,
        "target": "" if learnt is None else learnt.target,
        "evidence": json.loads(charge.evidence),
    }


def plain_charges(account: Account) -> list[dict[str, object]]:
    """Return all charges so, oldest first."""
    return [plain_charge(each, charge, account.learnt(charge)) for each, charge in enumerate(account.charges, start=1)]


def exported(account: Account, suffix: str) -> str:
    """Return the ledger as a file for other programs, ``.csv`` or ``.json``; raise FarrError for another ending."""
    rows = plain_charges(account)
    if suffix == ".json":
        return json.dumps({"charges": rows, **account.to_plain()}, ensure_ascii=False, indent=1) + "\n"
    if suffix != ".csv":
        raise FarrError(
            "usage", _("a ledger is exported as .csv or .json"), remedy=_("name a file with such an ending")
        )
    text = io.StringIO()
    written = csv.writer(text)
    written.writerow(EXPORTED)
    for row in rows:
        at = datetime.fromtimestamp(int(str(row["at"])), UTC).isoformat()
        plain = {**row, "at": at, "evidence": json.dumps(row["evidence"]), "approval": row["approval"] or ""}
        plain["run_round"] = row["run_round"] or ""
        written.writerow([_inert(plain[name]) for name in EXPORTED])
    return text.getvalue()


def _inert(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula: reasons are other people's words."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def _day(start: int, policy: Policy | None) -> str:
    return datetime.fromtimestamp(start, UTC if policy is None else clocks(policy)).strftime("%Y-%m-%d")


def clocks(policy: Policy) -> timezone:
    """Return the hospital's clocks, by which its periods begin; their name is such as UTC+08:00."""
    return timezone(timedelta(seconds=policy.utc_offset))
