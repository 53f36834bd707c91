"""Which numbers of an app's reply are summed: agreed from the message that it is sent, before any record is read.

* ``train``: the reply's arrays less those that were sent, entry by entry, in the order of the message. Only floating
  arrays move (``moved``); arrays of whole numbers or truth values stay as they were sent.
* ``evaluate`` and ``query``: the metrics that the message's settings declare. The one ``Config`` among its records
  that has ``farr-entries`` lists them, each as ``name`` or ``name[width]``; ``farr-bounds``, if it is there, gives
  the largest size of each in the same order, 1.0 without. What is summed is each number over its bound, held to
  [-1, 1].
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from protocols.app_message import FLOATS, AppMessage, Array, Arrays, Config, category
from protocols.errors import Rejected

ENTRIES = "farr-entries"
"""The setting that names the metrics which are summed, such as ``["accuracy", "histogram[20]"]``."""
BOUNDS = "farr-bounds"
"""The setting that says how large they may be, such as ``[1.0, 5000.0]``."""

MOST_ENTRIES = 1 << 24
"""Most numbers of a reply."""
MOST_DECLARED = 1 << 16
"""Most numbers of a reply that are declared."""

_ENTRY = re.compile(r"(?P<name>[^\[\]\x00-\x1f]{1,200})(?:\[(?P<width>[1-9][0-9]{0,5})\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A metric whose values are summed."""

    name: str
    """As the app calls it."""
    width: int | None
    """Length of its list; None: one number."""
    bound: float
    """Largest size of a value. Above 0."""


def sent_arrays(message: AppMessage) -> Arrays:
    """Return the one record of arrays that ``train`` starts from; raise Rejected where there is not exactly one."""
    found = [record for record in message.records.values() if isinstance(record, Arrays)]
    if len(found) != 1:
        raise Rejected("malformed", "an app that trains is sent exactly one record of arrays")
    return found[0]


def moved(arrays: Arrays) -> dict[str, Array]:
    """Return the arrays that an update moves, by name, in order: those of floating numbers."""
    return {name: array for name, array in arrays.items.items() if array.dtype.str in FLOATS}


def declared(message: AppMessage) -> tuple[Entry, ...]:
    """Return the metrics that the message declares; raise Rejected where they are declared wrongly or not at all."""
    found = [record for record in message.records.values() if isinstance(record, Config) and ENTRIES in record.items]
    if len(found) != 1:
        raise Rejected("malformed", f"exactly one record of settings holds {ENTRIES}")
    names = _several(found[0].items[ENTRIES])
    bounds = _several(found[0].items.get(BOUNDS, (1.0,) * len(names)))
    if not names or len(bounds) != len(names):
        raise Rejected("malformed", f"{BOUNDS} has another length than {ENTRIES}")
    entries = tuple(_entry(name, bound) for name, bound in zip(names, bounds, strict=True))
    if len({entry.name for entry in entries}) < len(entries) or _width(entries) > MOST_DECLARED:
        raise Rejected("malformed", f"{ENTRIES} repeat or are too many")
    return entries


def entries_of(message: AppMessage) -> int:
    """Return how many numbers are summed of a reply to this message; raise Rejected where none would be."""
    if category(message) == "train":
        count = sum(array.size for array in moved(sent_arrays(message)).values())
    else:
        count = _width(declared(message))
    if not 1 <= count <= MOST_ENTRIES:
        raise Rejected("malformed", f"{count} numbers of an app's reply")
    return count


def _width(entries: tuple[Entry, ...]) -> int:
    return sum(entry.width or 1 for entry in entries)


def _several(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _entry(text: object, bound: object) -> Entry:
    matched = _ENTRY.fullmatch(text) if isinstance(text, str) else None
    if matched is None:
        raise Rejected("malformed", f"an item of {ENTRIES}")
    if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not math.isfinite(bound) or bound <= 0:
        raise Rejected("malformed", f"an item of {BOUNDS}")
    width = matched["width"]
    return Entry(name=matched["name"], width=None if width is None else int(width), bound=float(bound))
