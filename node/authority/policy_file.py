"""The values of a policy file, one by one: each of its one kind and in its range, or refused with what to write."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from protocols import checks
from protocols.errors import ProtocolError, Rejected
from queries.cost.accounting import rho_of, units
from queries.errors import PrivacyError

ALL = "all"
"""In place of a list: everything of the kind."""

NONE = "none"
"""In place of a list: nothing of the kind."""

MOST_BYTES = 1 << 16
"""Longest accepted file."""

WEST, EAST = -11 * 60 - 59, 12 * 60
"""Minutes from UTC that a policy may name: within half a day, so that the start of a period tells which day it is."""

_DIGEST = re.compile("[0-9a-f]{64}")
_OFFSET = re.compile("([+-])([0-9]{2}):([0-5][0-9])")


class PolicyError(ProtocolError):
    """The policy file is missing or says something that it must not say. Nothing is answered until it is corrected."""

    def __init__(self, message: str, *, file: str, key: str = "", remedy: str) -> None:
        """Name the file, the key, what is wrong and what to write instead."""
        super().__init__(f"{file}: {key}: {message}" if key else f"{file}: {message}")
        self.message = message
        self.file = file
        self.key = key
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The keys of the file, or of one of its tables. Every method raises PolicyError, naming the key."""

    file: str
    """Its name."""
    values: Mapping[str, object]
    """As TOML has them."""
    within: str = ""
    """Name of the table of the file; empty: the file itself."""

    def only(self, known: Sequence[str], also: Sequence[str] = ()) -> None:
        """Refuse a key that is not known, then one that is not there: nothing has a default. ``also`` may be there."""
        for key in sorted(self.values.keys() - {*known, *also}):
            self.refuse(key, "is not a known key", "use " + ", ".join((*known, *also)))
        for key in known:
            if key not in self.values:
                self.refuse(key, "is missing", "add it: nothing has a default")

    def table(self, key: str) -> Values:
        """Return a table of the file."""
        value = self.values[key]
        if not isinstance(value, dict):
            self.refuse(key, "is not a table", f"write [{key}] and its lines below")
        return Values(file=self.file, values=value, within=key)

    def units(self, key: str) -> int:
        """Return an epsilon as ledger units."""
        value = self.values[key]
        remedy = "write an epsilon above 0 and at most 100, such as 1.0"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(key, "is not a number", remedy)
        try:
            epsilon = float(value)
            if not math.isfinite(epsilon):
                self.refuse(key, "is not a number", remedy)
            return units(rho_of(epsilon))
        except (PrivacyError, OverflowError):
            self.refuse(key, "is out of range", remedy)

    def whole(self, key: str, least: int, most: int, such: int) -> int:
        """Return a whole number within these ends, which are allowed."""
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.refuse(key, f"is not a whole number from {least} to {most}", f"write {key} = {such}")
        return value

    def offset(self, key: str) -> int:
        """Return seconds east of UTC, of a time such as +08:00; 0 where the key is missing."""
        value = self.values.get(key, "+00:00")
        found = _OFFSET.fullmatch(value) if isinstance(value, str) else None
        minutes = 0 if found is None else int(f"{found[1]}1") * (int(found[2]) * 60 + int(found[3]))
        if found is None or not WEST <= minutes <= EAST:
            self.refuse(key, "is no time from -11:59 to +12:00", f'write {key} = "+08:00", or "+00:00" for UTC')
        return minutes * 60

    def truth(self, key: str) -> bool:
        """Return true or false."""
        value = self.values[key]
        if not isinstance(value, bool):
            self.refuse(key, "is neither true nor false", f"write {key} = false")
        return value

    def one_of(self, key: str, known: Sequence[str]) -> str:
        """Return one of the known words."""
        value = self.values[key]
        if not isinstance(value, str) or value not in known:
            self.refuse(key, "is not a known setting", "write " + ", ".join(f'"{word}"' for word in known))
        return value

    def names(self, key: str, known: Sequence[str] = ()) -> tuple[str, ...] | None:
        """Return names, sorted, or None for all of them; ``known``: no others are."""
        value = self.values[key]
        if value == ALL:
            return None
        if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
            self.refuse(key, "is neither a list of names nor all", f'write {key} = "all" or a list')
        if known and (unknown := sorted(set(value) - set(known))):
            self.refuse(key, f"{unknown[0]!r} is not known", "use " + ", ".join(f'"{word}"' for word in known))
        return tuple(sorted(set(value)))

    def text(self, key: str, most: int) -> str:
        """Return a text of at most so many characters, on one line; it may be empty."""
        value = self.values[key]
        if not isinstance(value, str) or len(value) > most or not (value.isprintable() or not value):
            self.refuse(key, f"is not a text of one line and at most {most} characters", f'write {key} = "..."')
        return value

    def digests(self, key: str, *, everything: bool = True) -> tuple[bytes, ...] | None:
        """Return digests of 32 bytes, written in hex, sorted, or None for all where that may be said."""
        value = self.values[key]
        if everything and value == ALL:
            return None
        listed = value if isinstance(value, list) else [None]
        found = {bytes.fromhex(each) for each in listed if isinstance(each, str) and _DIGEST.fullmatch(each)}
        if len(found) != len(listed):
            words = f'"{ALL}", "{NONE}" or ' if everything else ""
            self.refuse(key, "is no list of digests", f"write {words}a list of digests, each of 64 digits of hex, once")
        return tuple(sorted(found))

    def named(self, key: str) -> str:
        """Return the key itself where it is a name that travels in requests."""
        try:
            return checks.name(key, key)
        except Rejected:
            self.refuse(key, "is not a name", "use a-z, 0-9, full stop, underscore and hyphen")

    def refuse(self, key: str, message: str, remedy: str) -> NoReturn:
        """Say what is wrong with a key."""
        full = f"{self.within}.{key}" if self.within else key
        raise PolicyError(message, file=self.file, key=full, remedy=remedy)


def read_values(source: bytes, file: str) -> Values:
    """Read the text of a policy; raise PolicyError where it is no TOML."""
    if len(source) > MOST_BYTES:
        raise PolicyError("is too long", file=file, remedy=f"use at most {MOST_BYTES} bytes")
    try:
        return Values(file=file, values=tomllib.loads(source.decode()))
    except (ValueError, RecursionError) as error:
        # Dates out of range and numbers of thousands of digits are ValueErrors of their own kind.
        raise PolicyError("is not TOML in UTF-8" + _where(error), file=file, remedy="correct the text") from error


def _where(error: Exception) -> str:
    return f": {error}" if isinstance(error, tomllib.TOMLDecodeError) else ""
