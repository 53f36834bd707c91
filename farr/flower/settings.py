"""What an app's pyproject.toml says: Flower's own part of it, and ``[tool.farr]``, which says what hospitals are asked.

It is part of the bundle, so what an operator allows by the hash of the code names the table and the columns as well.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from farr.errors import FarrError
from farr.texts import _
from node.apps.bundle import read_bundle
from protocols.app_bundle import DESCRIPTION, about, bundle_digest
from protocols.errors import Rejected
from queries.asked.check_step import MOST_SECONDS

Plain = bool | int | float | str
"""What Flower's configuration of a run may hold."""

SECONDS: Final = 60
"""Time that an app may take for a round unless it says otherwise."""

MOST_ROUNDS: Final = 10_000
"""Of a run."""

LEAST, MOST = 1e-4, 1e6
"""A clip or a bound is between these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Which numbers of a reply are summed, for an app whose own messages do not say so."""

    entries: tuple[str, ...]
    """Metrics, as ``name`` or ``name[width]``; see ``protocols/app_entries.py``."""
    bounds: tuple[float, ...] = ()
    """The largest size of each; empty: 1."""
    record: str = "metrics"
    """What the record that the ServerApp reads them from is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An app, as it describes itself."""

    name: str
    """The project's."""
    digest: bytes
    """By which hospitals allow its code: 32 bytes."""
    component: str
    """Where the ServerApp is: ``module:name``."""
    config: Mapping[str, Plain]
    """The configuration of a run, its nested tables joined by dots."""
    table: str
    """The private table that the ClientApp is handed."""
    columns: tuple[str, ...]
    """The columns of it, sorted."""
    where: str
    """The rows, as a condition in SQL; empty: all."""
    rows_per_patient: int | None
    """Most rows of one patient; None: as the catalogue has it."""
    clip: float
    """Largest L2 norm of a hospital's update."""
    seconds: int
    """Time that the ClientApp may take for a round; hospitals answer when it is over."""
    rounds: int | None
    """Questions of a run over which its price is divided; None: the app did not say."""
    declared: Mapping[str, Declared] = field(default_factory=lambda: MappingProxyType({}))
    """Numbers of a reply, for ``evaluate`` and ``query``."""

    def rounds_of(self, config: Mapping[str, Plain]) -> int:
        """Return the questions of a run with this configuration; raise FarrError where nothing says how many."""
        if self.rounds is not None:
            return self.rounds
        given = config.get("num-server-rounds")
        if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST_ROUNDS:
            raise FarrError(
                "app",
                _("nothing says how many rounds the app will ask for, and the price is divided over them"),
                remedy=_("write rounds = N under [tool.farr] in {file}, or give --rounds").format(file=DESCRIPTION),
            )
        return given * (2 if "evaluate" in self.declared else 1)


_KEYS: Final = frozenset(
    {"table", "columns", "where", "rows-per-patient", "clip", "seconds", "rounds", "evaluate", "query"}
)


def read(folder: Path) -> Settings:
    """Read an app's folder; raise FarrError("app") with what is wrong in it. No code of the app is run."""
    try:
        files = read_bundle(folder)
        described = about(files)
    except OSError:
        raise _wrong(_("{folder} cannot be read").format(folder=folder)) from None
    except Rejected as rejected:
        raise _wrong(_("{folder} is no Flower app: {detail}").format(folder=folder, detail=rejected.detail)) from None
    if not described.server:
        raise _wrong(_("[tool.flwr.app.components] names no serverapp"))
    tools = tomllib.loads(files[DESCRIPTION].decode()).get("tool", {})
    asked = _table(tools.get("farr", {}), "tool.farr")
    what = _("write what the ClientApp is handed: [tool.farr] with table = NAME and columns = [NAMES]")
    if not asked:
        raise _wrong(_("{file} has no [tool.farr]").format(file=DESCRIPTION), what)
    for key in sorted(set(asked) - _KEYS):
        near = difflib.get_close_matches(key, _KEYS, n=1)
        hint = _("perhaps {near}").format(near=near[0]) if near else ""
        raise _wrong(_("[tool.farr] does not know {key}").format(key=key), hint)
    table, where = asked.get("table"), asked.get("where", "")
    if not isinstance(table, str) or not table or "columns" not in asked:
        raise _wrong(_("[tool.farr] names no table or no columns"), what)
    if not isinstance(where, str):
        raise _wrong(_("{key} is no text").format(key="where"))
    columns = _texts(asked["columns"], "columns")
    return Settings(
        name=described.name or folder.name,
        digest=bundle_digest(files),
        component=described.server,
        config=MappingProxyType({key: cast("Plain", value) for key, value in described.config.items()}),
        table=table,
        columns=tuple(sorted(set(columns))),
        where=where,
        rows_per_patient=None if "rows-per-patient" not in asked else _whole(asked, "rows-per-patient", 1, 1 << 20),
        clip=_size(asked.get("clip", 1.0), "clip"),
        seconds=_whole(asked, "seconds", 1, MOST_SECONDS, SECONDS),
        rounds=None if "rounds" not in asked else _whole(asked, "rounds", 1, MOST_ROUNDS),
        declared=MappingProxyType(
            {kind: _declared(asked[kind], kind) for kind in ("evaluate", "query") if kind in asked}
        ),
    )


