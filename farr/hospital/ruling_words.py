"""What a rule of the policy compared with what, in the language in use and without the ledger's units.

A node writes such a detail into its log in English, as it was when it was judged; people read it translated. What fits
none of the forms is shown as it was written.
"""

from __future__ import annotations

import re

from farr.texts import N_, _, translate

FORMS = (
    N_("asked on the authority of: {authority}"),
    N_("asked by {who}"),
    N_("asked for {purpose}"),
    N_("asks {tables}"),
    N_("reads no column"),
    N_("reads {columns}"),
    N_("no finer than {level}"),
    N_("told apart from all but {count} hospitals, at least {least}"),
    N_("{count} hospitals, at least {least}; too new to count: {sites}"),
    N_("{count} hospitals, at least {least}"),
    N_("hidden among {count} honest hospitals, at least {least}; too new to count: {sites}"),
    N_("hidden among {count} honest hospitals, at least {least}"),
    N_("trust {trust}, least {floor}"),
    N_("costs {cost}, left {left}"),
    N_("costs {cost}, at most {most}"),
    N_("costs {cost}, without approval at most {most}"),
    N_("trains a {model} model"),
    N_("trains the network {digest}"),
    N_("runs the app {digest}"),
    N_("an app that runs for {seconds} s, at most {most} s"),
    N_("an app that is sent {size} MB, at most {most} MB"),
    N_("{count} rounds of the run were answered, at most {most}"),
    N_("an earlier round of the run was of another design, length or price"),
    N_("no earlier round of the run was of another design, length or price"),
    N_("the run was answered {count} times, at most {most} for each of its {rounds} rounds"),
    N_("trains a model, and policy.toml has no [training]"),
    N_("{part} of {table}.{column}"),
    N_("{table}.{column} from {first} to {last}"),
    N_("{table}.{column} by {level}"),
)
"""Details that `node/authority/judging.py` and `finest.py` write; those that more texts fit come last."""

WORDS = (
    N_("the first day"), N_("the last day"), N_("code"), N_("day"), N_("week"), N_("month"), N_("quarter"), N_("year"),
    N_("month_of_year"), N_("weekday"),
)  # fmt: skip
"""What stands in these forms and is a word, not a name."""

_WORDED = ("part", "first", "last", "level")

_REMEDY = N_("change {rule} in policy.toml where the hospital wants such questions answered")

REMEDIES = (
    N_("copy [training] from `farr node policy default` to the end of policy.toml where the hospital wants to train"),
    N_("the analyst can ask the rest as a new run"),
)
"""Other remedies that `node/authority/` writes."""

_PRICE = re.compile(r"\d+ units \((epsilon [^)]+)\)")


def in_words(detail: str) -> str:
    """Return a detail for people; prices keep their units where they look the same without."""
    for form in FORMS:
        if (values := _values(form, detail)) is not None:
            told = {name: _word(name, value) for name, value in values.items()}
            return _(form).format(**told)
    return translate(detail)


def remedy_in_words(remedy: str) -> str:
    """Return a remedy for people."""
    values = _values(_REMEDY, remedy)
    return translate(remedy) if values is None else _(_REMEDY).format(**values)


def _word(name: str, value: str) -> str:
    return _(value) if name in _WORDED and value in WORDS else value


def _values(form: str, text: str) -> dict[str, str] | None:
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(form))
    found = re.fullmatch(pattern, text)
    if found is None:
        return None
    values = found.groupdict()
    short = {name: _PRICE.sub(r"\1", value) for name, value in values.items()}
    return short if len(set(short.values())) == len(set(values.values())) else values
