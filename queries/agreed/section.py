"""Reading one section of a TOML file strictly: every complaint names the file, the dotted key and the remedy."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import NoReturn

from queries.agreed.catalogue import Label
from queries.errors import CatalogueError

LONGEST_NAME = 63
"""Most characters of a name that questions use: what PostgreSQL and its kin allow in an identifier."""

LONGEST_TEXT = 500
"""Most characters of a label, a code or a unit."""

MOST_DIGITS = 9
"""Most digits of a decimal before or behind the point, beyond which a unit is better changed than written out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table of a TOML file, with the way that led to it."""

    file: str
    """Name of the file, for complaints only."""
    path: str
    """Dotted key of this table; empty for the whole file."""
    values: Mapping[str, object]
    """What it holds."""

    def key(self, name: str) -> str:
        """Return the dotted key of ``name`` in this section."""
        return f"{self.path}.{name}" if self.path else name

    def refuse(self, name: str, message: str, remedy: str) -> NoReturn:
        """Complain about the value of ``name``, or about the section itself where ``name`` is empty."""
        key = self.key(name) if name else self.path or "(top)"
        raise CatalogueError(message, file=self.file, key=key, remedy=remedy)

    def only(self, known: Iterable[str]) -> None:
        """Refuse keys that are not known: a misspelt bound would otherwise be a missing one."""
        names = tuple(known)
        for name in self.values:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                remedy = f"did you mean {near[0]}?" if near else "known here: " + ", ".join(names)
                self.refuse(name, "unknown key", remedy)

    def has(self, name: str) -> bool:
        """Tell whether the key is there."""
        return name in self.values

    def required(self, name: str, remedy: str) -> object:
        """Return the value of a key that must be there."""
        if name not in self.values:
            self.refuse(name, "missing", remedy)
        return self.values[name]

    def text(self, name: str, remedy: str) -> str:
        """Return a required text, not empty, without control characters."""
        value = self.required(name, remedy)
        if not isinstance(value, str) or not is_text(value):
            self.refuse(name, "not a printable text", remedy)
        return value

    def whole(self, name: str, low: int, high: int, remedy: str) -> int:
        """Return a required whole number within bounds, ends included."""
        value = self.required(name, remedy)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(name, f"not a whole number from {low:,} to {high:,}", remedy)
        return value

    def decimal(self, name: str, remedy: str) -> Fraction:
        """Return a required number exactly: written as an integer, a decimal, or a decimal in quotes."""
        value = self.required(name, remedy)
        if isinstance(value, str) and value.isascii() and value.strip() == value and "_" not in value:
            try:
                value = Decimal(value)
            except ArithmeticError:
                value = None
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            self.refuse(name, "not a number", remedy)
        if isinstance(value, Decimal) and not _is_short(value):
            self.refuse(name, f"not a number of at most {MOST_DIGITS} decimal places", remedy)
        return Fraction(value)

    def day(self, name: str, remedy: str) -> date:
        """Return a required calendar day (a TOML local date, without a time)."""
        value = self.required(name, remedy)
        if type(value) is not date:  # a datetime is a date too, but not a day
            self.refuse(name, "not a day", remedy)
        return value

    def items(self, name: str, remedy: str) -> list[object]:
        """Return a required list that is not empty."""
        value = self.required(name, remedy)
        if not isinstance(value, list) or not value:
            self.refuse(name, "not a list with at least one entry", remedy)
        return value

    def section(self, name: str, remedy: str) -> Section:
        """Return a required table that is not empty."""
        value = self.required(name, remedy)
        if not isinstance(value, dict) or not value:
            self.refuse(name, "not a table with at least one entry", remedy)
        return Section(file=self.file, path=self.key(name), values=value)

    def sections(self, name: str, remedy: str) -> Iterator[Section]:
        """Return the tables of a required list of tables, in order."""
        for position, value in enumerate(self.items(name, remedy)):
            if not isinstance(value, dict):
                self.refuse(f"{name}[{position}]", "not a table", remedy)
            yield Section(file=self.file, path=self.key(f"{name}[{position}]"), values=value)

    def label(self, name: str, default: str) -> Label:
        """Return a label: a text for both languages, or one for each; ``default`` where none is given."""
        return label_of(self, name, self.values[name]) if self.has(name) else Label(en=default, zh=default)

    def names(self) -> tuple[str, ...]:
        """Return the keys of a section whose keys are names that questions use."""
        folded: dict[str, str] = {}
        for name in self.values:
            self._check_name(name)
            twin = folded.setdefault(name.casefold(), name)
            if twin != name:
                self.refuse(name, f"differs from {twin} only in capitals", "SQL sees one name: rename either")
        return tuple(self.values)

    def name(self, name: str, remedy: str) -> str:
        """Return a required text that is a name which questions use."""
        value = self.text(name, remedy)
        if fault := fault_of_name(value):
            self.refuse(name, f"{value!r} {fault[0]}", fault[1])
        return value

    def _check_name(self, name: str) -> None:
        if fault := fault_of_name(name):
            self.refuse(name, fault[0], fault[1])


def fault_of_name(name: str) -> tuple[str, str] | None:
    """Return what is wrong with a name that questions are to use, and the remedy; None when it is good."""
    if len(name) > LONGEST_NAME:
        return f"longer than {LONGEST_NAME} characters", "use a shorter name and put the rest in the label"
    if not unicodedata.is_normalized("NFKC", name):
        return "has characters with a second spelling", f"write {unicodedata.normalize('NFKC', name)!r}"
    if not name.isidentifier():
        return "is not a name", "use letters of any script, digits and _, with a letter first"
    if name.startswith("_") or name.casefold() == "site":
        return "is reserved", "choose another name: `site` and names that begin with _ are Farr's own"
    return None


def is_text(value: str) -> bool:
    """Tell whether a text is short, not blank and free of control characters and loose surrogates."""
    return value.isprintable() and value.strip() == value != "" and len(value) <= LONGEST_TEXT


def label_of(section: Section, name: str, value: object) -> Label:
    """Read a label given as a text or as ``{ en = "...", zh = "..." }``; one language may stand for both."""
    remedy = 'write "text" or { en = "English", zh = "中文" }'
    if isinstance(value, str):
        value = {"en": value}
    if not isinstance(value, dict):
        section.refuse(name, "not a label", remedy)
    texts = {language: text for language, text in value.items() if isinstance(text, str) and is_text(text)}
    if not texts or len(texts) != len(value) or not texts.keys() <= {"en", "zh"}:
        section.refuse(name, "not a label", remedy)
    either = next(iter(texts.values()))
    return Label(en=texts.get("en", either), zh=texts.get("zh", either))


def _is_short(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent  # a letter for NaN and infinity
    return (
        isinstance(exponent, int)
        and -MOST_DIGITS <= exponent <= MOST_DIGITS
        and len(value.as_tuple().digits) <= 2 * MOST_DIGITS
    )
