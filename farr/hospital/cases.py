"""A request that waits for a person here, and all that whoever decides should see of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from farr.hospital import run_words
from farr.hospital.overlap import Overlap
from farr.texts import _
from node.authority.decisions import Decision
from node.authority.proposals import Judged
from node.authority.standing import Against
from node.books.ledger import Trained
from protocols.request import Request, Run
from protocols.wire_pb2 import Request as RequestMessage
from queries.agreed.catalogue import Catalogue
from queries.asked.canonical import decode
from queries.asked.plan import Plan
from queries.cost.accounting import epsilon_of, rho_of_units
from queries.errors import PlanError

OVER = "over"
"""The rule of a request that ended, should nothing but the coordinator's word say so."""

READY, HELD, DENIED, ANSWERED, ENDED = "ready", "held", "denied", "answered", "ended"
"""Where a request stands, in a word: answered and ended ones wait for nothing."""


MOST_SHORT = 100
"""Characters of a question that a list shows."""


def shortened(text: str) -> str:
    """Return how a text begins; one that goes on ends in an ellipsis."""
    return text if len(text) <= MOST_SHORT else f"{text[: MOST_SHORT - 1].rstrip()}…"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request that the coordinator asked this hospital about."""

    id: str
    """Of the request, hex."""
    asked: RequestMessage
    """As its analyst signed it."""
    analyst: str
    """Who asks."""
    authority: str
    """On whose authority, by the roster; empty: the analyst is no member any more."""
    arrived: int
    """Seconds since 1970, UTC: when this hospital heard of it."""
    stand: str
    """``ready``, ``held``, ``denied``, ``answered`` or ``ended``."""
    rule: str
    """The key of the policy that holds or withholds it."""
    detail: str
    """Why, in words."""
    word: Decision | None
    """The operator's last word on it."""
    judged: Judged | None
    """All that it was judged by; None once it was answered or is past its time."""
    request: Request
    """The same, read."""
    trained: Trained
    """What was charged here for the run of training that it is a round of."""
    catalogue: Catalogue
    """That the federation agreed on: in whose units a run is told."""

    @property
    def run(self) -> Run | None:
        """Return the run of training that it is a round of: a word is on all of it. None: a question of its own."""
        return self.request.run

    @property
    def units(self) -> int:
        """Return the most that a word on it lets be charged, in ledger units: of a round, for the whole run."""
        return self.asked.rho_units if self.run is None else self.run.rho_units

    @property
    def epsilon(self) -> float:
        """Return the same as an epsilon."""
        return epsilon_of(rho_of_units(self.units))

    @property
    def text(self) -> str:
        """Return what is asked, for people: of a round of training what its plan says, else as the analyst typed it.

        Guarantee: of a run, answered and past ones too, no word of its analyst stands where its plan is told. Test:
        tests/farr/test_approving_runs.py::test_a_run_that_was_answered_is_still_told_by_its_plan.
        """
        return self._told(run_words.run_in_words)

    @property
    def short(self) -> str:
        """Return the same in one line, for a list: of a run without its price, of a question how it begins."""
        return shortened(" ".join(self._told(run_words.run_in_short).split()))

    def _told(self, words: Callable[[Run, Plan, Catalogue | None], str]) -> str:
        if self.run is None:
            return self.asked.statement or self.asked.reason
        try:
            plan = decode(Plan, self.request.plan)
        except PlanError:
            return _("a run whose plan cannot be read")
        return words(self.run, plan, self.catalogue)

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        asked, word = self.asked, self.word
        return {
            "id": self.id,
            "stand": self.stand,
            "analyst": self.analyst,
            "authority": self.authority,
            "purpose": asked.purpose,
            "reason": asked.reason,
            "statement": asked.statement,
            "units": asked.rho_units,
            "epsilon": epsilon_of(rho_of_units(asked.rho_units)),
            "run": None
            if self.run is None
            else {
                "id": self.run.id.hex(),
                "design": self.run.design.hex(),
                "round": self.run.round,
                "rounds": self.run.rounds,
                "units": self.run.rho_units,
                "epsilon": self.epsilon,
                "answered": self.trained.rounds,
                "spent": self.trained.units,
                "text": self.text,
            },
            "arrived": self.arrived,
            "expires_at": asked.expires_at,
            "rule": self.rule,
            "detail": self.detail,
            "decision": None
            if word is None
            else {"number": word.number, "kind": word.kind, "by": word.by, "at": word.at},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One budget, before and after a request is answered; in ledger units."""

    budget: str
    """``lifetime``, ``purpose`` or ``period``."""
    before: int
    """What is left now."""
    after: int
    """What would be left; below 0 it would not be answered."""


@dataclass(frozen=True, kw_only=True)
class Closely:
    """A case with all that whoever decides should see."""

    case: Case
    """The request."""
    tables: tuple[str, ...]
    """Tables that it reads."""
    columns: tuple[str, ...]
    """Columns that it reads, as ``table.column``."""
    figures: tuple[str, ...]
    """What it measures, by the plan: the question's own text is only its analyst's word."""
    rows: tuple[str, ...]
    """Of which rows, table by table, likewise."""
    groupings: tuple[str, ...]
    """What its figures are grouped by."""
    hospitals: int
    """Hospitals that it asks."""
    counted: int
    """Of them, those that this node has known long enough."""
    minimum: int
    """Fewest behind the answer."""
    left: tuple[Left, ...]
    """Budgets, before and after."""
    overlaps: tuple[Overlap, ...]
    """Earlier questions about the same patients."""
    standing: tuple[Against, ...] = ()
    """Standing approvals of the pack whose run it says it is, with the limit that holds it all the same."""

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            **self.case.to_plain(),
            "tables": list(self.tables),
            "columns": list(self.columns),
            "figures": list(self.figures),
            "rows": list(self.rows),
            "groupings": list(self.groupings),
            "hospitals": self.hospitals,
            "counted": self.counted,
            "minimum": self.minimum,
            "left": [{"budget": each.budget, "before": each.before, "after": each.after} for each in self.left],
            "overlaps": [each.to_plain() for each in self.overlaps],
            "standing": [{"number": each.number, "limit": each.limit} for each in self.standing],
        }
