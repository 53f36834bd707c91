"""What a reader of a comparison must know beside its figures: which errors are compared, and what else differs."""

from __future__ import annotations

from collections.abc import Sequence

from farr.figures.asked import Asked
from farr.figures.saved import Saved
from farr.texts import _


def notes_on(
    one: Saved, two: Saved, words: Sequence[tuple[Asked, Asked]], *, total: bool, separate: bool, unknown: bool
) -> list[str]:
    """Return the notes, in the language in use."""
    notes = []
    if total:
        notes.append(_("The intervals allow for noise and sampling."))
        if unknown:
            notes.append(_("Whether both are about the same records cannot be told: if they are, leave --total out."))
    elif separate:
        notes.append(
            _("The intervals are noise only: a change is one of the records themselves; --total allows for sampling.")
        )
    else:
        notes.append(
            _("Both may be about the same records: sampling errors are not independent, so only noise is compared.")
        )
    if unknown:
        notes.append(_("Without a statement, the same name and unit are taken for the same statistic."))
    alone = {answer.title for answer in one.answers} ^ {answer.title for answer in two.answers}
    if alone and max(len(one.answers), len(two.answers)) > 1:
        notes.append(_("Tables in one answer only: {names}.").format(names=", ".join(sorted(alone))))
    for before, after in words[:1]:
        if before.known and after.known and before.conditions != after.conditions:
            said = [each.conditions or _("all rows") for each in (before, after)]
            notes.append(_("The rows differ: {one}; then {other}.").format(one=said[0], other=said[1]))
    if one.rows != two.rows:
        notes.append(
            _("Rows of one patient: at most {one}, then {other}; a change may come from that.").format(
                one=one.rows, other=two.rows
            )
        )
    if one.hospitals != two.hospitals:
        notes.append(
            _("Hospitals differ: {count} are in one answer only; a change may come from that.").format(
                count=len(one.hospitals ^ two.hospitals)
            )
        )
    if any("selected" in answer.flags for each in (one, two) for answer in each.answers):
        notes.append(_("Rows were chosen by their noisy values: changes in them look larger than they are."))
    if not (one.verified and two.verified):
        notes.append(_("The figures of a file are what it says; nobody verified them here."))
    return notes
