"""A word on a run of training that never waited here, since the policy allowed it: found by what it was charged."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from farr.cli import output
from farr.texts import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from farr.hospital.office import Office


@contextmanager
def or_run(
    identifier: str, home: Path, decide: Callable[[Office, tuple[str, str]], int], what: str, *, as_json: bool
) -> Iterator[None]:
    """Where what is inside finds no request under an id, decide on the run that was charged here under it.

    ``what`` is the decision, in words.
    """
    from farr.errors import FarrError
    from farr.hospital import stopping
    from farr.hospital.office import office

    try:
        yield
    except FarrError as error:
        if error.code != stopping.UNKNOWN or error.details.get("found"):
            raise
    else:
        return
    with office(home) as opened:
        run = stopping.charged_run(opened, identifier)
        number = decide(opened, run)
    if as_json:
        output.as_json({"decision": number, "run": run[0], "analyst": run[1]})
        return
    text = _("Decision {number} on all rounds of run {id}: {what}. The node tells the coordinator within a second.")
    output.line(text.format(number=number, id=run[0][:8], what=what))
