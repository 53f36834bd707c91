"""A pack as a table in Markdown: what docs/indicators.md shows is made here."""

from __future__ import annotations

from collections.abc import Iterator

from queries.agreed.pack import Indicator, Pack, Side

BEGIN, END = "<!-- pack: begin -->", "<!-- pack: end -->"
"""Marks of the part of docs/indicators.md that is generated."""


def document(pack: Pack) -> str:
    """Return the generated part of the document, its marks included."""
    return "\n".join([BEGIN, *_lines(pack), END]) + "\n"


def _lines(pack: Pack) -> Iterator[str]:
    yield f"{len(pack.indicators)} figures of {len(pack.numbers)} indicators; version {pack.version}."
    yield ""
    yield "| # | name | indicator | numerator | denominator | unit | tables | source |"
    yield "|---|---|---|---|---|---|---|---|"
    for each in pack.indicators:
        tables = ", ".join(dict.fromkeys(side.table for side in each.sides))
        cells = (
            str(each.number), f"`{each.name}`", f"{each.label.en} {each.label.zh}",
            f"{each.numerator.en} {each.numerator.zh}", _either(each.denominator.en, each.denominator.zh),
            _either(each.unit.en, each.unit.zh), tables, each.source,
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield "### How each is asked"
    yield ""
    yield "| name | figure | rows | most rows of a patient and month | groupings | shown unless | weight |"
    yield "|---|---|---|---|---|---|---|"
    for each in pack.indicators:
        yield f"| `{each.name}` | {' | '.join(_asked(each))} |"


def _asked(indicator: Indicator) -> Iterator[str]:
    sides = indicator.sides
    factor = f"{float(indicator.factor):g} * " if len(sides) > 1 and indicator.factor != 1 else ""
    yield factor + " / ".join(f"`{_named(side, several=len(sides) > 1)}`" for side in sides)
    yield " / ".join(f"`{side.where}`" if side.where else "all" for side in sides)
    yield " / ".join(str(side.rows) for side in sides)
    own = [f"**{name}**" for name in indicator.by]
    yield ", ".join([*own, *indicator.groupings]) or "none"
    rule = indicator.reliability
    fewest = f"fewer than {rule.least} rows; " if rule.least and indicator.base else ""
    yield f"{fewest}noise above {float(rule.suppress):g} %, with care above {float(rule.caution):g} %"
    yield str(indicator.weight)


def _named(side: Side, *, several: bool) -> str:
    return f"{side.table}: {side.figure}" if several else side.figure


def _either(english: str, chinese: str) -> str:
    return english if english == chinese else f"{english} {chinese}"
