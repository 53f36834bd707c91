"""A released answer beside the exact one."""

from __future__ import annotations

from dataclasses import dataclass

from farr.demo.questions import DemoQuestion
from farr.figures.result import Result
from queries.answers.figures import Estimate

Exact = dict[tuple[str, ...], tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One figure as it was released and as it is."""

    released: Estimate
    """With its interval."""
    exact: float
    """Over the pooled records."""

    @property
    def error(self) -> float | None:
        """Return how far the released figure is off; None where it is undefined."""
        return None if self.released.value is None else self.released.value - self.exact

    @property
    def covered(self) -> bool:
        """Tell whether the interval holds the exact value; an end that is missing is infinitely far."""
        low, high = self.released.low, self.released.high
        return (low is None or low <= self.exact) and (high is None or self.exact <= high)

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        figure = self.released
        return {
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
            "flags": list(figure.flags),
            "exact": self.exact,
            "error": self.error,
            "covered": self.covered,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the answer."""

    groups: tuple[str, ...]
    """Codes."""
    labels: tuple[str, ...]
    """What they mean."""
    pairs: tuple[Pair, ...]
    """By column of figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One answered question beside its exact answer."""

    question: DemoQuestion
    """What was asked."""
    result: Result
    """What came back."""
    names: tuple[str, ...]
    """Of the columns of groups."""
    figures: tuple[str, ...]
    """Of the columns of figures."""
    rows: tuple[Row, ...]
    """As the answer shows them."""
    seconds: float
    """From asking to having the verified answer."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Return all figures."""
        return tuple(pair for row in self.rows for pair in row.pairs)

    @property
    def covered(self) -> int:
        """Return how many intervals hold the exact value."""
        return sum(pair.covered for pair in self.pairs)

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        rows = [
            dict(zip(self.names, row.groups, strict=True))
            | {name: pair.to_plain() for name, pair in zip(self.figures, row.pairs, strict=True)}
            for row in self.rows
        ]
        return {
            "id": self.question.id,
            "title": {"en": self.question.title.en, "zh": self.question.title.zh},
            "statement": self.result.statement,
            "seconds": round(self.seconds, 3),
            "rows": rows,
            "figures": len(self.pairs),
            "covered": self.covered,
            "answer": self.result.to_plain(),
        }


def compare(question: DemoQuestion, result: Result, exact: Exact, seconds: float) -> Comparison:
    """Put an answer beside the exact one; a group without records is exactly 0."""
    columns = result.answer.columns
    names = tuple(column.name for column in columns if column.kind == "key")
    rows = []
    for row in result.answer.rows:
        groups = tuple(cell for cell in row.cells if isinstance(cell, str))
        released = [cell for cell in row.cells if isinstance(cell, Estimate)]
        truth = exact.get(groups, (0.0,) * len(released))
        labels = tuple(result.answer.labels[name][group] for name, group in zip(names, groups, strict=True))
        pairs = tuple(Pair(released=one, exact=other) for one, other in zip(released, truth, strict=True))
        rows.append(Row(groups=groups, labels=labels, pairs=pairs))
    return Comparison(
        question=question,
        result=result,
        names=names,
        figures=tuple(column.name for column in columns if column.kind == "estimate"),
        rows=tuple(rows),
        seconds=seconds,
    )