def flat(tables: Mapping[str, Any], before: str = "") -> dict[str, Plain]:
    """Return nested tables as one, names joined by dots, as Flower has it."""
    found: dict[str, Plain] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{key}.")
        elif isinstance(value, (bool, int, float, str)):
            found[f"{before}{key}"] = value
        else:
            raise _wrong(_("{key} is no plain value").format(key=before + key))
    return found


def over(config: Mapping[str, Plain], written: str) -> dict[str, Plain]:
    """Return a run's configuration with some values replaced, written as TOML: ``"rounds=3 lr=0.1"``.

    Only what the app has may be replaced, by a value of the same kind.
    """
    if not written.strip():
        return dict(config)
    try:
        given = flat(tomllib.loads(written.replace(";", "\n")))
    except tomllib.TOMLDecodeError:
        raise FarrError(
            "terms",
            _("{written} is no configuration").format(written=written),
            remedy=_("write TOML, values apart by a semicolon: --config 'num-server-rounds = 3; lr = 0.1'"),
        ) from None
    for key, value in given.items():
        if type(config.get(key)) is float and type(value) is int:
            given[key] = float(value)
        elif type(config.get(key)) is not type(value):
            raise FarrError(
                "terms",
                _("the app has no setting {key} of this kind").format(key=key),
                remedy=_("it has: {names}").format(names=", ".join(sorted(config))),
            )
    return {**config, **given}


def _declared(written: object, kind: str) -> Declared:
    described = _table(written, f"tool.farr.{kind}")
    if unknown := set(described) - {"entries", "bounds", "record"}:
        raise _wrong(_("[tool.farr.{kind}] does not know {key}").format(kind=kind, key=min(unknown)))
    bounds = described.get("bounds", [])
    if not isinstance(bounds, list):
        raise _wrong(_("{key} is no list").format(key="bounds"))
    record = described.get("record", "metrics")
    if not isinstance(record, str) or not record:
        raise _wrong(_("[tool.farr.{kind}] has no name of a record").format(kind=kind))
    return Declared(
        entries=_texts(described.get("entries"), "entries"),
        bounds=tuple(_size(bound, "bounds") for bound in bounds),
        record=record,
    )


def _table(written: object, name: str) -> Mapping[str, Any]:
    if not isinstance(written, Mapping):
        raise _wrong(_("[{name}] is no table").format(name=name))
    return written


def _texts(written: object, key: str) -> tuple[str, ...]:
    if not isinstance(written, list) or not written or not all(isinstance(each, str) and each for each in written):
        raise _wrong(_("{key} is no list of names").format(key=key))
    return tuple(written)


def _whole(asked: Mapping[str, Any], key: str, least: int, most: int, default: int = 0) -> int:
    value = asked.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _wrong(_("{key} is no whole number from {least} to {most}").format(key=key, least=least, most=most))
    return value


def _size(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not LEAST <= value <= MOST:
        raise _wrong(_("{key} is no number from {least:g} to {most:g}").format(key=key, least=LEAST, most=MOST))
    return float(value)


def _wrong(message: str, remedy: str = "") -> FarrError:
    return FarrError("app", message, remedy=remedy or _("see docs/flower.md for what an app's file says"))
