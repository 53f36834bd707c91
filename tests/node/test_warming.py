"""Warming up before the first question."""

import sys

from node.scan import warming
from node.scan.scan import Scanner
from tests.node.ward import HEADER, catalogue, prepared


class Silent(Scanner):
    """A scanner that counts what it is asked and what it gave."""

    def __init__(self, path):
        super().__init__(path)
        self.asked = []

    def tally(self, *asked, **how):
        """Scan, and remember."""
        self.asked.append(asked[0])
        return super().tally(*asked, **how)


def test_warming_up_keeps_nothing(tmp_path):
    """One table is counted once; nothing comes back, and no file beside the prepared one appears."""
    agreed = catalogue()
    made = prepared(tmp_path, HEADER + "p1,M,I63,120,2021-03-01\n", agreed)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    scanner = Silent(made.path)
    assert warming.warm(scanner, agreed, "north") is None
    assert [asked.entries for asked in scanner.asked] == [1]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    assert "ibis" in sys.modules
    assert "opendp" in sys.modules
