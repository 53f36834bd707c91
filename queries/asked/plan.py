"""The plan: a question in the catalogue's terms, with one canonical spelling in bytes.

A plan says which rows, which public cells, which statistics and how many rows a patient may contribute. It holds no
names for people, no ordering, no arithmetic between statistics and no parameter that only matters afterwards (those are
a ``View``, applied to noised values), so two questions that need the same numbers have the same bytes, and the released
answer of one serves the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from queries.agreed.catalogue import Catalogue, Table

# --- which rows -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The column's code is one of these; with a level, its group is."""

    column: str
    """A code column."""
    codes: tuple[str, ...]
    """Sorted, without repeats."""
    level: str | None = None
    """A level of the column's code set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """The column's number lies within, ends included, in the column's steps."""

    column: str
    """A number column."""
    low: int | None
    """None: no lower end."""
    high: int | None
    """None: no upper end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class During:
    """The column's day lies within, ends included."""

    column: str
    """A date column."""
    first: date | None
    """None: no beginning."""
    last: date | None
    """None: no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The column has no valid value in this row."""

    column: str
    """Any column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteIs:
    """The hospital is one of these: a public fact, the same for all rows of a hospital."""

    attribute: str | None
    """A site attribute, or None for the hospital's own identifier."""
    codes: tuple[str, ...]
    """Sorted, without repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The row is outside; an unknown stays unknown, as in SQL."""

    term: Predicate
    """What is negated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """All terms hold; with no terms, every row."""

    terms: tuple[Predicate, ...] = ()
    """Sorted by their canonical bytes, without repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Some:
    """At least one term holds; with no terms, no row."""

    terms: tuple[Predicate, ...] = ()
    """Sorted by their canonical bytes, without repeats."""


Predicate = Members | Between | During | Missing | SiteIs | Not | Every | Some

EVERYTHING = Every()


# --- which cells ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeKey:
    """One cell for each code of the column's set, or each group of a level."""

    column: str
    """A code column."""
    level: str | None = None
    """None: the codes themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandKey:
    """One cell for each band of a number; the last band ends at the column's upper bound."""

    column: str
    """A number column."""
    starts: tuple[int, ...]
    """Where each band starts, in steps, rising; the first is the column's lower bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateKey:
    """One cell for each part of the calendar between two days."""

    column: str
    """A date column."""
    part: str
    """``year``, ``quarter``, ``month``, ``week`` (ISO), ``day``, or in every year ``month_of_year``, ``weekday``."""
    first: date
    """First day covered."""
    last: date
    """Last day covered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKey:
    """One cell for each of these hospitals; a hospital fills only its own."""

    sites: tuple[str, ...]
    """Identifiers of certified hospitals, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeKey:
    """One cell for each value of a site attribute; a hospital fills only its own."""

    attribute: str
    """A site attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagKey:
    """Two cells, no and yes: whether a condition holds; a row of which it is unknown falls in neither."""

    term: Predicate
    """On rows."""


Key = CodeKey | BandKey | DateKey | SiteKey | AttributeKey | FlagKey


# --- which model ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberTerm:
    """A number less the middle of its column's bounds, over half their distance: from -1 to 1; 0 without a value."""

    column: str
    """A number column."""


