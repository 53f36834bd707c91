"""What an earlier lab left in the folder: kept there, as a lab's folder of its own, when a new one begins."""

from __future__ import annotations

from pathlib import Path

from farr import files
from farr.lab import record
from node.records.prepare import PREPARED

FOLDER = "earlier"

OWN = (record.LOGS, record.ANALYST, record.COORDINATOR, record.REGISTRAR, record.NODES)
"""A lab's own folders."""


def put_by(home: Path) -> Path | None:
    """Move the lab in ``home`` to ``home/earlier/N`` and return that folder; None where there is none.

    Nothing of it may run. Only the nodes' prepared copies of their data go, which can be made again.

    Guarantee: models, answers, ledgers and edited policies of the earlier lab are all still there, and a move that was
    cut short goes on at the next start: the record, by which the folder is known as a lab's, goes last. Tests:
    tests/farr/test_lab.py::test_what_an_earlier_lab_left_is_kept,
    tests/farr/test_lab.py::test_a_move_that_was_cut_short_goes_on_in_the_same_folder.
    """
    if not record.is_lab(home):
        return None
    files.make_folder(home / FOLDER)
    left = [name for name in (*OWN, record.RECORD) if (home / name).exists()]
    last = max((int(path.name) for path in (home / FOLDER).iterdir() if path.name.isdecimal()), default=0)
    # A folder that has nothing of what is still here is that of a move that was cut short.
    if not last or any((home / FOLDER / str(last) / name).exists() for name in left):
        last += 1
    place = home / FOLDER / str(last)
    files.make_folder(place)
    for copy in (home / record.NODES).glob(f"*/{PREPARED}*"):
        copy.unlink()
    for name in left:
        (home / name).rename(place / name)
    files.sync(place)
    files.sync(home)
    return place
