"""An answer as a comparison takes it: a result of this process, or what ``--json`` and ``--export`` wrote of one."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farr.errors import FarrError
from farr.figures.result import CONFIDENCE
from farr.texts import _
from queries.answers.answer import Answer, AnswerColumn, AnswerRow
from queries.answers.figures import FLAGS, Estimate

if TYPE_CHECKING:
    from farr.figures.result import Result

SUFFIX = ".json"
"""By which a file is told from a release's id."""

LARGEST = 64 << 20
"""Bytes of a file that are read: an answer of 10,000 cells has some three million."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What two answers are compared by."""

    answers: tuple[Answer, ...]
    """The tables."""
    statement: str
    """As it was typed; empty for a question that was built in Python."""
    release: str
    """Id of the release, hex."""
    digest: str
    """Of the signed release, hex."""
    released_at: int
    """Seconds since 1970, UTC."""
    confidence: float
    """Of the intervals."""
    rows: int
    """Most rows of one patient that entered."""
    hospitals: frozenset[str]
    """Those whose records are in the figures."""
    verified: bool
    """Whether the figures were computed here from a signed release; those of a file are whatever it says."""


def of_result(result: Result) -> Saved:
    """Return a result as a comparison takes it."""
    return Saved(
        answers=result.answers,
        statement=result.statement,
        release=result.release,
        digest=result.digest,
        released_at=result.released_at,
        confidence=CONFIDENCE,
        rows=result.privacy.rows,
        hospitals=frozenset(result.sites.answered),
        verified=True,
    )


def read(path: str | Path) -> Saved:
    """Read what was saved of an answer; raise FarrError for a file that holds none, OSError for one that is not there.

    Guarantee: whatever the file holds, it is an answer with finite figures in intervals, or refused. Test:
    tests/farr/test_comparison.py::test_a_file_that_holds_no_answer_is_refused.
    """
    source = Path(path)
    if source.stat().st_size > LARGEST:
        raise _none(source)
    try:
        plain = json.loads(source.read_text(encoding="utf-8"))
        return _read(plain)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _none(source) from error


def _read(plain: Any) -> Saved:
    privacy, release = plain["privacy"], plain["release"]
    tables = plain.get("tables", [plain])
    if not tables:
        raise ValueError("no table")
    return Saved(
        answers=tuple(_table(each, privacy["noise_sd"]) for each in tables),
        statement=_text(plain["statement"]),
        release=_text(release["id"]),
        digest=_text(release["digest"]),
        released_at=_whole(release["released_at"]),
        confidence=_confidence(privacy),
        rows=_whole(privacy["rows_per_patient"]),
        hospitals=frozenset(map(_text, plain["sites"]["names"])),
        verified=False,
    )


def _table(plain: Any, noise_sd: Any) -> Answer:
    title = _text(plain["title"])
    columns = tuple(
        AnswerColumn(
            name=_text(each["name"]),
            kind=_kind(each["kind"]),
            unit=_text(each["unit"]),
            total=each["total"] is True,
            bounds=_bounds(each, _number(noise_sd.get(f"{title}: {each['name']}" if title else each["name"]))),
        )
        for each in plain["columns"]
    )
    names = [name for each in columns for name in _names(each)]
    if len(set(names)) != len(names):
        # An alias such as n_low beside n: in a saved row one has taken the other's place.
        raise ValueError("two columns of one name")
    rows = tuple(AnswerRow(cells=tuple(_cell(row, column) for column in columns)) for row in plain["rows"])
    labels = {
        _text(name): {_text(code): _text(label) for code, label in each.items()}
        for name, each in plain["labels"].items()
    }
    flags = tuple(each["code"] for each in plain["flags"] if each["code"] in FLAGS)
    return Answer(columns=columns, rows=rows, labels=labels, flags=flags, hidden=_whole(plain["hidden"]), title=title)


def _cell(row: Any, column: AnswerColumn) -> str | Estimate:
    if column.kind == "key":
        return _text(row[column.name])
    value, low, high, *total = (_number(row[name]) for name in _names(column))
    ends = (total[0], total[1]) if total else (None, None)
    return Estimate(value=value, low=low, high=high, flags=(), total_low=ends[0], total_high=ends[1])


def _names(column: AnswerColumn) -> list[str]:
    if column.kind == "key":
        return [column.name]
    endings = ("", "_low", "_high", *(("_total_low", "_total_high") if column.total else ()))
    return [column.name + ending for ending in endings]


def _bounds(column: Any, noise_sd: float | None) -> tuple[float, float] | None:
    """Return what a column's intervals are cut to; None where the file does not say."""
    if "bounds" in column:
        low, high = map(_number, column["bounds"])
        return -math.inf if low is None else low, math.inf if high is None else high
    # Files of earlier versions do not say. What has the same noise in every row is a count or a sum: nothing cuts it.
    return None if noise_sd is None else (-math.inf, math.inf)


def _confidence(privacy: Any) -> float:
    found = _number(privacy["interval"]["confidence"])
    if found is None or not 0 < found < 1:
        raise ValueError("confidence")
    return found


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("a number is expected")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a whole number is expected")
    return value


def _text(value: Any) -> str:
    # Names and labels end up on a terminal, where control characters would be obeyed.
    if not isinstance(value, str) or not value.replace("\n", "").replace("\t", "").isprintable():
        raise ValueError("a text is expected")
    return value


def _kind(value: Any) -> str:
    if value not in ("key", "estimate"):
        raise ValueError("kind")
    return str(value)


def _none(path: Path) -> FarrError:
    return FarrError(
        "no-answer",
        _("{name} holds no saved answer").format(name=path),
        remedy=_("save one with --json or --export NAME.json, or name a release: farr releases list"),
    )