ModelTerm = NumberTerm | Key
"""What a coefficient multiplies: a scaled number, or for each cell of a key after its first whether a row lies in it
(0 for a row without a cell)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a network."""

    kind: str
    """``linear``, or what is done to each number: ``relu``, ``tanh``, ``sigmoid``, ``gelu``."""
    width: int
    """Numbers that it gives. Of other kinds than ``linear``, as many as it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Some of the patients: by a keyed hash of the hospital's own, each lies in one of so many equal folds."""

    folds: int
    """How many."""
    first: int
    """First fold whose patients take part, from 0."""
    last: int
    """Last fold whose patients take part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One round of a model: sums over patients at one set of coefficients, each patient's part clipped."""

    model: str
    """``linear``, ``logistic``, ``poisson``, ``cox`` or ``network``."""
    outcome: NumberTerm | FlagKey | CodeKey
    """What is explained: a number (linear, poisson), a condition (logistic, cox: the event), codes (network)."""
    terms: tuple[ModelTerm, ...]
    """By what, without repeats. At least one."""
    clip: int
    """Largest L2 norm of one patient's gradient, in ``ONE``ths. At least 1."""
    reach: int
    """Largest Frobenius norm of one patient's information, in ``ONE``ths. At least 1."""
    point: tuple[int, ...]
    """The coefficients or weights at which sums are taken, in 2^-30ths."""
    wants: tuple[str, ...]
    """The sums: ``gradient``, ``information``, ``loss``, ``grades``, in that order. At least one."""
    weights: tuple[int, ...]
    """Of each sum: its share of the privacy loss is its weight over the sum of all. At least 1 each."""
    exposure: str | None = None
    """Of poisson, the number column of the amount of time or people behind a count; None: the same for all."""
    time: BandKey | None = None
    """Of cox, how long a row was followed, and where the intervals of a constant baseline hazard start."""
    strata: tuple[Key, ...] = ()
    """Of cox, the groups that have a baseline of their own, such as hospitals."""
    layers: tuple[Layer, ...] = ()
    """Of a network, what follows the terms, the first a linear one; the last gives one number or one a class."""
    cuts: tuple[int, ...] = ()
    """Of grades, where bands of the linear predictor end, in 2^-30ths, rising: one band more than cuts."""
    split: Split | None = None
    """The patients that take part; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStep:
    """One round of a researcher's own Flower app, which may have looked at every patient for every number it gives."""

    app: bytes
    """SHA-256 of the app's code: 32 bytes."""
    message: bytes
    """SHA-256 of what the app is sent: 32 bytes."""
    size: int
    """Bytes of that."""
    kind: str
    """``train``, ``evaluate`` or ``query``."""
    columns: tuple[str, ...]
    """The columns that it is handed, sorted, without repeats. At least one."""
    entries: int
    """Numbers that it gives."""
    clip: int
    """Largest L2 norm of what it gives, in ``ONE``ths. At least 1."""
    seconds: int
    """Time that it may take."""


ONE = 1 << 16
"""Parts of one in which clips are written."""

POINT = 1 << 30
"""Parts of one in which coefficients and weights are written."""


# --- which numbers ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """What one statistic measures in every cell; how the numbers are read afterwards is the view's affair."""

    statistic: str
    """The name of a statistic in ``queries/statistics``, such as ``count`` or ``survival``."""
    column: str | None = None
    """The column it reads; None where it reads none."""
    where: Predicate = EVERYTHING
    """The rows it counts, within those of the part (SQL's FILTER)."""
    by: tuple[Key, ...] = ()
    """Cells of its own inside each cell of the part: bands of time, arms, strata, whether an event happened."""
    columns: tuple[str, ...] = ()
    """Further number columns that it reads, such as regressors."""
    step: Step | AppStep | None = None
    """Of the statistic ``step``, the round of a model; of ``app``, of an app. None of any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How much of one patient enters an answer: enforced in the database, and what the sensitivity rests on."""

    rows: int
    """Most rows of one patient."""
    groups: int
    """Most cells that one patient's rows may lie in; at most ``rows``."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is asked of one table, in one set of cells."""

    table: str
    """The private table."""
    where: Predicate
    """The rows."""
    keys: tuple[Key, ...]
    """The cells are the product of these; empty: one cell."""
    aggregates: tuple[Aggregate, ...]
    """The statistics, without repeats. At least one."""
    bound: Bound
    """Of one patient."""
    beside: tuple[str, ...] = ()
    """Other tables that a hospital must have to be counted here, sorted: both sides of a ratio are of the same ones."""
    subtotals: bool = False
    """Whether the cells of fewer keys, from the first to all, are answered too (SQL's ROLLUP)."""
    weight: int = 1
    """Of the privacy loss, this part's share is its weight over the sum of all parts'."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A question, in full: parts whose tallies are laid end to end and answered in one round."""

    catalogue: bytes
    """Digest of the catalogue it was made for (32 bytes)."""
    parts: tuple[Part, ...]
    """At least one, without repeats. A patient is charged the sum over all of them."""

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the tables that are read, sorted."""
        return tuple(sorted({part.table for part in self.parts}))

    def answerable(self, tables: frozenset[str]) -> int:
        """Return the number of parts in which a hospital with these tables is counted."""
        return sum({part.table, *part.beside} <= tables for part in self.parts)


def window(table: Table, where: Predicate) -> tuple[date | None, date | None]:
    """Return the days that the plan's rows are limited to by ``where``, as far as its outer conjunction says so.

    Only terms that every row must meet narrow the window, so it is never narrower than the rows are.
    """
    first: date | None = None
    last: date | None = None
    for term in where.terms if isinstance(where, Every) else (where,):
        if isinstance(term, During) and term.column == table.dated_by:
            first = max(filter(None, (first, term.first)), default=None)
            last = min(filter(None, (last, term.last)), default=None)
    return first, last


def most_rows(catalogue: Catalogue, table: str, where: Predicate) -> int:
    """Return the cap on one patient's rows that the catalogue sets for these rows: yearly cap x years touched."""
    described = catalogue.table(table)
    return described.rows_per_patient * described.years(*window(described, where))
