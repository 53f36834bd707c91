"""The terms of a model: what each coefficient is called, such as ``sex=M`` beside the first code of ``sex``."""

from __future__ import annotations

from queries.agreed.catalogue import Code, Label, NumberColumn, Table
from queries.asked.plan import (
    AttributeKey,
    BandKey,
    Between,
    CodeKey,
    DateKey,
    During,
    FlagKey,
    Key,
    Members,
    Missing,
    Not,
    Predicate,
    SiteIs,
    SiteKey,
)
from queries.cost.setting import Setting

INTERCEPT = Code(code="intercept", label=Label(en="intercept", zh="截距"))
"""The value where every number is zero and every group is its first."""

MOST_LENGTH = 60
"""Characters of a term's name; a longer condition is numbered instead."""


def number_term(column: NumberColumn) -> Code:
    """Return the term of a number column."""
    return Code(code=column.name, label=column.label)


def key_terms(key: Key, setting: Setting) -> tuple[Code, ...]:
    """Return the terms of a key's cells after the first, which they are measured against."""
    if isinstance(key, FlagKey):
        name = condition_name(key.term, setting.table)
        return (Code(code=name, label=Label(en=name, zh=name)),)
    return tuple(_named(code, key, setting) for code in setting.codes(key)[1:])


def first_group(key: Key, setting: Setting) -> Code | None:
    """Return the name of the cell that a key's terms are measured against; None of a condition, which has no other."""
    return None if isinstance(key, FlagKey) else _named(setting.codes(key)[0], key, setting)


def _named(code: Code, key: CodeKey | BandKey | DateKey | AttributeKey | SiteKey, setting: Setting) -> Code:
    about = _about(key)
    label = setting.table.by_name[key.column].label if isinstance(key, (CodeKey, BandKey, DateKey)) else None
    return Code(
        code=f"{about}={code.code}",
        label=Label(
            en=f"{label.en if label else about}: {code.label.en}",
            zh=f"{label.zh if label else about}：{code.label.zh}",
        ),
    )


def unlike(terms: tuple[Code, ...]) -> tuple[Code, ...]:
    """Return the terms with a number after each name that another has too."""
    seen: dict[str, int] = {}
    found = []
    for term in terms:
        seen[term.code] = times = seen.get(term.code, 0) + 1
        end = f" ({times})" if times > 1 else ""
        found.append(Code(code=term.code + end, label=Label(en=term.label.en + end, zh=term.label.zh + end)))
    return tuple(found)


def condition_name(term: Predicate, table: Table) -> str:
    """Return a condition in a few signs, ``age>=65``; ``condition`` where it would be long."""
    name = _written(term, table)
    return name if name is not None and len(name) <= MOST_LENGTH else "condition"


def _about(key: CodeKey | BandKey | DateKey | AttributeKey | SiteKey) -> str:
    if isinstance(key, SiteKey):
        return "site"
    if isinstance(key, AttributeKey):
        return key.attribute
    if isinstance(key, DateKey):
        return key.part
    return key.column if isinstance(key, BandKey) or key.level is None else key.level


def _written(term: Predicate, table: Table) -> str | None:
    if isinstance(term, Not):
        inner = _written(term.term, table)
        return None if inner is None else f"not {inner}"
    if isinstance(term, Missing):
        return f"{term.column} missing"
    if isinstance(term, (Members, SiteIs)):
        about = (term.level or term.column) if isinstance(term, Members) else term.attribute or "site"
        return f"{about}={'|'.join(term.codes)}"
    if isinstance(term, Between):
        column = table.by_name.get(term.column)
        if not isinstance(column, NumberColumn):
            return None
        ends = [None if end is None else f"{float(column.in_units(end)):g}" for end in (term.low, term.high)]
        return _range(term.column, ends[0], ends[1])
    if isinstance(term, During):
        return _range(term.column, *(None if end is None else end.isoformat() for end in (term.first, term.last)))
    return None


def _range(name: str, low: str | None, high: str | None) -> str | None:
    if low == high:
        return f"{name}={low}"
    if high is None:
        return f"{name}>={low}"
    return f"{name}<={high}" if low is None else f"{low}<={name}<={high}"
