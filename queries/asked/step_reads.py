"""What a round of training reads: its keys and its columns, wherever they stand in a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from queries.asked.plan import Aggregate, AppStep, Key, NumberTerm, Step


def step_keys(aggregate: Aggregate) -> tuple[Key, ...]:
    """Return the keys of a step: of its outcome, terms, time and strata; of any other aggregate none."""
    step = aggregate.step
    if not isinstance(step, Step):
        return ()
    terms = tuple(term for term in (step.outcome, *step.terms) if not isinstance(term, NumberTerm))
    return (*terms, *(() if step.time is None else (step.time,)), *step.strata)


def step_columns(aggregate: Aggregate) -> tuple[str, ...]:
    """Return the columns that a step reads as they are, beside those of its keys; of any other aggregate none."""
    step = aggregate.step
    if isinstance(step, AppStep):
        return step.columns
    if not isinstance(step, Step):
        return ()
    numbers = tuple(term.column for term in (step.outcome, *step.terms) if isinstance(term, NumberTerm))
    return numbers if step.exposure is None else (*numbers, step.exposure)


def keys_of(aggregates: Iterable[Aggregate]) -> Iterator[Key]:
    """Yield every key of aggregates: those of their own cells and those of steps."""
    for aggregate in aggregates:
        yield from aggregate.by
        yield from step_keys(aggregate)
